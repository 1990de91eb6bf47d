"""The registry of workers: what each worker announced last, in Redis, for workers that start later.

Entries expire, so those of a dead worker disappear.
"""

from abc import ABC, abstractmethod
from contextlib import suppress

import redis

from chat.delivery.bus import redis_client
from chat.delivery.signatures import MessageSigner


class WorkerRegistry(ABC):
    """One text for each worker."""

    @abstractmethod
    def save(self, worker_id: str, text: str, seconds: float) -> None:
        """Store a worker's text for so many seconds. Never raises."""

    @abstractmethod
    def load_all(self) -> list[tuple[str, str, float]]:
        """Return id, text and remaining seconds of every live worker. Never raises."""


class NoWorkerRegistry(WorkerRegistry):
    """For workers that share no Redis."""

    def save(self, worker_id: str, text: str, seconds: float) -> None:
        """Do nothing: there are no workers that could read it."""

    def load_all(self) -> list[tuple[str, str, float]]:
        """Return no entries."""
        return []


class RedisWorkerRegistry(WorkerRegistry):
    """A key with an expiry for each worker, and a set with the ids of all workers.

    Every text is signed, together with the time of the Redis server at which it expires. Those
    that no worker of this installation has signed are ignored, and those that have been stored
    again after their time.
    """

    def __init__(self, url: str, key: str, signer: MessageSigner) -> None:
        self._redis = redis_client(url, decode_responses=True)
        self._key = key
        self._signer = signer

    def save(self, worker_id: str, text: str, seconds: float) -> None:
        """Store a worker's text for so many seconds, if Redis can be reached."""
        milliseconds = int(seconds * 1000)
        with suppress(redis.RedisError):
            expires_at = self._now() + seconds
            signed = self._signer.sign(f"{expires_at:.6f} {text}".encode())
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.set(f"{self._key}:{worker_id}", signed, px=milliseconds)
            pipeline.sadd(self._key, worker_id)
            pipeline.pexpire(self._key, milliseconds)
            pipeline.execute()

    def load_all(self) -> list[tuple[str, str, float]]:
        """Return id, text and remaining seconds of every live worker, if Redis can be reached."""
        entries: list[tuple[str, str, float]] = []
        with suppress(redis.RedisError):
            now = self._now()
            for worker_id in map(str, self._redis.smembers(self._key)):
                signed = self._redis.get(f"{self._key}:{worker_id}")
                if signed is None:
                    self._redis.srem(self._key, worker_id)
                    continue
                verified = self._signer.verify(str(signed).encode())
                if verified is None:
                    continue
                expires_at, _, text = verified.decode().partition(" ")
                seconds = float(expires_at) - now
                if seconds > 0:
                    entries.append((worker_id, text, seconds))
        return entries

    def _now(self) -> float:
        """Return the time of the Redis server: the clocks of hosts may be wrong."""
        seconds, microseconds = self._redis.time()
        return float(seconds + microseconds / 1e6)
