"""What each worker has, kept in Redis for as long as it is alive: for those that start, and have heard nothing yet."""

from contextlib import suppress

import redis

from chat.queue import OPTIONS


class NoLeases:
    """For those who share no Redis."""

    def keep(self, worker: str, text: str, seconds: float) -> None:
        """Nobody could find it."""

    def kept(self) -> list[tuple[str, str, float]]:
        """Nobody has left anything."""
        return []


class Leases:
    """One text for each worker, under a key that ends by itself."""

    def __init__(self, url: str, key: str) -> None:
        self._redis = redis.Redis.from_url(url, **OPTIONS, decode_responses=True)
        self._key = key

    def keep(self, worker: str, text: str, seconds: float) -> None:
        """Keep a worker's text for so long, if Redis can be reached."""
        with suppress(redis.RedisError):
            self._keep(worker, text, seconds)

    def _keep(self, worker: str, text: str, seconds: float) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(f"{self._key}:{worker}", text, px=int(seconds * 1000))
        pipeline.sadd(self._key, worker)
        pipeline.pexpire(self._key, int(seconds * 1000))
        pipeline.execute()

    def kept(self) -> list[tuple[str, str, float]]:
        """Each worker that is alive, its text, and for how many seconds it is believed, if Redis can be reached."""
        with suppress(redis.RedisError):
            return self._kept()
        return []

    def _kept(self) -> list[tuple[str, str, float]]:
        workers = sorted(map(str, self._redis.smembers(self._key)))
        pipeline = self._redis.pipeline(transaction=False)
        for worker in workers:
            pipeline.get(f"{self._key}:{worker}")
            pipeline.pttl(f"{self._key}:{worker}")
        found = pipeline.execute()
        ended = [worker for worker, text in zip(workers, found[::2], strict=True) if text is None]
        if ended:
            self._redis.srem(self._key, *ended)
        alive = zip(workers, found[::2], found[1::2], strict=True)
        return [(worker, text, left / 1000) for worker, text, left in alive if text is not None]
