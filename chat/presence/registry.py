"""The registry of workers: what each worker announced last, in Redis, for workers that start later.

Entries expire, so those of a dead worker disappear.
"""

from abc import ABC, abstractmethod
from contextlib import suppress

import redis

from chat.delivery.bus import redis_client


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
    """A key with an expiry for each worker, and a set with the ids of all workers."""

    def __init__(self, url: str, key: str) -> None:
        self._redis = redis_client(url, decode_responses=True)
        self._key = key

    def save(self, worker_id: str, text: str, seconds: float) -> None:
        """Store a worker's text for so many seconds, if Redis can be reached."""
        milliseconds = int(seconds * 1000)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(f"{self._key}:{worker_id}", text, px=milliseconds)
        pipeline.sadd(self._key, worker_id)
        pipeline.pexpire(self._key, milliseconds)
        with suppress(redis.RedisError):
            pipeline.execute()

    def load_all(self) -> list[tuple[str, str, float]]:
        """Return id, text and remaining seconds of every live worker, if Redis can be reached."""
        entries: list[tuple[str, str, float]] = []
        with suppress(redis.RedisError):
            for worker_id in map(str, self._redis.smembers(self._key)):
                key = f"{self._key}:{worker_id}"
                text = self._redis.get(key)
                if text is None:
                    self._redis.srem(self._key, worker_id)
                else:
                    entries.append((worker_id, str(text), self._redis.pttl(key) / 1000))
        return entries
