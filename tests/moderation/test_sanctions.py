"""What hosts impose on people is announced, and enforced on every write."""

from datetime import timedelta
from typing import Any

import pytest

from chat.models import Room, messages, rooms
from chat.moderation import actions
from chat.moderation.rules import utc_now
from chat.moderation.tables import sanctions
from chat.services import services_of
from chat.storage import personal_data
from chat.storage.database import write_transaction
from chat.storage.room_deletion import delete_room
from tests.conftest import Client, in_room
from tests.moderation.conftest import Salon
from tests.servers import wait_until


def test_a_mute_is_announced_to_the_room_and_to_nobody_else(salon: Salon, cy: Client) -> None:
    cy.received()

    answer = salon.moderate("mute", target=salon.ada_mark, seconds=3_600)

    assert answer["ok"]
    [announced] = salon.ben.received("chat")
    assert announced["seq"] == answer["rev"]
    assert announced["kind"] == "moderation"
    assert announced["handle"] == "Hana"
    assert announced["message"] == "Hana muted Ada for 1 hour"
    assert announced["details"]["action"] == "mute"
    assert announced["details"]["target"] == salon.ada_mark
    assert announced["details"]["until"].endswith("Z")
    assert salon.ada.received("chat") == [announced]
    assert cy.received("chat") == []


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("chat", {"handle": "Ada", "message": "hello"}),
        ("react", {"seq": 1, "emoji": "👍", "on": True}),
        ("rename", {"handle": "Adele"}),
        ("title", {"name": "Mine"}),
    ],
)
def test_a_muted_person_writes_nothing(
    salon: Salon, event: str, payload: dict[str, object]
) -> None:
    salon.moderate("mute", target=salon.ada_mark)
    salon.ben.received()

    answer = salon.ada.ask(event, payload)

    assert answer["code"] == "muted"
    assert not answer["retry"]
    assert salon.ben.received("chat") + salon.ben.received("change") == []


def test_a_muted_person_may_read_and_delete_their_own_messages(salon: Salon) -> None:
    own = next(row for row in salon.messages() if row["message"] == "Ada is here")
    salon.moderate("mute", target=salon.ada_mark)

    assert salon.ada.ask("since", {"after": 0})["ok"]
    assert salon.ada.ask("delete", {"seq": own["seq"]})["ok"]


def test_an_unmuted_person_posts_again(salon: Salon) -> None:
    salon.moderate("mute", target=salon.ada_mark)

    answer = salon.moderate("unmute", target=salon.ada_mark)

    assert answer["ok"]
    assert salon.messages()[-1]["message"] == "Hana unmuted Ada"
    assert salon.ada.post("thanks")["ok"]


def test_a_mute_ends_by_itself(salon: Salon) -> None:
    salon.moderate("mute", target=salon.ada_mark, seconds=600)
    assert salon.ada.post("early")["code"] == "muted"

    with salon.app.app_context(), write_transaction() as connection:
        connection.execute(sanctions.update().values(until=utc_now() - timedelta(seconds=1)))

    assert salon.ada.post("late")["ok"]


@pytest.mark.parametrize("seconds", [600, None])
def test_a_muted_person_learns_it_when_they_join(salon: Salon, seconds: int | None) -> None:
    assert "muted_until" not in salon.ada.join(salon.label)["you"]
    duration: dict[str, Any] = {} if seconds is None else {"seconds": seconds}
    assert salon.moderate("mute", target=salon.ada_mark, **duration)["ok"]

    until = salon.messages()[-1]["details"].get("until")
    assert salon.ada.join(salon.label)["you"]["muted_until"] == until
    assert (until is None) == (seconds is None)
    assert "muted_until" not in salon.ben.join(salon.label)["you"]

    assert salon.moderate("unmute", target=salon.ada_mark)["ok"]
    assert "muted_until" not in salon.ada.join(salon.label)["you"]


@pytest.mark.parametrize("action", ["ban", "remove"])
def test_somebody_who_was_sent_away_is_disconnected_and_cannot_return(
    salon: Salon, action: str
) -> None:
    token = salon.ada.join(salon.label)["you"]["token"]

    salon.moderate(action, target=salon.ada_mark)

    salon.wait_until_disconnected(salon.ada)
    returning = salon.open_client(token=token)
    code = {"ban": "banned", "remove": "removed"}[action]
    assert returning.join(salon.label)["code"] == code
    assert returning.post("let me in")["code"] == "not_joined"
    assert salon.ben.is_connected


