"""Load on one room: many socket.io-client connections, while a test does something to a server."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy import text

from tests.servers import ROOT, ConfabServer, CpuWaits

FINISH_SECONDS = 150.0


@dataclass(frozen=True)
class ClientReport:
    """What one client has sent and received."""

    live_revs: list[list[int]]
    """For each connection, the `rev` of every live event, in the order of arrival."""

    acknowledged: set[tuple[int, str]]
    """`seq` and text of the messages that this client posted."""

    messages: list[tuple[int, str]]
    """`seq` and text of all messages it knows, in the order of `seq`."""

    broadcast_counts: list[int]
    """How often each message was broadcast as `chat`, for each connection separately."""

    delays: list[tuple[float, float]]
    """For each message, when it arrived (seconds since 1970) and its delay (milliseconds)."""

    connect_times: list[float]
    """When the client connected (seconds since 1970)."""


class RoomLoad:
    """Clients in a process of their own: the first `senders` post, all receive.

    Their URLs are used in turn. As a context manager it waits until all have joined, and kills
    them in the end.
    """

    def __init__(
        self,
        folder: Path,
        urls: Sequence[str],
        label: str,
        *,
        senders: int,
        listeners: int,
        seconds: float,
        pause_ms: int,
        quiet_seconds: float = 2,
        server: ConfabServer | None = None,
    ) -> None:
        """Each sender posts about every `pause_ms`, for `seconds`.

        After the last message, all receive for `quiet_seconds` more. `cpu_waits` are those of the
        clients and of `server`.
        """
        self._server = server
        self.cpu_waits = CpuWaits(self._pids)
        node = shutil.which("node")
        assert node, "these tests need node"
        self._report_file = folder / "report"
        plan = {
            "urls": urls,
            "label": label,
            "senders": senders,
            "listeners": listeners,
            "seconds": seconds,
            "pause_ms": pause_ms,
            "quiet_seconds": quiet_seconds,
            "report": str(self._report_file),
        }
        self._words = [node, "tests/room_load.mjs", json.dumps(plan)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._words, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert b"ready" in self._process.stdout.readline()
        self.cpu_waits.__enter__()
        return self

    def _pids(self) -> list[int]:
        return [self._process.pid, *(self._server.processes() if self._server else [])]

    def __exit__(self, *_: object) -> None:
        self.cpu_waits.__exit__()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_for_reports(self) -> list[ClientReport]:
        """Wait until the clients have finished; return what each has sent and received."""
        assert self._process.wait(FINISH_SECONDS) == 0
        return [_parse_report(report) for report in json.loads(self._report_file.read_text())]


def _parse_report(report: dict[str, Any]) -> ClientReport:
    return ClientReport(
        live_revs=report["live_revs"],
        acknowledged={(seq, message) for seq, message in report["acknowledged"]},
        messages=[(seq, message) for seq, (_rev, message) in report["messages"]],
        broadcast_counts=[times for _key, times in report["broadcast_counts"]],
        delays=[(at_ms / 1000, delay_ms) for at_ms, delay_ms in report["delays"]],
        connect_times=[at_ms / 1000 for at_ms in report["connect_times"]],
    )


def check_uninterrupted_delivery(reports: list[ClientReport], head: int) -> None:
    """Check that every client received every message once and in order, on one connection."""
    acknowledged = _acknowledged_messages(reports)
    assert len(acknowledged) == head
    for report in reports:
        [revs] = report.live_revs
        assert revs == list(range(revs[0], head + 1))
        assert set(report.messages) == acknowledged
        assert set(report.broadcast_counts) == {1}


def check_delivery(reports: list[ClientReport], server: ConfabServer) -> None:
    """Check that no message was lost, duplicated or reordered, in the database or at a client."""
    stored = _stored_messages(server)
    acknowledged = _acknowledged_messages(reports)

    assert [seq for seq, _ in stored] == list(range(1, _stored_head(server) + 1))
    assert len(acknowledged) > 50
    assert acknowledged <= set(stored)
    assert len({message for _, message in stored}) == len(stored), "stored twice"
    for report in reports:
        assert report.messages == stored
        assert set(report.broadcast_counts) <= {1}, "broadcast twice"
        for revs in report.live_revs:
            assert revs == sorted(set(revs)), "broadcast out of order"


def max_delay_ms(
    reports: list[ClientReport],
    since: float = 0,
    until: float = float("inf"),
    *,
    cpu_waits: CpuWaits | None = None,
) -> float:
    """Return the longest delay of the messages that arrived in an interval (seconds since 1970).

    With `cpu_waits`, without the time for which the processes have waited for a CPU.
    """

    def waited_ms(arrived_at: float, delay_ms: float) -> float:
        if cpu_waits is None:
            return 0
        return 1000 * cpu_waits.between(arrived_at - delay_ms / 1000, arrived_at)

    delays = [
        delay_ms - waited_ms(arrived_at, delay_ms)
        for report in reports
        for arrived_at, delay_ms in report.delays
        if since <= arrived_at <= until
    ]
    return max(delays, default=0)


def _acknowledged_messages(reports: list[ClientReport]) -> set[tuple[int, str]]:
    return {message for report in reports for message in report.acknowledged}


def _stored_messages(server: ConfabServer) -> list[tuple[int, str]]:
    statement = text("SELECT seq, message FROM messages ORDER BY seq")
    with server.database() as engine, engine.connect() as connection:
        return [(row.seq, row.message) for row in connection.execute(statement)]


def _stored_head(server: ConfabServer) -> int:
    with server.database() as engine, engine.connect() as connection:
        head: int = connection.execute(text("SELECT head FROM rooms")).scalar_one()
        return head
