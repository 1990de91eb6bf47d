"""Connections of one address that make no progress are closed in time, and others are served.

In the short form, they are held open on servers of their own, while the other tests run.
"""

from concurrent.futures import Future

import pytest

from tests.hostile import attackers
from tests.hostile.attack import IS_LONG, Attack
from tests.hostile.counts import Counts

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600 if IS_LONG else 60)]

BUSY_SECONDS = 3 if IS_LONG else 20
"""A busy machine needs longer for the short form, which runs beside other tests."""

MAX_OPEN_SECONDS = {
    attackers.BODY: 10 + BUSY_SECONDS,
    attackers.UPLOAD: 10 + BUSY_SECONDS,
    attackers.HEAD: 2 + BUSY_SECONDS,
    attackers.SOCKET: 15 + BUSY_SECONDS,
    attackers.UNREAD: 15 + BUSY_SECONDS,
}
MAX_OPEN_SECONDS_OF_FLASK_RUN = {
    attackers.BODY: 10 + BUSY_SECONDS,
    attackers.HEAD: 10 + BUSY_SECONDS,
}
NAMES = {
    attackers.BODY: "half-sent bodies",
    attackers.UPLOAD: "half-sent uploads",
    attackers.HEAD: "half-sent heads",
    attackers.SOCKET: "sockets that never join",
    attackers.UNREAD: "pages that are not read",
}


def test_connections_without_progress_are_closed(
    attack: Attack, long_room: str, held_on_gunicorn: Future[Counts] | None
) -> None:
    if held_on_gunicorn is None:
        counts = attack.run(attackers.hold_connections, 500, attackers.UNREAD_PAGES)
    else:
        counts = held_on_gunicorn.result()

    attack.check_refused("Half-sent bodies and uploads", counts, 408)
    for kind, seconds in MAX_OPEN_SECONDS.items():
        name = f"{counts[kind]} {NAMES[kind]}: open"
        attack.check(name, counts[f"{kind}, ms"] / 1000, seconds, "s")
    attack.check("Connections without progress: left open", counts["left open"], 0)


def test_the_development_server_closes_them_too(
    attack: Attack, held_on_flask_run: Future[Counts]
) -> None:
    counts = held_on_flask_run.result()

    attack.check_equal("flask run, half-sent bodies: status", counts.statuses(), "408")
    for kind, seconds in MAX_OPEN_SECONDS_OF_FLASK_RUN.items():
        name = f"flask run, {counts[kind]} {NAMES[kind]}: open"
        attack.check(name, counts[f"{kind}, ms"] / 1000, seconds, "s")
    attack.check("flask run, connections without progress: left open", counts["left open"], 0)
