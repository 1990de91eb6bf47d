"""The rules of a room: who may post, its history, its password, and its end."""

from datetime import timedelta

from sqlalchemy import select

from chat.errors import Busy
from chat.models import MessagePage, Room
from chat.moderation.rules import NO_RULES, utc_now
from chat.moderation.tables import last_posts
from chat.services import services_of
from chat.storage.database import read_transaction, write_transaction
from chat.storage.retention import delete_old_rows
from tests.conftest import Client, Patch
from tests.moderation.conftest import Salon


def test_only_hosts_post_in_a_locked_room(salon: Salon) -> None:
    assert salon.moderate("lock")["ok"]

    assert salon.ada.post("hello")["code"] == "locked"
    assert salon.hana.post("quiet please", handle="Hana")["ok"]

    assert salon.moderate("unlock")["ok"]
    assert salon.ada.post("hello")["ok"]


def test_an_action_shows_the_rules_after_it(salon: Salon) -> None:
    salon.moderate("lock")

    [announced] = salon.ben.received("chat")
    assert announced["details"]["rules"]["locked"] is True
    assert announced["details"]["rules"]["roles"] == {salon.hana_mark: "host"}
    joined = salon.open_client().join(salon.label)
    assert joined["rules"] == announced["details"]["rules"]


def test_a_rule_that_holds_already_makes_no_message(salon: Salon) -> None:
    salon.moderate("lock")
    before = salon.messages()

    assert salon.moderate("lock")["ok"]

    assert salon.messages() == before


def test_slow_mode_refuses_the_next_message_for_some_seconds(salon: Salon) -> None:
    salon.moderate("slow_mode", seconds=60)
    assert salon.moderate("appoint", target=salon.ben_mark)["ok"]
    assert salon.ada.post("once")["ok"]

    answer = salon.ada.post("again")

    assert answer["code"] == "slow_mode"
    assert answer["retry"]
    assert 0 < answer["retry_after_ms"] <= 60_000
    assert salon.hana.post("one", handle="Hana")["ok"]
    assert salon.hana.post("two", handle="Hana")["ok"]
    assert salon.ben.post("one", handle="Ben")["ok"]
    assert salon.ben.post("two", handle="Ben")["ok"]


def test_slow_mode_holds_after_the_last_message_was_deleted(salon: Salon) -> None:
    salon.moderate("slow_mode", seconds=60)
    seq = salon.ada.post("once")["seq"]
    assert salon.ada.ask("delete", {"seq": seq})["ok"]
    salon.ben.received()

    assert salon.ada.post("again")["code"] == "slow_mode"

    assert salon.ben.received("chat") == []
    with salon.app.app_context(), write_transaction() as connection:
        connection.execute(last_posts.update().values(posted_at=utc_now() - timedelta(minutes=1)))
    assert salon.ada.post("later")["ok"]


def test_slow_mode_notes_nothing_for_long(salon: Salon) -> None:
    assert salon.ada.post("before")["ok"]
    salon.moderate("slow_mode", seconds=60)
    assert salon.ada.post("once")["ok"]

    with salon.app.app_context():
        list(delete_old_rows(utc_now() + timedelta(minutes=11)))
        early = count_last_posts()
        list(delete_old_rows(utc_now() + timedelta(minutes=61)))
        late = count_last_posts()

    assert (early, late) == (1, 0)


def count_last_posts() -> int:
    with read_transaction() as connection:
        return len(connection.execute(select(last_posts)).all())


def test_only_hosts_name_the_room(salon: Salon) -> None:
    salon.moderate("naming", by="hosts")

    assert salon.ada.ask("title", {"name": "Ada's room"})["code"] == "forbidden"
    assert salon.hana.ask("title", {"name": "Salon", "handle": "Hana"})["ok"]


def test_a_cleared_history_is_gone_for_everybody(salon: Salon) -> None:
    before = salon.open_client().join(salon.label)
    seq = before["messages"][0]["seq"]

    assert salon.moderate("clear")["ok"]

    after = salon.open_client().join(salon.label)
    assert [row["message"] for row in after["messages"]] == ["Hana cleared the history"]
    assert after["epoch"] != before["epoch"]
    assert after["floor"] == before["head"]
    assert salon.ada.ask("since", {"after": 0})["messages"] == after["messages"]
    assert salon.ada.ask("history", {"around": seq})["messages"] == after["messages"]
    assert salon.ada.ask("react", {"seq": seq, "emoji": "👍", "on": True})["code"] == "not_found"


