"""Shares between workers what was taken from the buckets of the rate limits.

Every worker counts on its own and needs no answer before it accepts a message. Four times a second
it publishes on the bus what was taken from its buckets, and the others subtract it from theirs.
Small amounts, as of people who post now and then, are published together every four seconds:
otherwise most of what workers tell each other would be about them.
"""

from collections.abc import Iterator
from itertools import islice

from chat.background import BackgroundLoop
from chat.delivery.bus import Bus, Payload
from chat.limits import Limits
from chat.socket_server import SocketServer

SHARE_SECONDS = 0.25

SMALL_AMOUNTS_SECONDS = 4.0

MAX_REPORT_ENTRIES = 200
"""Buckets in one message on the bus."""

MAX_KEY_CHARS = 32
MAX_AMOUNT = 1e12


class LimitSharing:
    """Publishes what was taken on this worker, and takes in what was taken on the others.

    `malformed_reports` counts the messages that no worker can have sent.
    """

    def __init__(self, socketio: SocketServer, bus: Bus, limits: Limits) -> None:
        self.malformed_reports = 0
        self._small_amounts_shared_at = limits.clock()
        self._bus = bus
        self._limits = limits
        self._loop = BackgroundLoop(
            socketio, (SHARE_SECONDS, SHARE_SECONDS), self.share, "Sharing the rate limits"
        )

    def start(self) -> None:
        """Start publishing; a second call does nothing."""
        if self._limits.is_enabled:
            self._loop.start()

    def stop(self, deadline: float) -> None:
        """Stop publishing."""
        self._loop.stop(deadline)

    def share(self) -> None:
        """Publish what was taken since the last call, but small amounts only every four seconds."""
        now = self._limits.clock()
        is_due = now - self._small_amounts_shared_at >= SMALL_AMOUNTS_SECONDS
        if is_due:
            self._small_amounts_shared_at = now
        entries = self._collect(with_small_amounts=is_due)
        while some := list(islice(entries, MAX_REPORT_ENTRIES)):
            report: Payload = {}
            for limit, key, amount in some:
                report.setdefault(limit, {})[key] = amount
            self._bus.publish("limit_usage", report)

    def on_message(self, _event: str, report: Payload) -> None:
        """Subtract what was taken on another worker.

        Raises ValueError when no worker can have sent this report; it changes nothing then.
        """
        try:
            entries = list(self._parse(report))
        except ValueError:
            self.malformed_reports += 1
            raise
        now = self._limits.clock()
        for limit, key, amount in entries:
            self._limits.buckets[limit].add_debt(key, amount, now)

    def _collect(self, *, with_small_amounts: bool) -> Iterator[tuple[str, str, float]]:
        for limit, buckets in self._limits.buckets.items():
            unshared = buckets.collect_unshared(with_small_amounts=with_small_amounts)
            for key, amount in unshared.items():
                yield limit, key, amount

    def _parse(self, report: Payload) -> Iterator[tuple[str, str, float]]:
        """Return limit, key and amount of each entry. Raises ValueError."""
        for limit, amounts in report.items():
            is_known = limit in self._limits.buckets
            if not is_known or not isinstance(amounts, dict) or len(amounts) > MAX_REPORT_ENTRIES:
                raise ValueError("not what was taken from buckets")
            for key, amount in amounts.items():
                if len(key) > MAX_KEY_CHARS or not _is_amount(amount):
                    raise ValueError("not an amount of tokens")
                yield limit, key, amount


def _is_amount(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 < value <= MAX_AMOUNT
