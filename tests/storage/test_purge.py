"""Expired and cleared messages, closed rooms and abandoned rooms are deleted, and nothing else."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, insert, select, update

from chat.errors import NotFound
from chat.models import Message, Room, messages, rooms
from chat.moderation.rules import utc_now
from chat.moderation.tables import known_names, reports, sanctions
from chat.services import services_of
from chat.storage import purge, retention
from chat.storage.database import read_transaction, write_transaction
from chat.storage.purge import Purge, PurgeReport
from config import Config
from tests.conftest import Client, create_room, in_room, open_app
from tests.services import Postgres

HOUR = 3600
STOP_SECONDS = 5.0
DAY = 24 * HOUR


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.servers)])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """The settings of an installation with an empty database of each kind."""
    url = None
    if request.param == "PostgreSQL":
        postgres_server: Postgres = request.getfixturevalue("postgres_server")
        url = postgres_server.database()
    return Config(instance=tmp_path / "instance", database_url=url, limits=False)


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    """Confab with each kind of database."""
    with open_app(config) as made:
        yield made


def set_room(app: Flask, label: str, **columns: Any) -> None:
    """Change columns of a room; the purge looks at it next."""
    values = {"purge_at": utc_now(), **columns}
    with app.app_context(), write_transaction() as connection:
        connection.execute(update(rooms).where(rooms.c.label == label).values(**values))


def fill(app: Flask, label: str, ages: Sequence[float], text: str = "message") -> None:
    """Add messages that were posted so many seconds ago."""
    now = utc_now()
    with app.app_context():
        room = Room.find(label)
        rows = [
            {
                "room_id": room.id,
                "seq": room.head + number,
                "rev": room.head + number,
                "author": "ada",
                "client_id": f"random-id-{room.head + number}",
                "handle": "Ada",
                "message": f"{text} {room.head + number}",
                "timestamp": now - timedelta(seconds=age),
            }
            for number, age in enumerate(ages, 1)
        ]
        with write_transaction() as connection:
            connection.execute(insert(messages), rows)
            new_head = update(rooms).where(rooms.c.id == room.id)
            connection.execute(new_head.values(head=room.head + len(ages)))


def run_round(app: Flask) -> None:
    """Run a round of the purge as a worker does."""
    services_of(app).purger.run_in_turn()


def stored_seqs(app: Flask, label: str) -> list[int]:
    """Return the numbers of all rows of a room, below its floor too."""
    of_room = select(messages.c.seq).join(rooms).where(rooms.c.label == label)
    with app.app_context(), read_transaction() as connection:
        return list(connection.scalars(of_room.order_by(messages.c.seq)))


def room_of(app: Flask, label: str) -> Room:
    """Return a room as it is stored."""
    with app.app_context():
        return Room.find(label)


def exists(app: Flask, label: str) -> bool:
    """Return whether there is a room with this label."""
    try:
        room_of(app, label)
    except NotFound:
        return False
    return True


def count(app: Flask, table: Any) -> int:
    """Return the number of rows of a table."""
    with app.app_context(), read_transaction() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_messages_expire_and_newer_ones_stay(app: Flask) -> None:
    create_room(app, "kitchen")
    create_room(app, "garden")
    for label in ("kitchen", "garden"):
        fill(app, label, [3 * HOUR, 2 * HOUR, HOUR - 60, 5])
    set_room(app, "kitchen", expiry_seconds=HOUR)

    run_round(app)

    assert stored_seqs(app, "kitchen") == [3, 4]
    assert stored_seqs(app, "garden") == [1, 2, 3, 4]
    room = room_of(app, "kitchen")
    assert (room.floor, room.head) == (2, 4)
    assert room.purge_at is not None
    assert timedelta(0) < room.purge_at - utc_now() < timedelta(seconds=61)


@pytest.mark.parametrize("expired", [0, 1, 2, 31, 64, 99, 100])
def test_exactly_the_expired_messages_are_found(app: Flask, expired: int) -> None:
    create_room(app, "kitchen")
    ages = [2 * HOUR] * expired + [60] * (100 - expired)
    fill(app, "kitchen", ages)
    with app.app_context(), write_transaction() as connection:  # numbers without a row
        connection.execute(messages.delete().where(messages.c.seq.in_([30, 32, 33, 65])))
    set_room(app, "kitchen", expiry_seconds=HOUR)
    kept = [seq for seq in stored_seqs(app, "kitchen") if seq > expired]

    run_round(app)

    assert stored_seqs(app, "kitchen") == kept


def test_all_messages_of_a_room_can_expire_and_it_goes_on(app: Flask) -> None:
    create_room(app, "kitchen")
    fill(app, "kitchen", [2 * HOUR] * 450)
    set_room(app, "kitchen", expiry_seconds=HOUR)

    run_round(app)
    fill(app, "kitchen", [1])

    assert stored_seqs(app, "kitchen") == [451]
    room = room_of(app, "kitchen")
    assert room.purge_at is not None
    assert timedelta(minutes=59) < room.purge_at - utc_now() <= timedelta(hours=1)


def test_a_room_that_keeps_messages_for_ever_is_not_looked_at_again(app: Flask) -> None:
    create_room(app, "kitchen")
    fill(app, "kitchen", [400 * DAY])
    set_room(app, "kitchen", expiry_seconds=0)

    run_round(app)

    assert stored_seqs(app, "kitchen") == [1]
    assert room_of(app, "kitchen").purge_at is None


def test_members_are_told_the_new_floor_and_strangers_nothing(
    app: Flask, open_client: Callable[..., Client]
) -> None:
    create_room(app, "kitchen")
    fill(app, "kitchen", [2 * HOUR, 2 * HOUR, 60])
    ada = in_room(open_client(), "kitchen")
    cy = in_room(open_client(), create_room(app, "garden"))
    services_of(app).reconciler.poll()
    ada.received()
    cy.received()
    set_room(app, "kitchen", expiry_seconds=HOUR)

    run_round(app)

    [head] = ada.received("head")
    assert head["label"] == "kitchen"
    assert (head["head"], head["floor"]) == (3, 2)
    assert cy.received("head") == []
    services_of(app).reconciler.poll()
    assert ada.received("head") == []


def test_a_floor_that_another_process_has_raised_is_announced(
    app: Flask, open_client: Callable[..., Client]
) -> None:
    create_room(app, "kitchen")
    fill(app, "kitchen", [60, 60])
    ada = in_room(open_client(), "kitchen")
    services_of(app).reconciler.poll()
    ada.received()

    set_room(app, "kitchen", floor=1)
    services_of(app).reconciler.poll()

    assert [head["floor"] for head in ada.received("head")] == [1]


def test_a_purge_that_was_interrupted_goes_on_in_the_next_round(app: Flask) -> None:
    create_room(app, "kitchen")
    fill(app, "kitchen", [2 * HOUR] * 3 * purge.BATCH_MESSAGES)
    set_room(app, "kitchen", expiry_seconds=HOUR)
    with app.app_context():
        interrupted = Purge(lambda _label: True, lambda _seconds: True)
        due = interrupted.raise_floors(utc_now(), announce=lambda: None)
        next(interrupted.delete_leftovers(due, utc_now()))

    with app.app_context():
        assert Room.find("kitchen").latest().messages == []
    assert len(stored_seqs(app, "kitchen")) == 2 * purge.BATCH_MESSAGES
    run_round(app)

    assert stored_seqs(app, "kitchen") == []


def test_messages_of_many_rooms_are_deleted_in_few_transactions(app: Flask) -> None:
    for number in range(30):
        label = create_room(app, f"room-{number}")
        fill(app, label, [2 * HOUR] * (1 + number % 2))
        set_room(app, label, expiry_seconds=HOUR, name="used")
    with app.app_context():
        steps = Purge(lambda _label: True, lambda _seconds: True)
        due = steps.raise_floors(utc_now(), announce=lambda: None)
        reports = list(steps.delete_leftovers(due, utc_now()))

    assert reports == [PurgeReport(messages=45)]
    assert count(app, messages) == 0


def test_a_room_whose_rules_change_meanwhile_keeps_its_messages(app: Flask) -> None:
    create_room(app, "kitchen")
    fill(app, "kitchen", [2 * HOUR])
    set_room(app, "kitchen", expiry_seconds=HOUR)
    with app.app_context():
        [page] = purge.due_rooms(utc_now())
        set_room(app, "kitchen", expiry_seconds=DAY)
        steps = Purge(lambda _label: True, lambda _seconds: True)
        list(steps.delete_leftovers(page, utc_now()))

    assert stored_seqs(app, "kitchen") == [1]
    assert room_of(app, "kitchen").purge_at is not None


def test_a_cleared_history_is_deleted(app: Flask) -> None:
    create_room(app, "kitchen")
    fill(app, "kitchen", [60, 60, 60])
    set_room(app, "kitchen", floor=2)

    run_round(app)

    assert stored_seqs(app, "kitchen") == [3]
    assert room_of(app, "kitchen").purge_at is None


def test_a_closed_room_is_erased_and_its_label_is_free_after_thirty_days(app: Flask) -> None:
    label = create_room(app, "kitchen")
    first_id = room_of(app, label).id
    fill(app, label, [60, 60])
    with app.app_context(), write_transaction() as connection:
        row = {"room_id": first_id, "mark": "ada", "handle": "Ada", "skeleton": "ada"}
        held_until = utc_now() + timedelta(days=400)
        connection.execute(insert(known_names), row | {"held_until": held_until})

    set_room(app, label, closed_at=utc_now() - timedelta(seconds=1))
    run_round(app)
    assert stored_seqs(app, label) == [
        1,
        2,
    ]  # other workers may not have read yet that it is closed

    set_room(app, label, closed_at=utc_now() - timedelta(minutes=1))
    run_round(app)
    assert stored_seqs(app, label) == []
    assert room_of(app, label).purge_at is not None

    set_room(app, label, closed_at=utc_now() - timedelta(days=30, seconds=1))
    run_round(app)
    assert not exists(app, label)
    assert count(app, known_names) == 0
    create_room(app, label)
    assert room_of(app, label).id != first_id


def make_old(app: Flask, label: str, **columns: Any) -> str:
    """Create a room as it would be had it been created more than a day ago."""
    create_room(app, label)
    set_room(app, label, created_at=utc_now() - timedelta(days=1, minutes=1), **columns)
    return label


def test_an_abandoned_room_is_deleted_after_a_day(app: Flask) -> None:
    make_old(app, "abandoned")
    create_room(app, "young")
    set_room(app, "young")

    run_round(app)

    assert not exists(app, "abandoned")
    assert exists(app, "young")


def test_a_new_room_is_looked_at_after_a_day(app: Flask) -> None:
    purge_at = room_of(app, create_room(app, "kitchen")).purge_at

    assert purge_at is not None
    assert timedelta(hours=23) < purge_at - utc_now() <= timedelta(days=1)


@pytest.mark.parametrize(
    "columns",
    [{"name": "Tea"}, {"roles": {"ada": "host"}}, {"password_hash": "scrypt"}, {"head": 1}],
    ids=["name", "host", "password", "message"],
)
def test_a_room_that_is_used_stays(app: Flask, columns: dict[str, Any]) -> None:
    label = make_old(app, "kitchen", **columns)

    run_round(app)

    assert exists(app, label)
    assert room_of(app, label).purge_at is None


def test_a_room_in_which_somebody_is_stays(app: Flask, open_client: Callable[..., Client]) -> None:
    label = make_old(app, "kitchen")
    in_room(open_client(), label)

    run_round(app)

    purge_at = room_of(app, label).purge_at
    assert purge_at is not None
    assert timedelta(0) < purge_at - utc_now() <= timedelta(hours=1)


def test_a_room_stays_while_it_is_not_known_who_is_in_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = make_old(app, "kitchen")
    presence = services_of(app).presence
    monkeypatch.setattr(presence, "_is_registry_complete", lambda: False)

    run_round(app)

    assert exists(app, label)


def test_old_rows_of_moderation_are_deleted(app: Flask) -> None:
    create_room(app, "kitchen")
    set_room(app, "kitchen", roles={"hana": "host", "mod": "moderator"})
    room_id = room_of(app, "kitchen").id
    now = utc_now()
    hour = timedelta(hours=1)
    with app.app_context(), write_transaction() as connection:
        sanction = {"room_id": room_id, "kind": "mute", "handle": "Ben", "created_at": now - hour}
        for mark, until in (("ended", now - hour), ("lasting", None), ("current", now + hour)):
            connection.execute(insert(sanctions), sanction | {"mark": mark, "until": until})
        name = {"room_id": room_id, "handle": "Ada", "skeleton": "ada"}
        ends = {"free": now - hour, "held": now + hour, "hana": now - hour, "mod": now - hour}
        for mark, held_until in ends.items():
            connection.execute(insert(known_names), name | {"mark": mark, "held_until": held_until})
        report = {
            "room_id": room_id,
            "label": "kitchen",
            "reporter": "cy",
            "reason": "spam",
            "to_operator": False,
        }
        old = now - timedelta(days=retention.REPORT_DAYS, minutes=1)
        for created_at in (old, now):
            connection.execute(insert(reports), report | {"created_at": created_at})

    run_round(app)

    with app.app_context(), read_transaction() as connection:
        assert sorted(connection.scalars(select(sanctions.c.mark))) == ["current", "lasting"]
        assert sorted(connection.scalars(select(known_names.c.mark))) == ["hana", "held"]
        assert list(connection.scalars(select(reports.c.created_at))) == [now]


@pytest.mark.parametrize(
    ("settings", "chosen", "kept"),
    [
        ({"default_expiry": HOUR}, None, [2, 3]),
        ({"default_expiry": HOUR}, 0, [1, 2, 3]),
        ({"default_expiry": HOUR}, 30, [3]),
        ({"max_expiry": HOUR}, None, [2, 3]),
        ({"max_expiry": HOUR}, 0, [2, 3]),
        ({"max_expiry": HOUR}, DAY, [2, 3]),
        ({"max_expiry": HOUR}, 30, [3]),
        ({"default_expiry": DAY, "max_expiry": 30}, None, [3]),
        ({}, None, [1, 2, 3]),
    ],
)
def test_the_settings_apply_to_existing_rooms(
    config: Config, settings: dict[str, int], chosen: int | None, kept: list[int]
) -> None:
    with open_app(config) as app:
        create_room(app, "kitchen")
        fill(app, "kitchen", [2 * HOUR, 60, 1])
        set_room(app, "kitchen", expiry_seconds=chosen)
        run_round(app)
        if chosen is None or chosen == 0:
            assert stored_seqs(app, "kitchen") == [1, 2, 3]
            set_room(app, "kitchen", purge_at=None)

    with open_app(config.model_copy(update=settings)) as app:
        run_round(app)

        assert stored_seqs(app, "kitchen") == kept


def test_a_shorter_expiry_in_the_settings_applies_before_the_room_is_due(config: Config) -> None:
    with open_app(config.model_copy(update={"default_expiry": 30 * DAY})) as app:
        create_room(app, "kitchen")
        fill(app, "kitchen", [2 * HOUR, 1])
        run_round(app)
        assert stored_seqs(app, "kitchen") == [1, 2]

    with open_app(config.model_copy(update={"default_expiry": HOUR})) as app:
        run_round(app)

        assert stored_seqs(app, "kitchen") == [2]


def test_a_message_of_a_new_room_expires_after_the_default(config: Config) -> None:
    with open_app(config.model_copy(update={"default_expiry": HOUR})) as app:
        run_round(app)  # the rooms that exist are scheduled
        purge_at = room_of(app, create_room(app, "kitchen")).purge_at

        assert purge_at is not None
        assert purge_at - utc_now() <= timedelta(hours=1)


def test_only_one_process_purges(app: Flask, config: Config) -> None:
    create_room(app, "kitchen")
    run_round(app)
    fill(app, "kitchen", [60, 60])
    set_room(app, "kitchen", floor=1)
    with open_app(replace_config(config)) as other:
        run_round(other)
        assert stored_seqs(other, "kitchen") == [1, 2]

        services_of(app).purger.stop(monotonic() + STOP_SECONDS)
        run_round(other)
        assert stored_seqs(other, "kitchen") == [2]


def replace_config(config: Config) -> Config:
    """Return the settings of another worker of the same installation."""
    return config.model_copy(update={"workers": 2})


def test_everything_that_is_due_is_purged_at_once_on_request(app: Flask) -> None:
    create_room(app, "kitchen")
    fill(app, "kitchen", [2 * HOUR] * 5 + [1])
    set_room(app, "kitchen", expiry_seconds=HOUR)
    make_old(app, "abandoned")
    with app.app_context():
        expected = purge.preview(utc_now())
        assert stored_seqs(app, "kitchen") == [1, 2, 3, 4, 5, 6]
        report = services_of(app).purger.run_now()

    assert report == expected == PurgeReport(messages=5)
    assert stored_seqs(app, "kitchen") == [6]
    assert exists(app, "abandoned")  # this process does not know who is there


def test_a_tombstone_expires_with_its_message(app: Flask) -> None:
    create_room(app, "kitchen")
    fill(app, "kitchen", [2 * HOUR, 1])
    with app.app_context(), write_transaction() as connection:
        first = update(Message).where(Message.seq == 1)
        connection.execute(first.values(deleted_at=utc_now(), message="", handle="", author=""))
    set_room(app, "kitchen", expiry_seconds=HOUR)

    run_round(app)

    assert stored_seqs(app, "kitchen") == [2]
