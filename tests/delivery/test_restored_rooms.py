"""A room whose history the operator restores from a backup while clients are in it."""

import threading
from collections.abc import Callable

import pytest
from flask import Flask

from chat.delivery import reconciler
from chat.models import Room, RoomHead, rooms
from chat.moderation.rules import SanctionKind
from chat.services import services_of
from chat.storage.database import write_transaction
from chat.storage.moderation_commands import ClearHistory, Impose, Target
from tests.conftest import Client, Patch, create_room, in_room, post_elsewhere, submit_elsewhere
from tests.servers import wait_until
from tests.storage.test_deleted_rooms import delete_room

pytestmark = pytest.mark.usefixtures("without_polls")

MESSAGES_BEFORE = 5


@pytest.fixture
def restored(app: Flask, ada: Client, ben: Client, kitchen: str) -> str:
    """The kitchen with five messages, then a new epoch, which the members have been told."""
    for number in range(MESSAGES_BEFORE):
        ada.post(f"message {number}")
    with app.app_context(), write_transaction() as transaction:
        of_kitchen = rooms.update().where(rooms.c.label == kitchen)
        transaction.execute(of_kitchen.values(epoch="restored"))
    services_of(app).reconciler.poll()
    for client in (ada, ben):
        assert [head["epoch"] for head in client.received("head")] == ["restored"]
    return kitchen


@pytest.mark.parametrize("polls", [0, 1, 2])
def test_a_member_that_joins_again_causes_no_repeated_messages(
    app: Flask, ada: Client, ben: Client, restored: str, polls: int
) -> None:
    answer = ada.join(restored)
    for _ in range(polls):
        services_of(app).reconciler.poll()
    ada.post("after the restore")

    assert answer["head"] == MESSAGES_BEFORE
    assert [message["message"] for message in ben.received("chat")] == ["after the restore"]


def test_a_newcomer_causes_no_repeated_messages(
    app: Flask, ada: Client, ben: Client, restored: str, open_client: Callable[..., Client]
) -> None:
    newcomer = in_room(open_client(), restored)
    services_of(app).reconciler.poll()
    ada.post("after the restore")

    for client in (ben, newcomer):
        assert [message["message"] for message in client.received("chat")] == ["after the restore"]


def call_after_reading(monkeypatch: Patch, action: Callable[[], None]) -> None:
    """Make the next poll call `action` between reading the rooms and working on them."""
    read = reconciler._find_rooms

    def read_then_act(labels: set[str]) -> list[RoomHead]:
        found = read(labels)
        monkeypatch.setattr(reconciler, "_find_rooms", read)
        action()
        return found

    monkeypatch.setattr(reconciler, "_find_rooms", read_then_act)


def test_a_poll_while_the_only_member_joins_again_causes_no_repeated_messages(
    app: Flask, ada: Client, ben: Client, kitchen: str, monkeypatch: Patch
) -> None:
    ben.ask("leave", {})
    for number in range(MESSAGES_BEFORE):
        ada.post(f"message {number}")
    ada.received()
    watching = services_of(app).reconciler
    track = watching.track

    def poll_then_track(room: Room) -> Room:
        watching.poll()
        return track(room)

    monkeypatch.setattr(watching, "track", poll_then_track)

    assert ada.join(kitchen)["head"] == MESSAGES_BEFORE
    watching.poll()

    assert ada.received("chat") == []


def test_a_newcomer_who_joins_during_a_poll_after_all_have_left_gets_no_old_messages(
    app: Flask, ada: Client, ben: Client, kitchen: str, cy: Client, monkeypatch: Patch
) -> None:
    for number in range(MESSAGES_BEFORE):
        ada.post(f"message {number}")
    still_used = services_of(app).reconciler.rooms[kitchen]
    ada.close()
    ben.close()
    call_after_reading(monkeypatch, lambda: assert_joins(cy, kitchen))

    for _ in range(2):
        services_of(app).reconciler.poll()

    assert still_used.label == kitchen
    assert cy.received("chat") == []


