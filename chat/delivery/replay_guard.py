"""Recognizes signed messages that somebody has recorded in Redis and publishes again (a replay).

Each worker sends one stream of messages. Every message names its stream and the time at which it
was sent, and both are signed. The times of a stream increase, so they count its messages too.

They are times of the Redis server, because the clocks of the workers' hosts may be wrong.
"""

from collections.abc import Callable

MAX_AGE_SECONDS = 60.0
"""An older message is not accepted, also if its stream is unknown."""

MAX_STREAMS = 1_000
"""With more streams than this, those that have ended are forgotten."""

SYNC_SECONDS = 2.0
"""How often the clock of Redis is read: it may be set, and the host of a worker suspended."""

MICROSECONDS = 1_000_000


class RedisClock:
    """The time of the Redis server, in microseconds, as read last and continued on this host.

    `monotonic` is the monotonic clock of this host, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._offset = 0  # to the monotonic clock, in microseconds
        self._read_at: float | None = None

    def is_due(self) -> bool:
        """Return whether the clock of Redis has to be read (again)."""
        return self._read_at is None or self._monotonic() - self._read_at >= SYNC_SECONDS

    def set(self, redis_time: tuple[int, int]) -> None:
        """Set the time to what Redis has just answered to TIME: seconds and microseconds."""
        seconds, microseconds = redis_time
        self._read_at = self._monotonic()
        self._offset = seconds * MICROSECONDS + microseconds - _microseconds(self._read_at)

    def now(self) -> int:
        """Return the time in microseconds."""
        return _microseconds(self._monotonic()) + self._offset


class ReplayGuard:
    """Accepts every message of another worker once.

    A worker that has just started does not know which messages of a stream were sent before; it
    accepts those of the last MAX_AGE_SECONDS, each once and in their order.
    """

    def __init__(self, clock: RedisClock) -> None:
        self._clock = clock
        self._last_by_stream: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._last_by_stream)

    def accept(self, stream: str, sent_at: int) -> bool:
        """Return whether a message is new, and remember it."""
        oldest = self._clock.now() - int(MAX_AGE_SECONDS * MICROSECONDS)
        if sent_at <= oldest or sent_at <= self._last_by_stream.get(stream, 0):
            return False
        self._last_by_stream[stream] = sent_at
        if len(self._last_by_stream) > MAX_STREAMS:
            self._forget_streams_before(oldest)
        return True

    def _forget_streams_before(self, oldest: int) -> None:
        """Forget the streams all of whose messages are too old to be accepted."""
        self._last_by_stream = {
            stream: last for stream, last in self._last_by_stream.items() if last > oldest
        }


def _microseconds(seconds: float) -> int:
    return int(seconds * MICROSECONDS)
