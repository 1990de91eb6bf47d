"""`python -m tests.erasure_load`: somebody deletes everything they wrote, while others talk.

Ada has posted many messages. She deletes them all with *Delete everything I wrote here*, as a
browser without scripts does, while others post in the same room. Nothing of the others may be lost,
and nothing of Ada's texts may be left in the files of the database. It ends by itself.
"""

import re
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path

from sqlalchemy import text

from tests.clients import Node
from tests.pages import hidden_fields
from tests.room_load import ClientReport, RoomLoad, max_delay_ms
from tests.servers import ConfabServer, gunicorn

MESSAGES = 5_000
SECRET = "the secret of Ada"
ERASURE_SECONDS = 120.0
LOAD_SECONDS = 30.0
PAUSE_MS = 100
POSTS_AT_ONCE = 200


@dataclass(frozen=True)
class Erasure:
    """What happened while everything of one person was deleted."""

    seconds: float
    """How long the deletion took."""

    acknowledged: int
    """Messages that the others posted meanwhile."""

    lost: int
    """Acknowledged messages of the others that are not stored, or that one of them lacks."""

    max_delay_ms: float
    left: int
    """Stored messages that still have a text of the person."""

    files: list[str]
    """Files of the database that contain such a text after the servers have ended."""


class Browser:
    """The browser of one person, without scripts."""

    def __init__(self, server: ConfabServer, label: str) -> None:
        self._url = f"{server.url}/{label}/"
        self._cookies = CookieJar()
        handler = urllib.request.HTTPCookieProcessor(self._cookies)
        self._opener = urllib.request.build_opener(handler)
        self._request("")

    @property
    def cookie(self) -> str:
        """The value of the header Cookie."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)

    def delete_everything(self) -> None:
        """Press the button, and *Continue* for as long as there is one."""
        deadline = time.monotonic() + ERASURE_SECONDS
        fields = hidden_fields(self._request("your-data"))
        while time.monotonic() < deadline:
            page = self._request("your-data/delete", {**fields, "confirm": "yes"})
            if not re.search(r'name="after"', page):
                return
            fields = hidden_fields(page)
        raise AssertionError("the deletion takes too long")

    def _request(self, path: str, form: dict[str, str] | None = None) -> str:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        with self._opener.open(self._url + path, data, timeout=60) as response:
            return str(response.read().decode())


def measure(folder: Path, messages: int = MESSAGES, seconds: float = LOAD_SECONDS) -> Erasure:
    """Delete so many messages of Ada while others talk for some seconds; return what happened."""
    with gunicorn(folder, 2) as server:
        label = server.room("kitchen")
        ada = Browser(server, label)
        post_messages(server, label, ada.cookie, messages)
        with talking(folder, server, label, seconds) as load:
            started_at = time.monotonic()
            ada.delete_everything()
            taken = time.monotonic() - started_at
            reports = load.wait_for_reports()
        left, lost = count_left_and_lost(server, reports)
    return Erasure(
        seconds=taken,
        acknowledged=sum(len(report.acknowledged) for report in reports),
        lost=lost,
        max_delay_ms=max_delay_ms(reports),
        left=left,
        files=files_with(server, SECRET),
    )


def post_messages(server: ConfabServer, label: str, cookie: str, messages: int) -> None:
    """Post messages with a secret text as the person with a cookie."""
    with Node() as node:
        ada = node.person(server.url, cookie=cookie)
        ada.join(label)
        for start in range(0, messages, POSTS_AT_ONCE):
            calls = [
                ada.send("chat", {"handle": "Ada", "message": f"{SECRET} {number}"})
                for number in range(start, min(start + POSTS_AT_ONCE, messages))
            ]
            assert all(ada.answer(call)["ok"] for call in calls)


@contextmanager
def talking(folder: Path, server: ConfabServer, label: str, seconds: float) -> Iterator[RoomLoad]:
    """Let others post in the room for some seconds."""
    with RoomLoad(
        folder,
        [server.url],
        label,
        senders=4,
        listeners=2,
        seconds=seconds,
        pause_ms=PAUSE_MS,
        quiet_seconds=6,  # without Redis, a worker reads messages of another one within 3.5 s
    ) as load:
        yield load


def count_left_and_lost(server: ConfabServer, reports: list[ClientReport]) -> tuple[int, int]:
    """Return how many texts of Ada are left, and how many messages of the others are lost."""
    with server.database() as engine, engine.connect() as connection:
        stored = {
            (row.seq, row.message)
            for row in connection.execute(text("SELECT seq, message FROM messages"))
        }
    acknowledged = {message for report in reports for message in report.acknowledged}
    lost = len(acknowledged - stored)
    lost += sum(len(acknowledged - set(report.messages)) for report in reports)
    left = sum(SECRET in message for _, message in stored)
    return left, lost


def files_with(server: ConfabServer, secret: str) -> list[str]:
    """Return the files of the database that contain a text."""
    folder = Path(server.environment["INSTANCE"])
    return [file.name for file in folder.iterdir() if secret.encode() in file.read_bytes()]


def main() -> int:
    """Print what happened; return 1 when anything was lost or left."""
    with tempfile.TemporaryDirectory(prefix="confab-erasure-") as folder:
        erasure = measure(Path(folder))
    sys.stdout.write(
        f"{MESSAGES:,} messages deleted in {erasure.seconds:.1f} s; the others posted "
        f"{erasure.acknowledged:,} messages: {erasure.lost} lost, longest delay "
        f"{erasure.max_delay_ms:.0f} ms; texts left: {erasure.left} in messages, "
        f"files: {erasure.files}\n"
    )
    return 1 if erasure.lost or erasure.left or erasure.files else 0


if __name__ == "__main__":
    sys.exit(main())
