"""The bus: Redis pub/sub between workers. It is fast and lossy, and never the source of truth.

What the bus loses, the reconciler reads from the database.
"""

import json
import logging
import random
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chat.background import run_logged
from chat.socket_server import SocketServer

MAX_QUEUED_MESSAGES = 5_000
"""Messages that wait to be published; more are dropped."""

MAX_PIPELINED_MESSAGES = 100
"""Messages that are published in one round trip to Redis."""

HEARTBEAT_SECONDS = 2.0

SILENCE_SECONDS = 6.0
"""A connection without any message for so long, even its own heartbeat, counts as dead."""

RECONNECT_SECONDS = (0.25, 0.5)

START_WAIT_SECONDS = 2.0
"""How long a worker that starts waits for its first connection and the handlers of `on_connect`."""

REDIS_OPTIONS: dict[str, Any] = {
    "socket_timeout": 2,
    "socket_connect_timeout": 1,
    "retry": Retry(NoBackoff(), 0),
}
# A Unix socket has no keep-alive, and redis-py refuses that option for one.
TCP_OPTIONS: dict[str, Any] = {"socket_keepalive": True}

Payload: TypeAlias = dict[str, Any]
MessageHandler: TypeAlias = Callable[[str, Payload], None]
"""Called with an event and its payload.

Raises ValueError, KeyError or TypeError when the payload is malformed.
"""

log = logging.getLogger(__name__)


def redis_client(url: str, *, decode_responses: bool = False) -> redis.Redis:
    """Return a client for a `redis://`, `rediss://` or `unix://` URL.

    It connects when it is first used.
    """
    options = REDIS_OPTIONS if url.startswith("unix://") else REDIS_OPTIONS | TCP_OPTIONS
    return redis.Redis.from_url(url, decode_responses=decode_responses, **options)


class Bus(ABC):
    """Carries events between workers. `is_up`: whether events of other workers would arrive."""

    is_up = False

    @abstractmethod
    def subscribe(self, event: str, handler: MessageHandler) -> None:
        """Call `handler` for each such event from another worker. Only before the start."""

    @abstractmethod
    def on_connect(self, handler: Callable[[], None]) -> None:
        """Call `handler` after every (re)connection. Only before the start."""

    @abstractmethod
    def start(self) -> None:
        """Start receiving and publishing; a second call does nothing."""

    @abstractmethod
    def publish(self, event: str, payload: Payload) -> None:
        """Queue an event for the other workers. Never raises, and never blocks."""


class LocalBus(Bus):
    """The bus of a single worker, or of several that find each other's changes in the database."""

    def subscribe(self, event: str, handler: MessageHandler) -> None:
        """Do nothing: no event ever arrives."""

    def on_connect(self, handler: Callable[[], None]) -> None:
        """Do nothing: there is no connection."""

    def start(self) -> None:
        """Do nothing."""

    def publish(self, event: str, payload: Payload) -> None:
        """Do nothing: there is no other worker, or it reads the change from the database."""


