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
from math import inf
from typing import Any, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chat.background import run_logged
from chat.delivery.replay_guard import RedisClock, ReplayGuard
from chat.delivery.signatures import MessageSigner
from chat.outage import Outage
from chat.socket_server import SocketServer

MAX_QUEUED_MESSAGES = 5_000
"""Messages that wait to be published; more are dropped."""

MAX_PIPELINED_MESSAGES = 100
"""Messages that are published in one round trip to Redis."""

HEARTBEAT_SECONDS = 2.0

SILENCE_SECONDS = 6.0
"""A connection without any message for so long, even its own heartbeat, counts as dead."""

RECONNECT_SECONDS = (0.25, 0.5)

REJECTED_REPORT_SECONDS = 1.0
"""How often rejected messages of one kind are logged at most."""

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
    """Redis pub/sub on one channel, with one publishing and one receiving background task.

    Every message is signed. Those that are not signed by a worker of this installation are dropped,
    so a forged message can neither be broadcast nor take the number of a real one. Signed messages
    that are sent again are dropped too.

    A message is the id of its stream, the time at which it was sent, and JSON, with spaces between
    them. The stream is that of its worker, from its start to its end.
    """

    def __init__(
        self,
        socketio: SocketServer,
        url: str,
        channel: str,
        signer: MessageSigner,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socketio = socketio
        self._url = url
        self._channel = channel
        self._signer = signer
        self._stream = secrets.token_hex(8)  # of this worker, by which it skips its own messages
        self._sent_at = 0  # the time of its last message
        self._clock = RedisClock(clock)
        self._replay_guard = ReplayGuard(self._clock)
        self._handlers: dict[str, MessageHandler] = {}
        self._connect_handlers: list[Callable[[], None]] = []
        self._queue: Any = None  # of Socket.IO's async mode
        self._outage = Outage(log)  # of Redis
        self._has_run_connect_handlers = False
        self._dropped = 0
        self.unsigned = RejectedMessages(
            clock,
            "they are not signed with the secret key of this installation. Restrict access to "
            "Redis: somebody else can publish there.",
        )
        self.replayed = RejectedMessages(
            clock,
            "they were received before, or are older than a minute. If no worker has been "
            "suspended, restrict access to Redis: somebody else may publish there.",
        )

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
            and not self._outage.is_ongoing
            and time.monotonic() < deadline
        ):
            self._socketio.sleep(0.01)

    def publish(self, event: str, payload: Payload) -> None:
        """Queue an event for the other workers.

        It is dropped and counted when the queue is full, or when Redis cannot be reached.
        """
        if self._queue is None:
            return
        message = json.dumps({"event": event, "payload": payload}, ensure_ascii=False)
        try:
            self._queue.put(message, block=False)
        except Exception:  # noqa: BLE001  # each async mode has its own Full exception
            self._dropped += 1
            if self._dropped == 1:
                log.warning("Messages to the other workers are dropped: the queue to Redis is full")

    def _send_heartbeats(self) -> None:
        while True:
            self.publish("heartbeat", {})
            self.unsigned.report()
            self.replayed.report()
            self._socketio.sleep(HEARTBEAT_SECONDS)

    def _publish_forever(self) -> None:
        client = redis_client(self._url)
        while True:
            messages = [self._queue.get()]
            while len(messages) < MAX_PIPELINED_MESSAGES and not self._queue.empty():
                messages.append(self._queue.get())
            try:
                self._send(client, messages)
            except Exception as error:  # noqa: BLE001  # no error may end this loop
                self._dropped += len(messages)
                self._report_outage(error)
            else:
                self._report_dropped()
                if self.is_up:
                    self._report_recovery()

    def _send(self, client: redis.Redis, messages: list[str]) -> None:
        """Publish messages in one round trip. Raises redis.RedisError."""
        if self._clock.is_due():
            self.set_clock(client.time())
        # A new pipeline each time: one that failed would keep its commands.
        pipeline = client.pipeline(transaction=False)
        for message in messages:
            pipeline.publish(self._channel, self.sign(message))
        pipeline.execute()

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
            self.set_clock(client.time())
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
                    self.receive(message["data"])
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

    def set_clock(self, redis_time: tuple[int, int]) -> None:
        """Set the clock to the seconds and microseconds that Redis has just answered."""
        self._clock.set(redis_time)

    def sign(self, message: str) -> bytes:
        """Return a message as it is sent now, after all that were sent before."""
        self._sent_at = max(self._sent_at + 1, self._clock.now())
        return self._signer.sign(f"{self._stream} {self._sent_at} {message}".encode())

    def receive(self, data: bytes) -> None:
        """Hand a message from another worker to its handler; anything else is dropped."""
        verified = self._signer.verify(data)
        if verified is None:
            self.unsigned.count()
            return
        try:
            stream, sent_at, text = verified.decode().split(" ", 2)
            if stream == self._stream:
                return
            if not self._replay_guard.accept(stream, int(sent_at)):
                self.replayed.count()
                return
            self._handle(text)
        except (ValueError, KeyError, TypeError, RecursionError):
            log.info("A message on the bus that no worker sent was dropped")
        except Exception:
            log.exception("A message from another worker could not be handled")

    def _handle(self, text: str) -> None:
        """Call the handler of a message. Raises ValueError, KeyError or TypeError."""
        message = json.loads(text, parse_constant=_reject_constant)
        handler = self._handlers.get(message["event"])
        if handler is not None and isinstance(message["payload"], dict):
            handler(message["event"], message["payload"])

    def _report_outage(self, error: Exception) -> None:
        """Log the first error of an outage."""
        self._outage.begin(
            "Redis cannot be reached (%s): "
            "messages reach the other workers through the database, up to 3.5 s later.",
            error,
        )

    def _report_recovery(self) -> None:
        """Log the end of an outage."""
        self._outage.end(
            "Redis is back after %.1f s: messages reach the other workers immediately again."
        )

    def _report_dropped(self) -> None:
        if self._dropped:
            log.warning("%d messages to the other workers were dropped", self._dropped)
            self._dropped = 0


class RejectedMessages:
    """Counts messages that are dropped for one reason, and logs their number once in a while."""

    def __init__(self, clock: Callable[[], float], reason: str) -> None:
        self.total = 0
        self._clock = clock
        self._reason = reason
        self._reported = 0
        self._reported_at = -inf

    def count(self) -> None:
        """Count a message."""
        self.total += 1
        self.report()

    def report(self) -> None:
        """Log how many messages were dropped since the last report, if it is time for that."""
        now = self._clock()
        if self.total == self._reported or now - self._reported_at < REJECTED_REPORT_SECONDS:
            return
        log.warning(
            "%d messages on the Redis channel were dropped: %s",
            self.total - self._reported,
            self._reason,
        )
        self._reported = self.total
        self._reported_at = now


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
