"""The events edit, delete, title, react and rename: answers, broadcasts and refusals."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select, update

from chat.models import NAME_LOOKBACK_MESSAGES, Room, messages
from chat.services import services_of
from chat.storage.commands import (
    MAX_EMOJI_PER_MESSAGE,
    ChangeHandle,
    Command,
    DeleteMessage,
    PostMessage,
    ReactToMessage,
    SetTitle,
)
from chat.storage.database import read_transaction, write_transaction
from chat.text.emoji import is_emoji
from tests.conftest import JSON, Client

Open = Callable[..., Client]
MESSAGE_ID = "a-random-id-0001"
THUMB = "👍"
HEART = "❤️"
FAMILY = "👨‍👩‍👧‍👦"


def react(client: Client, seq: int, emoji: str = THUMB, on: bool = True) -> JSON:
    return client.ask("react", {"seq": seq, "emoji": emoji, "on": on})


def mark_of(client: Client, label: str = "kitchen") -> str:
    mark: str = client.join(label)["you"]["mark"]
    return mark


def store(app: Flask, batch: list[Command]) -> None:
    """Store commands in one transaction, as the group commit does with concurrent ones."""
    with app.app_context():
        services_of(app).journal.store_and_publish(batch)


def find_room(app: Flask, label: str) -> Room:
    with app.app_context():
        return Room.find(label)


def results_of(batch: list[Command]) -> list[tuple[int, bool]]:
    """Return `rev` and `duplicate` of each command that has a result."""
    results = [command.result for command in batch if command.result is not None]
    return [(result.rev, result.duplicate) for result in results]


# edit and delete


def test_edit_answers_with_the_number_of_the_change(ada: Client) -> None:
    seq = ada.post("helo")["seq"]

    assert ada.ask("edit", {"seq": seq, "message": "hello"}) == {"ok": True, "rev": 2, "head": 2}


def test_an_edit_is_broadcast_as_a_change(ada: Client, ben: Client) -> None:
    seq = ada.post("helo")["seq"]
    ada.ask("edit", {"seq": seq, "message": "hello"})

    [change] = ben.received("change")
    assert (change["seq"], change["rev"], change["message"]) == (1, 2, "hello")
    assert change["edited"].endswith("Z")
    assert ben.ask("history", {})["messages"] == [change]


def test_deleting_a_message_erases_text_handle_and_author_in_the_database(
    ada: Client, app: Flask
) -> None:
    answer = ada.post("a secret", handle="Ada", id=MESSAGE_ID)
    with app.app_context(), read_transaction() as connection:
        before = connection.execute(select(messages)).one()

    assert ada.ask("delete", {"seq": answer["seq"]}) == {"ok": True, "rev": 2, "head": 2}
    with app.app_context(), read_transaction() as connection:
        after = connection.execute(select(messages)).one()
    assert (after.message, after.handle, after.author) == ("", "", "")
    assert (after.seq, after.rev, after.client_id) == (1, 2, MESSAGE_ID)
    assert (after.timestamp, after.edited_at) == (before.timestamp, before.edited_at)


def test_a_deletion_is_broadcast_as_a_change(ada: Client, ben: Client) -> None:
    seq = ada.post("a secret", handle="Ada")["seq"]
    ada.ask("delete", {"seq": seq})

    [change] = ben.received("change")
    assert (change["seq"], change["rev"], change["message"], change["deleted"]) == (1, 2, "", True)
    assert (change["handle"], change["mark"]) == ("", "")
    assert ben.ask("history", {})["messages"] == [change]
    assert ben.ask("since", {"after": 0})["messages"] == [change]
    assert ben.join("kitchen")["messages"] == [change]


def test_the_page_of_a_room_does_not_show_who_wrote_a_deleted_message(
    ada: Client, app: Flask, kitchen: str
) -> None:
    mark = mark_of(ada)
    ada.post("a secret", handle="Ada the First")
    ada.ask("delete", {"seq": 1})

    page = app.test_client().get(f"/{kitchen}/").text

    assert "Message deleted" in page
    assert '<bdi class="message__name"></bdi>' in page
    for erased in ("a secret", "Ada the First", mark, mark[:10]):
        assert erased not in page


def test_a_deleted_message_is_nobodys_last_message(ada: Client, open_client: Open) -> None:
    ada.post("hello", handle="Ada")
    ada.ask("delete", {"seq": 1})

    assert ada.ask("rename", {"handle": "Bea"}) == {"ok": True, "rev": 2, "head": 2}


def test_a_message_repeated_after_its_deletion_is_a_duplicate(
    ada: Client, ben: Client, app: Flask
) -> None:
    first = ada.post("a secret", handle="Ada", id=MESSAGE_ID)
    ada.ask("delete", {"seq": 1})
    ben.received()

    for text in ("a secret", "another text"):
        again = ada.post(text, handle="Ada", id=MESSAGE_ID)
        assert (again["seq"], again["rev"], again["duplicate"]) == (first["seq"], 2, True)

    assert ben.received() == []
    [message] = ben.ask("history", {})["messages"]
    assert (message["message"], message["handle"], message["mark"]) == ("", "", "")


def test_a_deletion_is_acknowledged_again_whoever_asks(ada: Client, ben: Client) -> None:
    """The answer does not depend on who wrote the message, so it tells nobody."""
    ada.post("hello")
    first = ada.ask("delete", {"seq": 1})
    ada.post("later")
    ben.received()

    repeated = [client.ask("delete", {"seq": 1}) for client in (ada, ben, ada)]

    assert first == {"ok": True, "rev": 2, "head": 2}
    assert repeated == [{"ok": True, "rev": 2, "head": 3}] * 3
    assert ben.received() == []


def test_a_deletion_and_its_repetition_in_one_batch_consume_one_number(
    ada: Client, app: Flask, kitchen: str
) -> None:
    ada.post("hello")
    with app.app_context(), read_transaction() as connection:
        author = connection.scalar(select(messages.c.author)) or ""
    room = find_room(app, kitchen)
    batch: list[Command] = [DeleteMessage(room, name, 1) for name in (author, "ben", author)]

    store(app, batch)

    assert results_of(batch) == [(2, False), (2, True), (2, True)]
    assert len(ada.received("change")) == 1


@pytest.mark.parametrize(
    ("event", "payload"), [("edit", {"seq": 1, "message": "mine"}), ("delete", {"seq": 1})]
)
def test_only_the_author_can_edit_or_delete_a_message(
    ada: Client, ben: Client, cy: Client, event: str, payload: JSON
) -> None:
    ada.post("hello")

    assert ben.ask(event, payload)["code"] == "not_yours"
    assert cy.ask(event, payload)["code"] == "not_found"
    assert ada.received("change") == []
    assert cy.received() == []


def test_edits_and_deletions_are_not_broadcast_to_other_rooms(ada: Client, cy: Client) -> None:
    ada.post("hello")
    ada.ask("edit", {"seq": 1, "message": "hi"})
    ada.ask("delete", {"seq": 1})

    assert cy.received() == []


def test_a_repeated_edit_or_deletion_consumes_no_number(ada: Client, ben: Client) -> None:
    ada.post("hello")
    edits = [ada.ask("edit", {"seq": 1, "message": "hi"}) for _ in range(2)]
    deletions = [ada.ask("delete", {"seq": 1}) for _ in range(2)]

    assert [answer["rev"] for answer in edits + deletions] == [2, 2, 3, 3]
    assert len(ben.received("change")) == 2


def test_a_deleted_message_cannot_be_edited(ada: Client, ben: Client) -> None:
    ada.post("hello")
    ada.ask("delete", {"seq": 1})

    for client in (ada, ben):
        assert client.ask("edit", {"seq": 1, "message": "hi"})["code"] == "gone"


def test_editing_an_unknown_message_is_refused(ada: Client) -> None:
    assert ada.ask("edit", {"seq": 7, "message": "hi"})["code"] == "not_found"


# title


def test_title_sets_the_name_of_the_room(
    ada: Client, app: Flask, open_client: Open, kitchen: str
) -> None:
    ada.post("hello")

    answer = ada.ask("title", {"name": "Tea & cake", "handle": "Ada"})

    assert answer == {"ok": True, "rev": 2, "head": 2}
    assert open_client().join(kitchen)["name"] == "Tea & cake"
    page = app.test_client().get(f"/{kitchen}/").text
    assert "<title>Tea &amp; cake" in page
    assert '<meta property="og:title" content="Tea &amp; cake">' in page
    assert "named the room “Tea &amp; cake”" in page


def test_a_new_title_is_broadcast_as_a_system_message(ada: Client, ben: Client) -> None:
    ada.ask("title", {"name": "Tea", "handle": "Ada"})

    [message] = ben.received("chat")
    assert (message["seq"], message["rev"]) == (1, 1)
    assert message["kind"] == "title"
    assert message["handle"] == "Ada"
    assert message["message"] == "Tea"
    assert ben.ask("history", {})["messages"] == [message]
    assert ben.ask("since", {"after": 0})["messages"] == [message]


def test_a_title_concerns_only_its_room(ada: Client, cy: Client, open_client: Open) -> None:
    ada.ask("title", {"name": "Tea"})

    assert cy.received() == []
    assert open_client().join("garden")["name"] == ""
    assert open_client().ask("title", {"name": "Tea"})["code"] == "not_joined"


def test_a_repeated_title_consumes_no_number(ada: Client, ben: Client) -> None:
    answers = [ada.ask("title", {"name": "Tea"}), ben.ask("title", {"name": "Tea"})]

    assert answers == [{"ok": True, "rev": 1, "head": 1}] * 2
    assert len(ada.received("chat")) == 1


def test_an_empty_title_removes_the_name(
    ada: Client, ben: Client, open_client: Open, app: Flask, kitchen: str
) -> None:
    assert ada.ask("title", {"name": ""}) == {"ok": True, "rev": 0, "head": 0}
    ada.ask("title", {"name": "Tea"})
    ada.ask("title", {"name": ""})

    assert [message["message"] for message in ben.received("chat")] == ["Tea", ""]
    assert open_client().join(kitchen)["name"] == ""
    page = app.test_client().get(f"/{kitchen}/").text
    assert f"<title>{kitchen}" in page
    assert "Somebody" in page


def test_titles_of_one_batch_are_applied_in_order(
    ada: Client, app: Flask, open_client: Open, kitchen: str
) -> None:
    room = find_room(app, kitchen)
    batch: list[Command] = [SetTitle(room, "ada", name) for name in ("a", "b", "b", "a", "c")]

    store(app, batch)

    assert results_of(batch) == [(1, False), (2, False), (2, True), (3, False), (4, False)]
    assert open_client().join(kitchen)["name"] == "c"
    assert [message["message"] for message in ada.received("chat")] == ["a", "b", "a", "c"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("x" * 81, "too_long"),
        ("  ", "empty"),
        ("a\nb", "bad_request"),
        ("a\u202eb", "bad_request"),
        (1, "bad_request"),
    ],
)
def test_an_invalid_title_is_refused(ada: Client, ben: Client, name: object, code: str) -> None:
    assert ada.ask("title", {"name": name})["code"] == code
    assert ben.received() == []


def test_the_system_message_of_a_title_cannot_be_edited_deleted_or_reacted_to(ada: Client) -> None:
    ada.ask("title", {"name": "Tea"})

    assert ada.ask("edit", {"seq": 1, "message": "Coffee"})["code"] == "not_found"
    assert ada.ask("delete", {"seq": 1})["code"] == "not_found"
    assert react(ada, 1)["code"] == "not_found"


# react


def test_react_answers_with_the_number_of_the_change(ada: Client, ben: Client) -> None:
    seq = ada.post("hello")["seq"]

    assert react(ben, seq) == {"ok": True, "rev": 2, "head": 2}


def test_a_reaction_is_broadcast_with_the_mark_of_its_author(ada: Client, ben: Client) -> None:
    bens_mark = mark_of(ben)
    seq = ada.post("hello")["seq"]
    ada.received()
    react(ben, seq)

    [change] = ada.received("change")
    assert (change["seq"], change["rev"], change["message"]) == (1, 2, "hello")
    assert change["reactions"] == {THUMB: [bens_mark]}
    assert ada.ask("history", {})["messages"] == [change]
    assert ada.ask("since", {"after": 1})["messages"] == [change]


def test_reactions_concern_only_their_room(ada: Client, cy: Client, open_client: Open) -> None:
    seq = ada.post("hello")["seq"]
    react(ada, seq)

    assert react(cy, seq)["code"] == "not_found"
    assert react(open_client(), seq)["code"] == "not_joined"
    assert cy.received() == []


def test_reactions_are_ordered_by_their_first_use(ada: Client, ben: Client) -> None:
    adas_mark = mark_of(ada)
    bens_mark = mark_of(ben)
    seq = ada.post("hello")["seq"]
    for client, emoji in ((ada, THUMB), (ben, HEART), (ben, THUMB), (ada, FAMILY)):
        assert react(client, seq, emoji)["ok"]

    [message] = ben.ask("history", {})["messages"]
    assert list(message["reactions"].items()) == [
        (THUMB, [adas_mark, bens_mark]),
        (HEART, [bens_mark]),
        (FAMILY, [adas_mark]),
    ]


def test_removed_reactions_leave_no_trace_in_the_message(ada: Client, ben: Client) -> None:
    seq = ada.post("hello")["seq"]
    react(ada, seq)
    react(ben, seq)
    react(ada, seq, on=False)
    react(ben, seq, on=False)

    counts = []
    for change in ada.received("change"):
        marks = change.get("reactions", {}).values()
        counts.append(sum(len(each) for each in marks))
    assert counts == [1, 2, 1, 0]
    assert "reactions" not in ben.ask("history", {})["messages"][0]


def test_a_reaction_without_effect_consumes_no_number(ada: Client, ben: Client) -> None:
    seq = ada.post("hello")["seq"]
    answers = [
        react(ben, seq, on=False),
        react(ben, seq),
        react(ben, seq),
        react(ben, seq, on=False),
    ]

    numbers = [(answer["rev"], answer["head"]) for answer in answers]
    assert numbers == [(1, 1), (2, 2), (2, 2), (3, 3)]
    assert len(ada.received("change")) == 2


def test_reactions_of_one_batch_are_applied_in_order(ada: Client, app: Flask, kitchen: str) -> None:
    ada.post("hello")
    room = find_room(app, kitchen)
    batch: list[Command] = [
        ReactToMessage(room, author, 1, THUMB, True) for author in ("ben", "cy", "ben")
    ]

    store(app, batch)

    assert results_of(batch) == [(2, False), (3, False), (3, True)]
    assert [len(change["reactions"][THUMB]) for change in ada.received("change")] == [1, 2]


def test_an_edit_keeps_reactions_and_a_deletion_erases_them(
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
        row = connection.execute(select(messages).where(messages.c.seq == seq)).one()
    assert row.reactions is None
    assert react(ben, seq)["code"] == "gone"


def test_a_message_takes_at_most_twenty_different_emoji(ada: Client, ben: Client) -> None:
    seq = ada.post("hello")["seq"]
    animals = [chr(number) for number in range(0x1F400, 0x1F415)]
    answers = [react(ada, seq, animal) for animal in animals]

    assert [answer["ok"] for answer in answers] == [True] * 20 + [False]
    assert answers[-1]["code"] == "full"
    assert answers[-1]["retry"] is False
    assert react(ben, seq, animals[0])["ok"]
    assert react(ada, seq, animals[0], on=False)["ok"]


def test_an_emoji_takes_at_most_a_hundred_authors(ada: Client, app: Flask, kitchen: str) -> None:
    ada.post("hello")
    room = find_room(app, kitchen)
    batch: list[Command] = [
        ReactToMessage(room, f"person {number}", 1, THUMB, True) for number in range(100)
    ]

    store(app, batch)

    assert react(ada, 1)["code"] == "full"
    assert react(ada, 1, HEART)["ok"]


@pytest.mark.parametrize("emoji", [THUMB, HEART, FAMILY, "🇩🇪", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🧑🏽‍❤️‍💋‍🧑🏿", "☺️", "🅰️"])
def test_an_emoji_of_several_code_points_is_accepted(ada: Client, emoji: str) -> None:
    ada.post("hello")

    assert react(ada, 1, emoji)["ok"]


INVISIBLE = "\u2062\ufe0f"
KATAKANA = "\u30a2\ufe0f"
BOX_LINE = "\u2500\ufe0f"


@pytest.mark.parametrize(
    "emoji",
    [
        *["", "a", "👍👍", "👍 ", ":+1:", "1", "\u200d", "👍\n", "<b>", "❤" * 9, "🧑\u200d" * 9],
        *[
            INVISIBLE,
            KATAKANA,
            BOX_LINE,
            "\u203b\ufe0f",
            "\ufe0f",
            "a\ufe0f",
            "👍🏽🏽",
            "🇩",
            "👍\u200d👎",
        ],
    ],
)
def test_text_that_is_not_one_emoji_is_refused(ada: Client, ben: Client, emoji: str) -> None:
    ada.post("hello")
    ben.received()

    assert not is_emoji(emoji)
    assert react(ada, 1, emoji) == {
        "ok": False,
        "code": "bad_request",
        "message": "emoji: is not a single emoji",
        "retry": False,
    }
    assert ben.received() == []


def test_a_stored_reaction_that_is_no_emoji_is_shown_and_can_be_removed(
    ada: Client, ben: Client, app: Flask, kitchen: str
) -> None:
    adas_mark = mark_of(ada)
    ada.post("hello")
    with app.app_context(), write_transaction() as connection:
        author = connection.scalar(select(messages.c.author))
        connection.execute(update(messages).values(reactions={KATAKANA: [author]}))

    [message] = ben.ask("history", {})["messages"]
    page = app.test_client().get(f"/{kitchen}/").text
    answer = react(ada, 1, KATAKANA, on=False)

    assert message["reactions"] == {KATAKANA: [adas_mark]}
    assert f'data-emoji="{KATAKANA}"' in page
    assert answer == {"ok": True, "rev": 2, "head": 2}
    assert "reactions" not in ben.ask("history", {})["messages"][0]
    assert react(ada, 1, KATAKANA)["code"] == "bad_request"


def test_every_emoji_of_the_message_menu_is_accepted(app: Flask, ada: Client, kitchen: str) -> None:
    page = app.test_client().get(f"/{kitchen}/").text

    offered = set(re.findall(r'data-emoji="([^"]+)"', page))

    assert len(offered) > MAX_EMOJI_PER_MESSAGE
    assert {emoji for emoji in offered if not is_emoji(emoji)} == set()


# rename


def test_rename_answers_with_the_number_of_the_change(ada: Client) -> None:
    ada.post("hello", handle="Ada")

    assert ada.ask("rename", {"handle": "Ada L."}) == {"ok": True, "rev": 2, "head": 2}


def test_a_rename_is_broadcast_as_a_system_message(ada: Client, ben: Client) -> None:
    ada.post("hello", handle="Ada")
    ada.ask("rename", {"handle": "Ada L."})

    posted, renamed = ben.received("chat")
    assert (renamed["seq"], renamed["rev"]) == (2, 2)
    assert renamed["kind"] == "rename"
    assert renamed["handle"] == "Ada"
    assert renamed["message"] == "Ada L."
    assert renamed["mark"] == posted["mark"]
    assert ben.ask("since", {"after": 0})["messages"] == [posted, renamed]


def test_a_rename_is_not_broadcast_to_other_rooms(
    ada: Client, cy: Client, open_client: Open
) -> None:
    ada.post("hello")
    ada.ask("rename", {"handle": "Bea"})

    assert cy.received() == []
    assert open_client().ask("rename", {"handle": "Bea"})["code"] == "not_joined"


def test_a_rename_without_a_previous_or_with_the_same_handle_consumes_no_number(
    ada: Client, ben: Client
) -> None:
    ada.post("hello", handle="Ada")
    ben.received()

    assert ben.ask("rename", {"handle": "Ben"}) == {"ok": True, "rev": 1, "head": 1}
    assert ada.ask("rename", {"handle": "Ada"}) == {"ok": True, "rev": 1, "head": 1}
    assert [ada.ask("rename", {"handle": "Bea"})["rev"] for _ in range(2)] == [2, 2]
    assert [message["message"] for message in ben.received("chat")] == ["Bea"]


def test_the_previous_handle_is_that_of_the_last_message_or_rename_in_the_room(
    ada: Client, ben: Client
) -> None:
    ada.post("hello", handle="Ada")
    ada.ask("rename", {"handle": "Bea"})
    ada.ask("rename", {"handle": "Cleo"})
    ada.post("hello", handle="Dora")
    ada.ask("title", {"name": "Tea", "handle": "somebody"})
    ada.ask("rename", {"handle": "Eve"})

    renames = [
        (message["handle"], message["message"])
        for message in ben.received("chat")
        if message.get("kind") == "rename"
    ]
    assert renames == [("Ada", "Bea"), ("Bea", "Cleo"), ("Dora", "Eve")]


def test_two_tabs_that_announce_the_same_name_make_one_message(
    ada: Client, app: Flask, kitchen: str
) -> None:
    ada.post("hello", handle="Ada")
    room = find_room(app, kitchen)
    store(app, [PostMessage(room, "ben", "Ben", "hello")])

    store(app, [ChangeHandle(room, "ben", "Benny"), ChangeHandle(room, "ben", "Benny")])

    renames = [row for row in ada.ask("history", {})["messages"] if row.get("kind") == "rename"]
    assert [(row["handle"], row["message"]) for row in renames] == [("Ben", "Benny")]


def test_a_rename_is_not_announced_when_the_last_message_is_far_back(
    ada: Client, app: Flask, kitchen: str
) -> None:
    ada.post("hello", handle="Ada")
    room = find_room(app, kitchen)
    later: list[Command] = [PostMessage(room, "ben", "Ben", "hello")]
    later += [
        ChangeHandle(room, "ben", f"Ben {number}")
        for number in range(2, 1 + NAME_LOOKBACK_MESSAGES)
    ]

    store(app, later[:1])
    store(app, later[1:])

    assert ada.ask("rename", {"handle": "Bea"})["rev"] == 1 + NAME_LOOKBACK_MESSAGES


def test_the_system_message_of_a_rename_cannot_be_edited_deleted_or_reacted_to(
    ada: Client,
) -> None:
    ada.post("hello", handle="Ada")
    ada.ask("rename", {"handle": "Bea"})

    assert ada.ask("edit", {"seq": 2, "message": "Cleo"})["code"] == "not_found"
    assert ada.ask("delete", {"seq": 2})["code"] == "not_found"
    assert react(ada, 2)["code"] == "not_found"


@pytest.mark.parametrize(
    ("handle", "code"),
    [("", "empty"), ("x" * 65, "too_long"), ("a\nb", "bad_request"), (1, "bad_request")],
)
def test_an_invalid_handle_is_refused(ada: Client, ben: Client, handle: object, code: str) -> None:
    ada.post("hello")
    ben.received()

    assert ada.ask("rename", {"handle": handle})["code"] == code
    assert ben.received() == []