def test_a_readmitted_person_may_return(salon: Salon) -> None:
    token = salon.ada.join(salon.label)["you"]["token"]
    salon.moderate("remove", target=salon.ada_mark)

    assert salon.moderate("readmit", target=salon.ada_mark)["ok"]

    assert salon.open_client(token=token).join(salon.label)["ok"]


def test_lifting_what_was_not_imposed_changes_nothing(salon: Salon) -> None:
    before = salon.messages()

    assert salon.moderate("unban", target=salon.ada_mark)["ok"]

    assert salon.messages() == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"action": "mute"},
        {"action": "mute", "target": "nobody"},
        {"action": "mute", "target": "0" * 16, "seconds": 7},
        {"action": "mute", "target": "0" * 16, "by": "hosts"},
        {"action": "explode"},
        {"action": "lock", "target": "0" * 16},
        {},
    ],
)
def test_a_malformed_action_is_refused(salon: Salon, arguments: dict[str, object]) -> None:
    before = salon.messages()

    assert salon.hana.ask("moderate", arguments)["code"] == "bad_request"

    assert salon.messages() == before


ACTIONS_ON_PEOPLE = ["mute", "remove", "ban", "delete_all", "appoint", "dismiss", "hand_over"]


@pytest.mark.parametrize("action", ACTIONS_ON_PEOPLE)
def test_nobody_without_a_role_acts_on_people(salon: Salon, action: str) -> None:
    before = salon.messages()

    answer = salon.moderate(action, who=salon.ben, target=salon.ada_mark)

    assert answer["code"] in ("forbidden", "not_yours")
    assert salon.messages() == before
    assert salon.ada.received() == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"action": "lock"},
        {"action": "slow_mode", "seconds": 10},
        {"action": "naming", "by": "hosts"},
        {"action": "password", "password": "tea"},
        {"action": "expiry", "seconds": 3_600},
        {"action": "clear"},
        {"action": "close"},
        {"action": "host_link"},
        {"action": "become_host"},
        {"action": "use_host_link", "secret": "guessed"},
    ],
)
def test_nobody_without_a_role_changes_the_room(salon: Salon, arguments: dict[str, object]) -> None:
    before = salon.messages()

    answer = salon.ben.ask("moderate", arguments)

    assert answer["code"] in ("forbidden", "host_link_refused")
    assert salon.messages() == before
    assert salon.ada.received() == []


@pytest.mark.parametrize("action", ["mute", "remove", "ban", "dismiss", "hand_over"])
def test_hosts_do_nothing_to_themselves(salon: Salon, action: str) -> None:
    assert salon.moderate(action, target=salon.hana_mark)["code"] == "forbidden"

    assert salon.hana.post("still here", handle="Hana")["ok"]


def test_moderators_act_on_people_but_not_on_hosts(salon: Salon) -> None:
    assert salon.moderate("appoint", target=salon.ada_mark)["ok"]

    assert salon.moderate("mute", who=salon.ada, target=salon.ben_mark)["ok"]
    assert salon.moderate("ban", who=salon.ada, target=salon.hana_mark)["code"] == "forbidden"
    assert salon.moderate("lock", who=salon.ada)["code"] == "forbidden"


def test_a_host_deletes_the_message_of_another(salon: Salon) -> None:
    seq = salon.ada.post("rude")["seq"]
    salon.ben.received()

    assert salon.hana.ask("delete", {"seq": seq})["ok"]

    [tombstone] = salon.ben.received("change")
    assert tombstone["deleted"]
    assert tombstone["message"] == ""
    assert tombstone["mark"] == ""
    assert tombstone["details"] == {"action": "delete"}


def test_a_host_deletes_everything_that_a_person_wrote(salon: Salon) -> None:
    for number in range(3):
        salon.ada.post(f"spam {number}")

    answer = salon.moderate("delete_all", target=salon.ada_mark)

    assert answer["count"] == 4
    rows = salon.messages()
    assert rows[-1]["message"] == "Hana deleted 4 messages of Ada"
    assert not [row for row in rows if "spam" in row["message"]]
    assert [row for row in rows if row["message"] == "Ben is here"]