def test_a_poll_that_read_the_old_epoch_does_not_undo_the_new_one(
    app: Flask, ada: Client, kitchen: str, cy: Client, monkeypatch: Patch
) -> None:
    for number in range(MESSAGES_BEFORE):
        ada.post(f"message {number}")
    services_of(app).reconciler.poll()

    def recreate_and_join() -> None:
        delete_room(app, kitchen)
        create_room(app, kitchen)
        assert_joins(cy, kitchen)

    call_after_reading(monkeypatch, recreate_and_join)
    services_of(app).reconciler.poll()
    cy.received()

    cy.post("the first message")

    assert [message["message"] for message in cy.received("chat")] == ["the first message"]


def assert_joins(client: Client, label: str) -> None:
    assert client.join(label)["ok"]


def test_the_members_are_told_the_new_epoch_once(
    app: Flask, ada: Client, ben: Client, restored: str
) -> None:
    ada.join(restored)
    services_of(app).reconciler.poll()

    assert ben.received("head") == []


# The history is cleared on another worker, while Redis is down


class Elsewhere:
    """Another worker on the database, from which nothing arrives over the bus."""

    def __init__(self, app: Flask, label: str) -> None:
        self._app = app
        self._label = label

    def post(self, text: str) -> None:
        """Post a message."""
        post_elsewhere(self._app, self._label, text)

    def clear(self) -> None:
        """Clear the history, as the operator."""
        submit_elsewhere(
            self._app,
            self._label,
            lambda room: ClearHistory(room, "", "Hana", is_operator=True, epoch="cleared"),
        )


@pytest.fixture
def elsewhere(app: Flask, ada: Client, ben: Client, kitchen: str) -> Elsewhere:
    """Another worker; the members of the kitchen have received a message and a head."""
    ada.post("before")
    services_of(app).reconciler.poll()
    ada.received()
    ben.received()
    return Elsewhere(app, kitchen)


CLEARED = "The operator cleared the history"


def clear_unseen(app: Flask, elsewhere: Elsewhere) -> None:
    """Post, clear and post again in another process; then let this worker poll twice."""
    elsewhere.post("cleared before this worker has seen it")
    elsewhere.clear()
    elsewhere.post("after")
    for _ in range(2):
        services_of(app).reconciler.poll()


def test_members_receive_each_message_around_a_clear_once(
    app: Flask, ada: Client, ben: Client, elsewhere: Elsewhere
) -> None:
    clear_unseen(app, elsewhere)
    ada.post("later")

    received = [message["message"] for message in ben.received("chat")]
    assert received == [CLEARED, "after", "later"]


def test_members_are_told_once_that_the_history_was_cleared(
    app: Flask, ben: Client, elsewhere: Elsewhere
) -> None:
    clear_unseen(app, elsewhere)

    told = [head for head in ben.received("head") if head["epoch"] == "cleared"]
    assert [(head["head"], head["floor"]) for head in told] == [(4, 2)]


def test_a_message_that_arrives_while_a_clear_is_polled_is_not_repeated(
    app: Flask, ada: Client, ben: Client, elsewhere: Elsewhere, monkeypatch: Patch
) -> None:
    elsewhere.clear()
    call_after_reading(monkeypatch, lambda: assert_posts(ada, "meanwhile"))

    for _ in range(2):
        services_of(app).reconciler.poll()

    received = [message["message"] for message in ben.received("chat")]
    assert received == [CLEARED, "meanwhile"]


def test_a_room_entered_during_a_poll_stays_shared(
    app: Flask, ada: Client, kitchen: str, cy: Client, monkeypatch: Patch
) -> None:
    cellar = create_room(app, "cellar")
    call_after_reading(monkeypatch, lambda: assert_joins(cy, cellar))

    services_of(app).reconciler.poll()

    assert services_of(app).reconciler.shared_room(cellar) is not None


