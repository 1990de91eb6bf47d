"""`flask confab person`: find people, erase what they wrote, and export it."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from chat.cli import people
from chat.models import Room
from chat.storage.erasure import erase_records
from chat.storage.people_search import is_recorded
from chat.storage.room_deletion import delete_room
from tests.cli.conftest import Confab
from tests.conftest import Client, create_room, in_room
from tests.moderation.conftest import Salon
from tests.storage.test_erasure import whole_database

Run = Callable[..., Any]


def test_people_are_found_by_a_part_of_any_of_their_names(
    confab_json: Run, salon: Salon, cy: Client
) -> None:
    salon.ada.post("again", handle="Ada")
    salon.ada.ask("rename", {"handle": "Countess"})

    [found] = confab_json("person", "find", "aDA")

    assert found["label"] == "salon"
    assert found["mark"] == salon.ada_mark
    assert found["handles"] == ["Ada", "Countess"]
    assert found["handle"] == "Countess"
    assert found["messages"] == 2
    assert found["last_seen_at"].endswith("Z")
    assert confab_json("person", "find", "count") == [found]
    assert confab_json("person", "find", "ada", "--room", "garden") == []


def test_names_that_look_like_the_text_are_found(confab_json: Run, salon: Salon) -> None:
    cyrillic = "\u0412\u0435n"

    assert [found["handle"] for found in confab_json("person", "find", cyrillic)] == ["Ben"]


def test_people_are_found_by_the_first_digits_of_their_mark(
    confab_json: Run, confab: Confab, salon: Salon
) -> None:
    found = confab_json("person", "find", salon.ben_mark[:10].upper())

    assert [person["handle"] for person in found] == ["Ben"]
    assert "Ben" in confab("person", "find", salon.ben_mark).stdout


def test_the_operator_exports_what_a_person_wrote(confab_json: Run, salon: Salon) -> None:
    salon.ben.ask("react", {"seq": 1, "emoji": "👍", "on": True})

    [exported] = confab_json("person", "export", "salon", salon.ben_mark)

    assert exported["room"] == "salon"
    assert exported["mark"] == salon.ben_mark
    assert [message["text"] for message in exported["messages"]] == ["Ben is here"]
    assert exported["reactions"] == [{"seq": 1, "emoji": "👍"}]


def test_the_operator_erases_what_a_person_wrote_and_the_room_is_told_without_the_text(
    app: Flask, confab_json: Run, salon: Salon, cy: Client
) -> None:
    salon.ben.post("a secret", handle="Ben")
    salon.ada.received()

    erased = confab_json("person", "erase", "salon", salon.ben_mark, "--yes")

    assert erased == [{"label": "salon", "mark": salon.ben_mark, "erased": 2}]
    events = salon.ada.received()
    assert [event["name"] for event in events] == ["change", "change", "chat"]
    revs = [event["args"][0]["rev"] for event in events]
    assert revs == list(range(revs[0], revs[0] + 3))
    told = events[-1]["args"][0]
    assert told["message"] == "The operator erased everything that one person wrote here"
    assert told["details"]["action"] == "erase"
    assert "target" not in told["details"]
    assert cy.received("chat") == []
    assert "secret" not in str(salon.messages())
    assert "Ben" not in str(salon.messages())
    assert confab_json("person", "find", "Ben") == []


def test_erasing_again_changes_nothing_and_is_not_announced(
    confab: Confab, confab_json: Run, salon: Salon
) -> None:
    confab_json("person", "erase", "salon", salon.ben_mark, "--yes")
    salon.ada.received()

    again = confab("person", "erase", "salon", salon.ben_mark, "--yes")

    assert again.exit_code == 1
    assert "There is nothing by a person" in again.stderr
    assert salon.ada.received("chat") == []


def test_a_person_is_erased_in_all_rooms_where_they_have_left_anything(
    app: Flask, confab_json: Run, open_client: Callable[..., Client]
) -> None:
    browser = app.test_client()
    for label in ("attic", "cellar", "porch"):
        create_room(app, label)
    client = open_client(browser)
    mark = in_room(client, "attic").join("attic")["you"]["mark"]
    client.post("in the attic", handle="Ben")
    in_room(client, "cellar").post("in the cellar", handle="Benny")
    other = in_room(open_client(), "porch")
    other.post("hello")
    in_room(client, "porch").ask("react", {"seq": 1, "emoji": "👍", "on": True})

    erased = confab_json("person", "erase", "attic", mark, "--everywhere", "--yes")

    assert [(each["label"], each["erased"]) for each in erased] == [
        ("attic", 1),
        ("cellar", 1),
        ("porch", 1),
    ]
    [message, _] = other.ask("history", {})["messages"]
    assert message["message"] == "hello"
    assert "reactions" not in message or not message["reactions"]
    assert confab_json("person", "find", "Ben") == []


def test_announcements_about_a_person_without_messages_are_erased(
    app: Flask, confab_json: Run, salon: Salon
) -> None:
    for action in ("mute", "delete_all", "ban"):
        assert salon.moderate(action, target=salon.ben_mark)["ok"]
    assert salon.moderate("mute", target=salon.ada_mark)["ok"]
    salon.ada.received()

    erased = confab_json("person", "erase", "salon", salon.ben_mark, "--yes")

    assert erased == [{"label": "salon", "mark": salon.ben_mark, "erased": 3}]
    events = salon.ada.received()
    assert [event["name"] for event in events] == ["change", "change", "change", "chat"]
    assert all(event["args"][0]["deleted"] for event in events[:3])
    stored = whole_database(app)
    assert "Ben" not in stored
    assert "Hana muted Ada" in stored
    imposed = {(each["kind"], each["handle"]) for each in confab_json("bans", "--all")}
    assert imposed == {("mute", ""), ("ban", ""), ("mute", "Ada")}
    rules = salon.messages()[-1]["details"]["rules"]
    assert rules["roles"] == {salon.hana_mark: "host"}


def test_announcements_about_a_person_who_never_wrote_are_erased(
    app: Flask, confab_json: Run, salon: Salon
) -> None:
    client = in_room(salon.open_client(), "salon")
    mark = client.join("salon")["you"]["mark"]
    assert salon.moderate("remove", target=mark)["ok"]
    assert "Hana removed" in whole_database(app)

    erased = confab_json("person", "erase", "salon", mark, "--yes")

    assert [each["erased"] for each in erased] == [1]
    assert mark not in str(salon.messages())
    assert "Hana removed" not in whole_database(app)


def test_announcements_are_erased_when_no_record_names_the_person_any_more(
    app: Flask, confab: Confab, salon: Salon
) -> None:
    for action in ("mute", "unmute", "delete_all"):
        assert salon.moderate(action, target=salon.ben_mark)["ok"]
    with app.app_context():
        erase_records(Room.find("salon"), salon.ben_mark)
        assert not is_recorded(Room.find("salon").id, salon.ben_mark)

    first = confab("person", "erase", "salon", salon.ben_mark, "--yes")
    again = confab("person", "erase", "salon", salon.ben_mark, "--yes")

    assert first.exit_code == 0
    assert "Ben" not in whole_database(app)
    assert "There is nothing by a person" in again.stderr


def test_reactions_of_a_person_without_messages_are_erased(confab_json: Run, salon: Salon) -> None:
    assert salon.ben.ask("react", {"seq": 1, "emoji": "👍", "on": True})["ok"]
    assert salon.moderate("delete_all", target=salon.ben_mark)["ok"]

    erased = confab_json("person", "erase", "salon", salon.ben_mark, "--yes")

    assert [each["erased"] for each in erased] == [2]
    messages = salon.messages()
    assert not any(each.get("reactions") for each in messages)
    assert salon.ben_mark not in str(messages)


def test_a_room_that_is_deleted_meanwhile_does_not_stop_the_erasure_in_the_others(
    app: Flask,
    confab_json: Run,
    open_client: Callable[..., Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = open_client()
    for label in ("attic", "cellar"):
        create_room(app, label)
        assert in_room(client, label).post("hello", handle="Ben")["ok"]
    mark = client.join("attic")["you"]["mark"]
    with app.app_context():
        attic = Room.find("attic")

    def delete_attic(*_: object, **__: object) -> None:
        delete_room(attic)

    monkeypatch.setattr(people, "confirm", delete_attic)
    erased = confab_json("person", "erase", "attic", mark, "--everywhere", "--yes")

    assert [(each["label"], each["erased"]) for each in erased] == [("attic", 0), ("cellar", 1)]


@pytest.mark.parametrize("command", ["erase", "export"])
def test_a_person_who_has_left_nothing_is_an_error(
    confab: Confab, salon: Salon, command: str
) -> None:
    words = ["--yes"] if command == "erase" else []

    result = confab("person", command, "salon", "0123456789abcdef", *words)

    assert result.exit_code == 1
    assert result.stderr == (
        "Error: There is nothing by a person with the mark 0123456789abcdef in salon.\n"
    )


def test_nobody_is_erased_when_nobody_can_be_asked(
    confab: Confab, confab_json: Run, salon: Salon
) -> None:
    result = confab("person", "erase", "salon", salon.ben_mark)

    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert len(confab_json("person", "find", "Ben")) == 1