def test_a_muted_person_is_not_seen_typing(salon: Salon) -> None:
    assert salon.moderate("mute", target=salon.ada_mark)["ok"]
    shared = services_of(salon.app).reconciler.rooms[salon.label]
    wait_until(lambda: shared.rules.has_sanctions)
    salon.ben.received()

    salon.ada.ask("typing", {"handle": "Ada"})
    assert salon.hana.ask("typing", {"handle": "Hana"})["ok"]

    assert [payload["mark"] for payload in salon.ben.received("typing")] == [salon.hana_mark]


def test_only_hosts_are_seen_typing_in_a_locked_room(salon: Salon) -> None:
    assert salon.moderate("lock")["ok"]
    shared = services_of(salon.app).reconciler.rooms[salon.label]
    wait_until(lambda: shared.rules.is_locked)
    salon.ben.received()

    salon.ada.ask("typing", {"handle": "Ada"})
    assert salon.hana.ask("typing", {"handle": "Hana"})["ok"]

    assert [payload["mark"] for payload in salon.ben.received("typing")] == [salon.hana_mark]


def test_a_muted_moderator_keeps_the_role_but_cannot_act(salon: Salon) -> None:
    seq = salon.ben.post("hello")["seq"]
    salon.moderate("appoint", target=salon.ada_mark)
    salon.moderate("mute", target=salon.ada_mark)
    salon.ben.received()

    assert salon.ada.post("hello")["code"] == "muted"
    for action in ("mute", "ban", "delete_all"):
        assert salon.moderate(action, who=salon.ada, target=salon.ben_mark)["code"] == "muted"
    assert salon.ada.ask("delete", {"seq": seq})["code"] == "muted"
    assert salon.ben.received("chat") + salon.ben.received("change") == []

    salon.moderate("unmute", target=salon.ada_mark)
    assert salon.moderate("mute", who=salon.ada, target=salon.ben_mark)["ok"]


def test_a_removed_moderator_is_a_moderator_again_afterwards(salon: Salon) -> None:
    token = salon.ada.join(salon.label)["you"]["token"]
    salon.moderate("appoint", target=salon.ada_mark)
    salon.moderate("remove", target=salon.ada_mark)
    salon.moderate("readmit", target=salon.ada_mark)

    returning = salon.open_client(token=token)

    assert returning.join(salon.label)["rules"]["roles"][salon.ada_mark] == "moderator"


def test_a_banned_moderator_loses_the_role(salon: Salon) -> None:
    salon.moderate("appoint", target=salon.ada_mark)

    rules = salon.moderate("ban", target=salon.ada_mark)

    assert rules["ok"]
    assert salon.messages()[-1]["details"]["rules"]["roles"] == {salon.hana_mark: "host"}


@pytest.mark.parametrize(("action", "word"), [("mute", "muted"), ("remove", "removed")])
def test_hosts_are_not_muted_or_removed(salon: Salon, action: str, word: str) -> None:
    secret = salon.moderate("host_link")["secret"]
    salon.moderate("use_host_link", who=salon.ada, secret=secret)
    before = salon.messages()

    answer = salon.moderate(action, target=salon.ada_mark)

    assert answer["code"] == "forbidden"
    assert answer["message"] == f"Hosts can't be {word}. Remove the host role first."
    assert salon.messages() == before


@pytest.mark.parametrize("action", ["ban", "remove"])
def test_the_name_of_somebody_who_was_sent_away_is_free(salon: Salon, action: str) -> None:
    browser = salon.app.test_client()
    browser.get(f"/{salon.label}/")
    imposter = in_room(salon.open_client(browser), salon.label)
    mark = imposter.join(salon.label)["you"]["mark"]
    assert imposter.post("I am Dora", handle="Dora")["ok"]
    assert salon.ben.post("I am Dora", handle="Dora")["code"] == "name_taken"

    salon.moderate(action, target=mark)

    assert salon.ben.post("I am Dora", handle="Dora")["ok"]


