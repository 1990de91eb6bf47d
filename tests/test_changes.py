"""Reactions, other names, answers: it answers, they hear, strangers don't."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select

from chat.models import NAME_LOOKBACK_MESSAGES, Room, messages
from chat.services import services_of
from chat.storage.commands import ChangeHandle, Command, ReactToMessage
from chat.storage.database import read_transaction
from chat.text.emoji import is_emoji
from tests.conftest import JSON, Client

Open = Callable[..., Client]
THUMB, HEART, FAMILY = "👍", "❤️", "👨🏽‍👩🏽‍👧🏽‍👦🏽"


def react(open_client: Client, seq: int, emoji: str = THUMB, on: bool = True) -> JSON:
    return open_client.ask("react", {"seq": seq, "emoji": emoji, "on": on})


def mark(open_client: Client, label: str = "kitchen") -> str:
    found: str = open_client.join(label)["you"]["mark"]
    return found


# react


def test_ben_puts_a_thumb_to_what_ada_said(ada: Client, ben: Client) -> None:
    seq = ada.post("hello")["seq"]

    assert react(ben, seq) == {"ok": True, "rev": 2, "head": 2}


def test_ada_hears_of_the_thumb_and_whose_it_is(ada: Client, ben: Client) -> None:
    his = mark(ben)
    seq = ada.post("hello")["seq"]
    ada.received()
    react(ben, seq)

    [change] = ada.received("change")
    assert (change["seq"], change["rev"], change["message"]) == (1, 2, "hello")
    assert change["reactions"] == {THUMB: [his]}
    assert (
        ada.ask("history", {})["messages"] == ada.ask("since", {"after": 1})["messages"] == [change]
    )


def test_strangers_hear_nothing_of_a_reaction_and_cannot_react(
    ada: Client, cy: Client, open_client: Open
) -> None:
    seq = ada.post("hello")["seq"]
    react(ada, seq)

    assert react(cy, seq)["code"] == "not_found"
    assert react(open_client(), seq)["code"] == "not_joined"
    assert cy.received() == []


def test_reactions_stand_in_the_order_of_their_first_use(ada: Client, ben: Client) -> None:
    hers, his = mark(ada), mark(ben)
    seq = ada.post("hello")["seq"]
    for who, emoji in ((ada, THUMB), (ben, HEART), (ben, THUMB), (ada, FAMILY)):
        assert react(who, seq, emoji)["ok"]

    [message] = ben.ask("history", {})["messages"]
    assert list(message["reactions"].items()) == [
        (THUMB, [hers, his]),
        (HEART, [his]),
        (FAMILY, [hers]),
    ]


def test_a_reaction_is_taken_back_and_nothing_of_it_stays(ada: Client, ben: Client) -> None:
    seq = ada.post("hello")["seq"]
    react(ada, seq)
    react(ben, seq)
    react(ada, seq, on=False)
    react(ben, seq, on=False)

    assert [
        sum(map(len, change.get("reactions", {}).values())) for change in ada.received("change")
    ] == [1, 2, 1, 0]
    assert "reactions" not in ben.ask("history", {})["messages"][0]


def test_what_is_so_already_takes_no_number(ada: Client, ben: Client) -> None:
    seq = ada.post("hello")["seq"]
    answers = [
        react(ben, seq, on=False),
        react(ben, seq),
        react(ben, seq),
        react(ben, seq, on=False),
    ]

    assert [(answer["rev"], answer["head"]) for answer in answers] == [
        (1, 1),
        (2, 2),
        (2, 2),
        (3, 3),
    ]
    assert len(ada.received("change")) == 2


def test_reactions_of_one_batch_are_stored_one_after_the_other(
    ada: Client, app: Flask, kitchen: str
) -> None:
    ada.post("hello")
    with app.app_context():
        room = Room.find(kitchen)
        authors = ("ben", "cy", "ben")
        batch: list[Command] = [ReactToMessage(room, author, 1, THUMB, True) for author in authors]
        services_of(app).journal.store_and_publish(batch)

    results = [command.result for command in batch if command.result]
    assert [(result.rev, result.duplicate) for result in results] == [
        (2, False),
        (3, False),
        (3, True),
    ]
    assert [len(change["reactions"][THUMB]) for change in ada.received("change")] == [1, 2]


def test_an_edit_keeps_the_reactions_and_a_deletion_erases_them(
    ada: Client, ben: Client, app: Flask
) -> None:
    seq = ada.post("hello")["seq"]
    react(ben, seq)
    ada.ask("edit", {"seq": seq, "message": "hi"})
    ada.ask("delete", {"seq": seq})

    reacted, edited, deleted = ben.received("change")
    assert edited["reactions"] == reacted["reactions"]
    assert "reactions" not in deleted
    with app.app_context(), read_transaction() as connection:
        assert (
            connection.execute(select(messages).where(messages.c.seq == seq)).one().reactions
            is None
        )
    assert react(ben, seq)["code"] == "gone"


def test_a_message_takes_twenty_different_emoji(ada: Client, ben: Client) -> None:
    seq = ada.post("hello")["seq"]
    animals = [chr(number) for number in range(0x1F400, 0x1F415)]
    answers = [react(ada, seq, animal) for animal in animals]

    assert [answer["ok"] for answer in answers] == [True] * 20 + [False]
    assert (answers[-1]["code"], answers[-1]["retry"]) == ("full", False)
    assert react(ben, seq, animals[0])["ok"]
    assert react(ada, seq, animals[0], on=False)["ok"]


def test_an_emoji_takes_a_hundred_people(ada: Client, app: Flask, kitchen: str) -> None:
    ada.post("hello")
    with app.app_context():
        room = Room.find(kitchen)
        batch: list[Command] = [
            ReactToMessage(room, f"person {number}", 1, THUMB, True) for number in range(100)
        ]
        services_of(app).journal.store_and_publish(batch)

    assert react(ada, 1)["code"] == "full"
    assert react(ada, 1, HEART)["ok"]


def test_a_line_of_the_room_takes_no_reactions(ada: Client) -> None:
    ada.ask("title", {"name": "Tea"})

    assert react(ada, 1)["code"] == "not_found"


@pytest.mark.parametrize("emoji", [THUMB, HEART, FAMILY, "🇩🇪", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🧑🏽‍❤️‍💋‍🧑🏽", "☺️"])
def test_an_emoji_is_one_however_many_characters_it_takes(ada: Client, emoji: str) -> None:
    ada.post("hello")

    assert react(ada, 1, emoji)["ok"]


@pytest.mark.parametrize(
    "emoji", ["", "a", "👍👍", "👍 ", ":+1:", "1", "‍", "👍\n", "<b>", "❤" * 9, "🧑‍" * 9]
)
def test_not_everything_is_an_emoji(ada: Client, ben: Client, emoji: str) -> None:
    ada.post("hello")
    ben.received()

    assert not is_emoji(emoji)
    assert react(ada, 1, emoji) == {
        "ok": False,
        "code": "bad_request",
        "message": "emoji: is not one emoji",
        "retry": False,
    }
    assert ben.received() == []


# rename


def test_ada_goes_by_another_name(ada: Client) -> None:
    ada.post("hello", handle="Ada")

    assert ada.ask("rename", {"handle": "Ada L."}) == {"ok": True, "rev": 2, "head": 2}


def test_ben_hears_the_other_name_as_a_line_in_the_room(ada: Client, ben: Client) -> None:
    ada.post("hello", handle="Ada")
    ada.ask("rename", {"handle": "Ada L."})

    said, line = ben.received("chat")
    assert (line["seq"], line["rev"], line["kind"]) == (2, 2, "rename")
    assert (line["handle"], line["message"], line["mark"]) == ("Ada", "Ada L.", said["mark"])
    assert ben.ask("since", {"after": 0})["messages"] == [said, line]


def test_strangers_hear_nothing_of_another_name(ada: Client, cy: Client, open_client: Open) -> None:
    ada.post("hello")
    ada.ask("rename", {"handle": "Bea"})

    assert cy.received() == []
    assert open_client().ask("rename", {"handle": "Bea"})["code"] == "not_joined"


def test_who_has_not_spoken_or_goes_by_that_name_takes_no_number(ada: Client, ben: Client) -> None:
    ada.post("hello", handle="Ada")
    ben.received()

    assert ben.ask("rename", {"handle": "Ben"}) == {"ok": True, "rev": 1, "head": 1}
    assert ada.ask("rename", {"handle": "Ada"}) == {"ok": True, "rev": 1, "head": 1}
    assert [ada.ask("rename", {"handle": "Bea"})["rev"] for _ in range(2)] == [2, 2]
    assert [line["message"] for line in ben.received("chat")] == ["Bea"]


def test_the_name_before_is_the_one_last_used_here_by_message_or_by_line(
    ada: Client, ben: Client
) -> None:
    ada.post("hello", handle="Ada")
    ada.ask("rename", {"handle": "Bea"})
    ada.ask("rename", {"handle": "Cleo"})
    ada.post("hello", handle="Dora")
    ada.ask("title", {"name": "Tea", "handle": "somebody"})
    ada.ask("rename", {"handle": "Eve"})

    lines = [line for line in ben.received("chat") if line.get("kind") == "rename"]
    assert [(line["handle"], line["message"]) for line in lines] == [
        ("Ada", "Bea"),
        ("Bea", "Cleo"),
        ("Dora", "Eve"),
    ]


def test_who_spoke_long_ago_only_needs_no_line(ada: Client, app: Flask, kitchen: str) -> None:
    ada.post("hello", handle="Ada")
    with app.app_context():
        room = Room.find(kitchen)
        lines = [
            ChangeHandle(room, "ben", f"Ben {each}", previous_handle="Ben")
            for each in range(NAME_LOOKBACK_MESSAGES)
        ]
        services_of(app).journal.store_and_publish([*lines])

    assert ada.ask("rename", {"handle": "Bea"})["rev"] == 1 + NAME_LOOKBACK_MESSAGES


def test_a_line_of_another_name_can_be_neither_edited_nor_deleted(ada: Client) -> None:
    ada.post("hello", handle="Ada")
    ada.ask("rename", {"handle": "Bea"})

    assert ada.ask("edit", {"seq": 2, "message": "Cleo"})["code"] == "not_found"
    assert ada.ask("delete", {"seq": 2})["code"] == "not_found"
    assert react(ada, 2)["code"] == "not_found"


@pytest.mark.parametrize(
    ("handle", "code"),
    [("", "empty"), ("x" * 65, "too_long"), ("a\nb", "bad_request"), (1, "bad_request")],
)
def test_not_everything_is_a_name(ada: Client, ben: Client, handle: object, code: str) -> None:
    ada.post("hello")
    ben.received()

    assert ada.ask("rename", {"handle": handle})["code"] == code
    assert ben.received() == []


# reply_to


def test_ben_answers_what_ada_said(ada: Client, ben: Client, cy: Client) -> None:
    seq = ada.post("tea?")["seq"]

    assert ben.post("yes", reply_to=seq)["ok"]
    assert [said.get("reply_to") for said in ada.received("chat")] == [None, seq]
    assert cy.received() == []


def test_what_is_not_there_cannot_be_answered(ada: Client, cy: Client) -> None:
    ada.post("tea?")
    ada.ask("edit", {"seq": 1, "message": "tea!"})

    for seq in (0, 2, 3, 999):  # 2 is the number of the edit
        answer = ada.post("yes", reply_to=seq)
        assert (answer["code"], answer["message"]) == (
            "not_found",
            "There is no such message in this room.",
        )
    assert cy.post("yes", reply_to=1)["code"] == "not_found"
    assert ada.ask("history", {})["head"] == 2


def test_what_was_deleted_can_be_answered_still(ada: Client, ben: Client) -> None:
    ada.post("tea?")
    ada.ask("delete", {"seq": 1})

    assert ben.post("yes", reply_to=1)["ok"]


def test_an_answer_sent_twice_is_said_once(ada: Client) -> None:
    ada.post("tea?")
    first, again = (ada.post("yes", reply_to=1, id="a-random-id-of-16") for _ in range(2))

    assert again == first | {"duplicate": True}
