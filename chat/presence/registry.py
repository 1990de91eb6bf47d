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

    Every text is signed; those that no worker of this installation has signed are ignored.
    """

    def __init__(self, url: str, key: str, signer: MessageSigner) -> None:
        self._redis = redis_client(url, decode_responses=True)
        self._key = key
        self._signer = signer

    def save(self, worker_id: str, text: str, seconds: float) -> None:
        """Store a worker's text for so many seconds, if Redis can be reached."""
        milliseconds = int(seconds * 1000)
        signed = self._signer.sign(text.encode())
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(f"{self._key}:{worker_id}", signed, px=milliseconds)
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
                signed = self._redis.get(key)
                if signed is None:
                    self._redis.srem(self._key, worker_id)
                    continue
                text = self._signer.verify(str(signed).encode())
                if text is not None:
                    entries.append((worker_id, text.decode(), self._redis.pttl(key) / 1000))
        return entries
