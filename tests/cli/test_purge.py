"""`flask confab purge`: what is due is deleted at once, or only counted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from chat.models import messages, rooms
from chat.moderation.rules import utc_now
from chat.services import services_of
from chat.storage.database import read_transaction, write_transaction
from tests.cli.conftest import Confab
from tests.conftest import Client

Run = Callable[..., Any]


@pytest.fixture
def expired(app: Flask, ada: Client, kitchen: str) -> str:
    """The kitchen with two messages that have expired, and one that has not."""
    for number in range(3):
        ada.post(f"message {number}")
    now = utc_now()
    with app.app_context(), write_transaction() as connection:
        is_old = messages.c.seq <= 2
        old = now - timedelta(hours=2)
        connection.execute(update(messages).where(is_old).values(timestamp=old))
        connection.execute(update(rooms).values(expiry_seconds=3600, purge_at=now))
    ada.received()
    return kitchen


def stored_seqs(app: Flask) -> list[int]:
    """Return the numbers of all rows."""
    with app.app_context(), read_transaction() as connection:
        return list(connection.scalars(select(messages.c.seq).order_by(messages.c.seq)))


def test_expired_messages_are_deleted_at_once(
    app: Flask, confab: Confab, expired: str, ada: Client
) -> None:
    result = confab("purge")

    assert result.exit_code == 0
    assert result.stdout == "Deleted 2 messages, 0 rooms and 0 other rows.\n"
    assert stored_seqs(app) == [3]
    services_of(app).reconciler.poll()
    assert ada.received("head")[-1]["floor"] == 2


def test_a_dry_run_only_counts(app: Flask, confab: Confab, confab_json: Run, expired: str) -> None:
    assert confab("purge", "--dry-run").stdout.startswith("Would delete 2 messages")
    report = confab_json("purge", "--dry-run")

    assert report == {
        "messages": 2,
        "rooms": 0,
        "other_rows": 0,
        "dry_run": True,
        "vacuumed": False,
    }
    assert stored_seqs(app) == [1, 2, 3]


def test_the_database_is_rewritten_on_request(confab_json: Run, expired: str) -> None:
    report = confab_json("purge", "--vacuum")

    assert (report["messages"], report["vacuumed"]) == (2, True)


def test_a_dry_run_cannot_rewrite_the_database(app: Flask, confab: Confab, expired: str) -> None:
    result = confab("purge", "--dry-run", "--vacuum")

    assert result.exit_code == 2
    assert "--vacuum has no meaning with --dry-run" in result.stderr
    assert stored_seqs(app) == [1, 2, 3]