def test_a_closed_room_disconnects_everybody_and_lets_nobody_in(salon: Salon, cy: Client) -> None:
    assert salon.moderate("close")["ok"]

    salon.wait_until_disconnected(salon.ada)
    salon.wait_until_disconnected(salon.hana)
    assert cy.is_connected
    assert salon.open_client().join(salon.label)["code"] == "closed"
    assert salon.app.test_client().get(f"/{salon.label}/").status_code == 410


def test_a_password_is_asked_before_anything_is_shown(salon: Salon) -> None:
    assert salon.moderate("password", password="open sesame")["ok"]

    stranger = salon.open_client()
    assert stranger.join(salon.label)["code"] == "password_required"
    assert stranger.join(salon.label, password="guess")["code"] == "wrong_password"
    assert stranger.ask("history", {})["code"] == "not_joined"
    assert stranger.join(salon.label, password="open sesame")["ok"]
    assert stranger.join(salon.label)["ok"]
    assert salon.app.test_client().get(f"/{salon.label}/").status_code == 401


def test_a_join_that_cannot_read_the_messages_does_not_stay_in_the_room(
    salon: Salon, cy: Client, monkeypatch: Patch
) -> None:
    def set_password_and_fail(_room: Room) -> MessagePage:
        assert salon.moderate("password", password="tea")["ok"]
        raise Busy

    with monkeypatch.context() as outage:
        outage.setattr(Room, "latest", set_password_and_fail)
        assert cy.join(salon.label)["code"] == "busy"
    cy.received()

    assert salon.hana.post("the secret", handle="Hana")["ok"]
    assert cy.received("chat") == []
    assert cy.ask("history", {})["code"] == "not_joined"
    assert cy.join(salon.label)["code"] == "password_required"
    assert cy.join(salon.label, password="tea")["ok"]
    assert salon.hana.post("for all of you", handle="Hana")["ok"]
    assert [row["message"] for row in cy.received("chat")] == ["for all of you"]


def test_a_member_whose_join_could_not_read_the_messages_joins_again(
    salon: Salon, monkeypatch: Patch
) -> None:
    def fail(_room: Room, _after: int) -> MessagePage:
        raise Busy

    with monkeypatch.context() as outage:
        outage.setattr(Room, "missed", fail)
        assert salon.ada.join(salon.label, after=1)["code"] == "busy"
    assert salon.ben.post("hello", handle="Ben")["ok"]

    missed = salon.ada.join(salon.label, after=0)["messages"]

    assert missed[-1]["message"] == "hello"
    assert salon.ben.post("hello again", handle="Ben")["ok"]
    assert [row["message"] for row in salon.ada.received("chat")] == ["hello again"]


def test_nobody_acts_under_a_name_that_they_repeated_a_message_with(salon: Salon) -> None:
    salon.ada.post("tea?", id="a-random-id-of-16")
    assert salon.hana.post("tea?", handle="The operator", id="a-random-id-of-16")["duplicate"]
    salon.ben.received()

    assert salon.moderate("lock")["ok"]

    [announced] = salon.ben.received("chat")
    assert announced["message"] == "Hana locked the room: only hosts can post"


def test_a_new_password_has_to_be_given_again(salon: Salon) -> None:
    salon.moderate("password", password="first")
    guest = salon.open_client()
    assert guest.join(salon.label, password="first")["ok"]

    salon.moderate("password", password="second")

    assert guest.join(salon.label)["code"] == "password_required"
    assert salon.hana.join(salon.label)["ok"]


def test_rules_of_a_room_in_memory_are_read_again_before_somebody_is_refused(salon: Salon) -> None:
    shared = services_of(salon.app).reconciler.rooms[salon.label]
    old = shared.rules._replace(password_hash="of a password that was removed")
    shared.set_rules(old, shared.epoch, shared.head)

    assert salon.open_client().join(salon.label)["ok"]

    assert shared.rules.password_hash == ""


def test_rules_are_not_replaced_by_older_ones(salon: Salon) -> None:
    shared = services_of(salon.app).reconciler.rooms[salon.label]
    newer = shared.rules._replace(is_locked=True)
    shared.set_rules(newer, shared.epoch, 100)

    shared.set_rules(NO_RULES, shared.epoch, 99)

    assert shared.rules == newer
