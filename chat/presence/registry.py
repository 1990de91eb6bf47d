"""The registry of presence in Redis: which workers are alive, and whom they have in each room.

Workers that have nobody in a room, or start later, read it. Entries expire, so those of a dead
worker disappear.
"""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeAlias

import redis

from chat.delivery.redis_names import RedisNames
from chat.delivery.redis_server import RedisServer
from chat.delivery.signatures import MessageSigner
from chat.outage import Outage
from chat.wire import JSON

MAX_PIPELINED_ROOMS = 200

EXPIRED_FIELD_KEPT_SECONDS = 60
"""How long a field that has expired is kept.

Its worker may be storing it again; a reader that deletes it at once could delete the new one.
"""

PeopleByWorker: TypeAlias = dict[str, JSON]
"""What each worker has registered for a room, by the id of the worker."""


log = logging.getLogger(__name__)


class PresenceRegistry(ABC):
    """Keeps a lease for each worker, and what each has registered for its rooms."""

    @abstractmethod
    def renew_lease(self, worker_id: str, seconds: float) -> None:
        """Store that a worker is alive, for so many seconds. Never raises."""

    @abstractmethod
    def load_leases(self) -> dict[str, float]:
        """Return the remaining seconds of every live worker, by its id. Never raises."""

    @abstractmethod
    def save_rooms(self, worker_id: str, rooms: Mapping[str, JSON | None], seconds: float) -> bool:
        """Store for so many seconds what a worker has in rooms, by label; None removes it.

        Returns whether that worked. Never raises.
        """

    @abstractmethod
    def load_rooms(self, labels: Collection[str]) -> dict[str, PeopleByWorker] | None:
        """Return what is registered for rooms, by label; None if it cannot be read."""


class NoPresenceRegistry(PresenceRegistry):
    """For workers that share no Redis."""

    def renew_lease(self, worker_id: str, seconds: float) -> None:
        """Do nothing: there are no workers that could read it."""

    def load_leases(self) -> dict[str, float]:
        """Return no workers."""
        return {}

    def save_rooms(self, worker_id: str, rooms: Mapping[str, JSON | None], seconds: float) -> bool:
        """Do nothing: there are no workers that could read it."""
        return True

    def load_rooms(self, labels: Collection[str]) -> dict[str, PeopleByWorker] | None:
        """Return that nothing is registered."""
        return {label: {} for label in labels}


class RedisPresenceRegistry(PresenceRegistry):
    """One hash with the leases, and one for each room, with a field for each worker.

    Every field is signed, together with its place and the time of the Redis server at which it
    expires. Those that no worker of this installation has signed are ignored, and those that have
    been stored again after their time or elsewhere.
    """

    def __init__(self, server: RedisServer, names: RedisNames, signer: MessageSigner) -> None:
        self._redis = server.client()
        self._names = names
        self._signer = signer
        self._refusal = Outage(log)

    def renew_lease(self, worker_id: str, seconds: float) -> None:
        """Store that a worker is alive, if Redis can be reached."""
        key = self._names.leases
        with self._errors_ignored():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hset(key, worker_id, self._sign(key, worker_id, "", self._now() + seconds))
            pipeline.pexpire(key, int(seconds * 1000))
            pipeline.execute()

    def load_leases(self) -> dict[str, float]:
        """Return the remaining seconds of every live worker, if Redis can be reached."""
        leases: dict[str, float] = {}
        key = self._names.leases
        with self._errors_ignored():
            now = self._now()
            fields = self._valid_fields(key, self._redis.hgetall(key), now)
            leases.update({worker_id: seconds for worker_id, _, seconds in fields})
        return leases

    def save_rooms(self, worker_id: str, rooms: Mapping[str, JSON | None], seconds: float) -> bool:
        """Store what a worker has in rooms; return whether Redis could be reached."""
        remaining = iter(rooms.items())
        is_saved = False
        with self._errors_ignored():
            expires_at = self._now() + seconds
            while some := list(islice(remaining, MAX_PIPELINED_ROOMS)):
                pipeline = self._redis.pipeline(transaction=False)
                for label, people in some:
                    key = self._names.people_key(label)
                    if people is None:
                        pipeline.hdel(key, worker_id)
                        continue
                    text = json.dumps(people, ensure_ascii=False)
                    pipeline.hset(key, worker_id, self._sign(key, worker_id, text, expires_at))
                    pipeline.pexpire(key, int(seconds * 1000))
                pipeline.execute()
            is_saved = True
        return is_saved  # noqa: RET504  # it is false after an error

    def load_rooms(self, labels: Collection[str]) -> dict[str, PeopleByWorker] | None:
        """Return what is registered for rooms, by label; None if Redis cannot be reached."""
        found: dict[str, PeopleByWorker] | None = None
        with self._errors_ignored():
            found = dict(self._read_rooms(labels))
        return found  # noqa: RET504  # it is None after an error

    def _read_rooms(self, labels: Collection[str]) -> Iterator[tuple[str, PeopleByWorker]]:
        """Return what is registered for each room. Raises redis.RedisError."""
        remaining = iter(labels)
        now = self._now()
        while some := list(islice(remaining, MAX_PIPELINED_ROOMS)):
            keys = [self._names.people_key(label) for label in some]
            pipeline = self._redis.pipeline(transaction=False)
            for key in keys:
                pipeline.hgetall(key)
            for label, key, stored in zip(some, keys, pipeline.execute(), strict=True):
                yield label, self._read(key, stored, now)

    def _read(self, key: str, stored: dict[Any, Any], now: float) -> PeopleByWorker:
        """Return what is registered in a room. Raises redis.RedisError."""
        fields = self._valid_fields(key, stored, now)
        return {worker_id: json.loads(text) for worker_id, text, _ in fields}

    def _valid_fields(
        self, key: str, stored: dict[Any, Any], now: float
    ) -> Iterator[tuple[str, str, float]]:
        """Return worker, text and remaining seconds of what is valid; delete what expired long ago.

        `stored` is what redis-py returned, which has no narrower type. Raises redis.RedisError.
        """
        for field, signed in stored.items():
            worker_id = field.decode(errors="replace")
            verified = self._verify(key, worker_id, signed, now)
            if verified is None:
                continue
            text, seconds = verified
            if seconds > 0:
                yield worker_id, text, seconds
            elif seconds < -EXPIRED_FIELD_KEPT_SECONDS:
                self._redis.hdel(key, worker_id)

    @contextmanager
    def _errors_ignored(self) -> Iterator[None]:
        """Ignore that Redis cannot be reached, which the bus reports; log that it refuses."""
        try:
            yield
        except redis.ResponseError as error:
            self._refusal.begin("Redis refuses to store the list of people: %s", error)
        except redis.RedisError:
            return
        else:
            self._refusal.end("Redis stores the list of people again, after %.1f s.")

    def _sign(self, key: str, worker_id: str, text: str, expires_at: float) -> bytes:
        place = f"{key} {worker_id}".encode()
        return self._signer.sign(f"{expires_at:.6f} {text}".encode(), place)

    def _verify(
        self, key: str, worker_id: str, signed: bytes, now: float
    ) -> tuple[str, float] | None:
        """Return a text and its remaining seconds, negative ones if it has expired.

        Returns None if it is not ours.
        """
        verified = self._signer.verify(signed, f"{key} {worker_id}".encode())
        if verified is None:
            return None
        expires_at, _, text = verified.decode().partition(" ")
        return text, float(expires_at) - now

    def _now(self) -> float:
        """Return the time of the Redis server: the clocks of hosts may be wrong."""
        seconds, microseconds = self._redis.time()
        return float(seconds + microseconds / 1e6)