class RedisBus(Bus):
    """Redis pub/sub on one channel, with one publishing and one receiving background task."""

    def __init__(self, socketio: SocketServer, url: str, channel: str) -> None:
        self._socketio = socketio
        self._url = url
        self._channel = channel
        self._worker_id = secrets.token_hex(8)  # by which it skips its own messages
        self._handlers: dict[str, MessageHandler] = {}
        self._connect_handlers: list[Callable[[], None]] = []
        self._queue: Any = None  # of Socket.IO's async mode
        self._outage_error: str | None = None  # the reported error, while Redis is unreachable
        self._has_run_connect_handlers = False
        self._dropped = 0

    def subscribe(self, event: str, handler: MessageHandler) -> None:
        """Call `handler` for each such event from another worker. Only before the start."""
        self._handlers[event] = handler

    def on_connect(self, handler: Callable[[], None]) -> None:
        """Call `handler` after every (re)connection. Only before the start."""
        self._connect_handlers.append(handler)

    def start(self) -> None:
        """Start the tasks; wait for the first connection, at most START_WAIT_SECONDS."""
        if self._queue is not None:
            return
        self._queue = self._socketio.server.eio.create_queue(maxsize=MAX_QUEUED_MESSAGES)
        for task in (self._receive_forever, self._publish_forever, self._send_heartbeats):
            self._socketio.start_background_task(task)
        deadline = time.monotonic() + START_WAIT_SECONDS
        while (
            not self._has_run_connect_handlers
            and self._outage_error is None
            and time.monotonic() < deadline
        ):
            self._socketio.sleep(0.01)

    def publish(self, event: str, payload: Payload) -> None:
        """Queue an event for the other workers.

        It is dropped and counted when the queue is full, or when Redis cannot be reached.
        """
        message = {"from": self._worker_id, "event": event, "payload": payload}
        self._enqueue(json.dumps(message, ensure_ascii=False))

    def _enqueue(self, message: str) -> None:
        if self._queue is None:
            return
        try:
            self._queue.put(message, block=False)
        except Exception:  # noqa: BLE001  # each async mode has its own Full exception
            self._dropped += 1
            if self._dropped == 1:
                log.warning("Messages to the other workers are dropped: the queue to Redis is full")

    def _send_heartbeats(self) -> None:
        while True:
            self._enqueue(json.dumps({"tick": self._worker_id}))
            self._socketio.sleep(HEARTBEAT_SECONDS)

    def _publish_forever(self) -> None:
        client = redis_client(self._url)
        while True:
            # A new pipeline each time: one that failed would keep its commands.
            pipeline = client.pipeline(transaction=False)
            pipeline.publish(self._channel, self._queue.get())
            while len(pipeline) < MAX_PIPELINED_MESSAGES and not self._queue.empty():
                pipeline.publish(self._channel, self._queue.get())
            number_of_messages = len(pipeline)
            try:
                pipeline.execute()
            except Exception as error:  # noqa: BLE001  # no error may end this loop
                self._dropped += number_of_messages
                self._report_outage(error)
            else:
                self._report_dropped()
                if self.is_up:
                    self._report_recovery()

    def _receive_forever(self) -> None:
        while True:
            try:
                self._receive_until_silent()
            except Exception as error:  # noqa: BLE001  # whatever it is, we reconnect
                self._report_outage(error)
            self.is_up = False
            self._socketio.sleep(random.uniform(*RECONNECT_SECONDS))  # noqa: S311  # not a secret

    def _receive_until_silent(self) -> None:
        """Receive messages until the connection is dead. Raises redis.RedisError."""
        with redis_client(self._url) as client:
            pubsub = client.pubsub()
            pubsub.subscribe(self._channel)
            received_at = time.monotonic()
            while time.monotonic() - received_at < SILENCE_SECONDS:
                message = pubsub.get_message(timeout=1.0)
                if message is None:
                    continue
                received_at = time.monotonic()
                if message["type"] == "subscribe":
                    self._on_subscribed()
                else:
                    self._receive(message["data"])
        raise redis.ConnectionError(f"no message for {SILENCE_SECONDS:.0f} s")

    def _on_subscribed(self) -> None:
        self.is_up = True
        self._report_recovery()
        # In the background: the handlers read the database, and we have to go on receiving.
        self._socketio.start_background_task(self._call_connect_handlers)

    def _call_connect_handlers(self) -> None:
        for handler in self._connect_handlers:
            run_logged(handler, "A handler of a new connection to Redis")
        self._has_run_connect_handlers = True

    def _receive(self, data: bytes) -> None:
        """Hand a message from another worker to its handler; anything else is dropped."""
        try:
            message = json.loads(data, parse_constant=_reject_constant)
            if not isinstance(message, dict) or message.get("from") in (None, self._worker_id):
                return
            handler = self._handlers.get(message["event"])
            if handler is not None and isinstance(message["payload"], dict):
                handler(message["event"], message["payload"])
        except (ValueError, KeyError, TypeError, RecursionError):
            log.info("A message on the bus that no worker sent was dropped")
        except Exception:
            log.exception("A message from another worker could not be handled")

    def _report_outage(self, error: Exception) -> None:
        """Log the first error of an outage."""
        if self._outage_error is None:
            log.warning(
                "Redis cannot be reached (%s): "
                "messages reach the other workers through the database, up to 3.5 s later.",
                error,
            )
        self._outage_error = str(error)

    def _report_recovery(self) -> None:
        """Log the end of an outage."""
        if self._outage_error is not None:
            log.warning("Redis is back: messages reach the other workers immediately again.")
        self._outage_error = None

    def _report_dropped(self) -> None:
        if self._dropped:
            log.warning("%d messages to the other workers were dropped", self._dropped)
            self._dropped = 0


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