def test_polls_do_not_overlap_so_that_no_head_follows_a_newer_one(
    app: Flask, ada: Client, kitchen: str, monkeypatch: Patch
) -> None:
    meeting = threading.Barrier(2)
    alone: list[bool] = []

    def meet_another_poll() -> None:
        try:
            meeting.wait(timeout=0.2)
        except threading.BrokenBarrierError:
            alone.append(True)

    read = reconciler._find_rooms

    def read_then_meet(labels: set[str]) -> list[RoomHead]:
        found = read(labels)
        meet_another_poll()
        return found

    monkeypatch.setattr(reconciler, "_find_rooms", read_then_meet)
    watching = services_of(app).reconciler
    polls = [threading.Thread(target=poll) for poll in (watching.poll, watching.resync)]
    for poll in polls:
        poll.start()
    for poll in polls:
        poll.join()

    assert alone == [True, True]


def test_those_who_enter_a_recreated_room_during_a_poll_stay_connected(
    app: Flask, ada: Client, kitchen: str, cy: Client, monkeypatch: Patch
) -> None:
    labels = [f"room-{number}" for number in range(reconciler.ROOMS_AT_A_TIME)]
    others = [in_room(Client(app, None), create_room(app, label)) for label in labels]
    delete_room(app, kitchen)
    services = services_of(app)
    sleep = services.socketio.sleep
    newcomers: list[Client] = []

    def recreate_and_join(seconds: float) -> None:
        if threading.current_thread() is not threading.main_thread():
            sleep(seconds)  # another loop
        elif not newcomers:
            create_room(app, kitchen)
            newcomers.append(in_room(cy, kitchen))

    with monkeypatch.context() as during_the_poll:
        during_the_poll.setattr(services.socketio, "sleep", recreate_and_join)
        services.reconciler.poll()

    assert newcomers == [cy]
    assert cy.is_connected
    assert not ada.is_connected
    for each in others:
        each.close()


def test_a_ban_is_enforced_in_a_room_that_is_not_shared(
    app: Flask, ada: Client, ben: Client, kitchen: str
) -> None:
    mark = ben.join(kitchen)["you"]["mark"]
    services_of(app).reconciler.rooms.pop(kitchen)
    with app.app_context():
        target = Target(mark, "Ben")
        ban = Impose(Room.find(kitchen), "", "Hana", True, target, SanctionKind.BAN)
        services_of(app).journal.submit(ban)

    wait_until(lambda: not ben.is_connected)
    assert ada.is_connected


def test_a_ban_is_enforced_although_its_announcement_has_expired_unseen(
    app: Flask, ada: Client, ben: Client, kitchen: str
) -> None:
    target = Target(ben.join(kitchen)["you"]["mark"], "Ben")
    submit_elsewhere(
        app, kitchen, lambda room: Impose(room, "", "Hana", True, target, SanctionKind.BAN)
    )
    with app.app_context(), write_transaction() as transaction:
        of_kitchen = rooms.update().where(rooms.c.label == kitchen)
        transaction.execute(of_kitchen.values(floor=rooms.c.head))

    services_of(app).reconciler.poll()

    wait_until(lambda: not ben.is_connected)
    assert ada.is_connected


def assert_posts(client: Client, text: str) -> None:
    assert client.post(text)["ok"]


def test_a_room_is_tracked_if_the_last_person_left_while_somebody_entered(
    app: Flask, kitchen: str, ada: Client, ben: Client
) -> None:
    reconciler = services_of(app).reconciler
    shared = reconciler.shared_room(kitchen)
    assert shared is not None
    reconciler.sequencer.retain(set())  # by a poll, before the person who enters is in the room

    reconciler.track(shared)
    ada.post("hello")

    assert [message["message"] for message in ben.received("chat")] == ["hello"]
