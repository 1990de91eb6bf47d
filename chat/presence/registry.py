"""What each worker has, kept in Redis for as long as it is alive: for those that start, and have heard nothing yet."""

from contextlib import suppress

import redis

from chat.delivery.bus import redis_client


class NullWorkerRegistry:
    """For those who share no Redis."""

    def save(self, worker: str, text: str, seconds: float) -> None:
        """Nobody could find it."""

    def load_all(self) -> list[tuple[str, str, float]]:
        """Nobody has left anything."""
        return []


class WorkerRegistry(NullWorkerRegistry):
    """One text for each worker, under a key that ends by itself."""

    def __init__(self, url: str, key: str) -> None:
        self._redis = redis_client(url, decode_responses=True)
        self._key = key

    def save(self, worker: str, text: str, seconds: float) -> None:
        """Keep a worker's text for so long, if Redis can be reached."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(f"{self._key}:{worker}", text, px=int(seconds * 1000))
        pipeline.sadd(self._key, worker)
        pipeline.pexpire(self._key, int(seconds * 1000))
        with suppress(redis.RedisError):
            pipeline.execute()

    def load_all(self) -> list[tuple[str, str, float]]:
        """Each worker that is alive, its text, and for how many seconds it is believed, if Redis can be reached."""
        alive = []
        with suppress(redis.RedisError):
            for worker in map(str, self._redis.smembers(self._key)):
                key = f"{self._key}:{worker}"
                if text := self._redis.get(key):
                    alive.append((worker, str(text), self._redis.pttl(key) / 1000))
                else:
                    self._redis.srem(self._key, worker)
        return alive