@pytest.mark.parametrize("handle", ["The operator", "SOMEBODY", "S\u043emebody"])
def test_nobody_has_a_name_that_system_messages_use(salon: Salon, handle: str) -> None:
    salon.ben.received()

    assert salon.ada.post("obey", handle=handle)["code"] == "name_taken"
    assert salon.ada.ask("rename", {"handle": handle})["code"] == "name_taken"

    assert salon.ben.received("chat") == []


@pytest.mark.parametrize("event", ["rename", "title"])
def test_hosts_delete_lines_with_names(salon: Salon, event: str) -> None:
    key = {"rename": "handle", "title": "name"}[event]
    assert salon.ada.ask(event, {key: "Rude"})["ok"]
    seq = salon.messages()[-1]["seq"]
    salon.ben.received()

    assert salon.ben.ask("delete", {"seq": seq})["code"] == "not_found"
    assert salon.hana.ask("delete", {"seq": seq})["ok"]

    [tombstone] = salon.ben.received("change")
    assert tombstone["deleted"]
    assert tombstone["message"] == tombstone["handle"] == ""


def test_deleting_everything_includes_lines_with_names(salon: Salon) -> None:
    salon.ada.ask("rename", {"handle": "Rude name"})
    salon.ada.ask("title", {"name": "Rude title"})

    assert salon.moderate("delete_all", target=salon.ada_mark, seconds=3_600)["count"] == 3

    assert "Rude" not in str([row["message"] for row in salon.messages()[:-1]])


@pytest.mark.parametrize("is_all_gone", [False, True])
def test_deleting_everything_goes_on_when_messages_expire_meanwhile(
    salon: Salon, monkeypatch: pytest.MonkeyPatch, is_all_gone: bool
) -> None:
    monkeypatch.setattr(actions, "DELETIONS_AT_ONCE", 2)
    for number in range(5):
        salon.ada.post(f"message {number}")
    with salon.app.app_context():
        seqs = personal_data.seqs_of(Room.find(salon.label), salon.ada_mark, None, lambda: None)
    floor = seqs[-1] if is_all_gone else seqs[2]
    salon.ben.received()

    def list_and_raise_floor(*given: Any) -> list[int]:
        listed = personal_data.seqs_of(*given)
        with write_transaction() as connection:
            connection.execute(rooms.update().values(floor=floor))
        return listed

    monkeypatch.setattr(actions, "seqs_of", list_and_raise_floor)
    answer = salon.moderate("delete_all", target=salon.ada_mark)

    assert answer["ok"]
    assert answer["count"] == (0 if is_all_gone else 3)
    deleted = [seq for seq in seqs if seq > floor]
    received = [event["args"][0] for event in salon.ben.received()]
    assert [row["seq"] for row in received if row.get("deleted")] == deleted
    announced = [row["message"] for row in received if not row.get("deleted")]
    assert announced == ([] if is_all_gone else ["Hana deleted 3 messages of Ada"])


def test_deleting_everything_in_a_room_that_is_deleted_meanwhile_is_refused(
    salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def list_and_delete_room(*given: Any) -> list[int]:
        listed = personal_data.seqs_of(*given)
        delete_room(Room.find(salon.label))
        return listed

    monkeypatch.setattr(actions, "seqs_of", list_and_delete_room)

    assert salon.moderate("delete_all", target=salon.ada_mark)["code"] == "not_found"


def test_messages_of_a_person_are_found_from_a_time_on_in_every_window(
    salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal_data, "WINDOW_SEQS", 2)
    old = salon.ada.post("old")["seq"]
    with salon.app.app_context(), write_transaction() as connection:
        earlier = utc_now() - timedelta(hours=2)
        connection.execute(messages.update().values(timestamp=earlier))
    recent = [salon.ada.post(f"recent {number}")["seq"] for number in range(5)]

    with salon.app.app_context():
        room = Room.find(salon.label)
        hour_ago = utc_now() - timedelta(hours=1)
        found = personal_data.seqs_of(room, salon.ada_mark, hour_ago, lambda: None)
        ever = personal_data.seqs_of(room, salon.ada_mark, None, lambda: None)

    assert found == recent
    assert old in ever
    assert ever[-5:] == recent
