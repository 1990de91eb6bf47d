"""The queue between workers: what one tells a room, the others tell it too. A hint only; the database has the truth."""

import json
import logging
import random
import secrets
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from socketio import Manager

MAX_OUTBOX_MESSAGES = 5_000  # what does not fit is found in the database by the others
MAX_PIPELINED_MESSAGES = 100
HEARTBEAT_SECONDS = 2.0
SILENCE_SECONDS = 6.0  # without hearing even ourselves: the line is dead, whatever TCP says
START_WAIT_SECONDS = 2.0  # a worker that starts waits so long for what the others have left

# For every connection to Redis. A Unix socket has no keep-alive, and redis-py refuses that option for one.
OPTIONS: dict[str, Any] = {
    "socket_timeout": 2,
    "socket_connect_timeout": 1,
    "retry": Retry(NoBackoff(), 0),
}
TCP_OPTIONS: dict[str, Any] = {"socket_keepalive": True}

log = logging.getLogger(__name__)


def redis_client(url: str, *, decode_responses: bool = False) -> redis.Redis:
    """A client of the Redis at a `redis://`, `rediss://` or `unix://` URL; it connects with its first command."""
    options = OPTIONS if url.startswith("unix://") else OPTIONS | TCP_OPTIONS
    return redis.Redis.from_url(url, decode_responses=decode_responses, **options)


class LocalBus(Manager):  # type: ignore[misc]  # it ships no types
    """For one worker, or for several that find each other's news in the database."""

    up = False
    on_message: Callable[[str, dict[str, Any]], None]
    on_connect: Callable[[], None]

    def publish(self, event: str, payload: dict[str, Any]) -> None:
        """Nobody to let know."""


class RedisBus(LocalBus):
    """Redis between the workers, with one publisher off everybody's way, and ears for our own news only.

    `heard` is called with the event and payload of what another worker told; `back` after every subscription.
    """

    def __init__(self, url: str, channel: str, events: Collection[str]) -> None:
        super().__init__()
        self._url, self._channel = url, channel
        self._me = secrets.token_hex(8)  # by which we know our own news
        self._events = events
        self._caught_up = False
        self._outbox: Any = None
        self._said: str | None = None

    def initialize(self) -> None:
        """Start listening and publishing, and hear first what there is to hear; the second call does nothing."""
        if self._outbox is None:
            self._outbox = self.server.eio.create_queue(maxsize=MAX_OUTBOX_MESSAGES)
            for task in (self._listener, self._publisher, self._heartbeat):
                self.server.start_background_task(task)
            give_up = time.monotonic() + START_WAIT_SECONDS
            while not self._caught_up and self._said is None and time.monotonic() < give_up:
                self.server.sleep(0.01)

    def publish(self, event: str, payload: dict[str, Any]) -> None:
        """Let the other workers know, soon. What does not fit is dropped."""
        self._put(
            json.dumps({"from": self._me, "event": event, "payload": payload}, ensure_ascii=False)
        )

    def _put(self, message: str) -> None:
        if self._outbox is not None:
            with suppress(Exception):  # each async mode has its own Full
                self._outbox.put(message, block=False)

    def _heartbeat(self) -> None:
        while True:
            self._put(json.dumps({"tick": self._me}))
            self.server.sleep(HEARTBEAT_SECONDS)

    def _publisher(self) -> None:
        client = redis_client(self._url)
        while True:
            pipeline = client.pipeline(
                transaction=False
            )  # a new one: while Redis is away, it keeps what it was given
            pipeline.publish(self._channel, self._outbox.get())
            while len(pipeline) < MAX_PIPELINED_MESSAGES and not self._outbox.empty():
                pipeline.publish(self._channel, self._outbox.get())
            try:
                pipeline.execute()
            except Exception as error:  # noqa: BLE001  # whatever it is, what comes next goes out
                self._say(error)

    def _listener(self) -> None:
        while True:
            try:
                self._listen_until_silent()
            except Exception as error:  # noqa: BLE001  # whatever it is, we listen again
                self._say(error)
            self.up = False
            self.server.sleep(random.uniform(0.25, 0.5))  # noqa: S311  # no secret

    def _listen_until_silent(self) -> None:
        with redis_client(self._url) as client:
            pubsub = client.pubsub()
            pubsub.subscribe(self._channel)
            on_message = time.monotonic()
            while time.monotonic() - on_message < SILENCE_SECONDS:
                message = pubsub.get_message(timeout=1.0)
                if message is not None:
                    on_message = time.monotonic()
                    if message["type"] == "subscribe":
                        self._is_up()
                    else:
                        self._receive(message["data"])
        raise redis.ConnectionError(f"nothing heard for {SILENCE_SECONDS:.0f} s")

    def _is_up(self) -> None:
        if self._said is not None:
            log.warning("Redis is back: messages reach the other workers at once again.")
        self._said = None
        self.up = True
        self.server.start_background_task(
            self._catch_up
        )  # it reads, and must not keep us from listening

    def _catch_up(self) -> None:
        self.on_connect()
        self._caught_up = True

    def _receive(self, data: bytes) -> None:
        """Take in what our own code on another worker has sent; nothing else does anything here."""
        try:
            message = json.loads(
                data, parse_constant=int
            )  # which NaN and Infinity are not: a ValueError
            if not isinstance(message, dict) or message.get("from") in (None, self._me):
                return
            if message["event"] in self._events and isinstance(message["payload"], dict):
                self.on_message(message["event"], message["payload"])
        except (ValueError, KeyError, TypeError, RecursionError):
            log.info("Something that is not ours came through the queue and was dropped")
        except Exception:
            log.exception("news from another worker could not be told")

    def _say(self, error: Exception) -> None:
        """Once for every time that Redis goes away."""
        if self._said is None:
            how = "messages reach the other workers through the database, up to 3.5 s later."
            log.warning("Redis cannot be reached (%s): %s", error, how)
        self._said = str(error)
