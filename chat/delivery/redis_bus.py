"""The bus of workers that share a Redis server: pub/sub with a channel for each room.

A worker is subscribed to the channels of the rooms that somebody on it is in, to one that all
workers receive, and to one that only this worker receives.
"""

import json
import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

import redis

from chat.background import run_logged
from chat.delivery.bus import Bus, MessageHandler, Payload
from chat.delivery.redis_names import RedisNames
from chat.delivery.redis_server import RedisServer, check_mode, send_command
from chat.delivery.rejected_messages import RejectedMessages
from chat.delivery.replay_guard import RedisClock, ReplayGuard
from chat.delivery.signatures import MessageSigner
from chat.delivery.subscriptions import Subscriptions
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

START_WAIT_SECONDS = 2.0
"""How long a worker that starts waits for its first connection and the handlers of `on_connect`."""

log = logging.getLogger(__name__)


class Outgoing(NamedTuple):
    """A message that waits to be published. The channel of a room may be a sharded one."""

    channel: bytes
    text: str
    is_for_room: bool = False


class RedisBus(Bus):
    """Redis pub/sub, with one publishing and one receiving background task.

    Every message is signed, together with the channel on which it is published. Those that are not
    signed by a worker of this installation are dropped, so a forged message can neither be
    broadcast nor take the number of a real one. Signed messages that are sent again are dropped
    too, on whatever channel.

    A message is the id of its stream, the time at which it was sent, and JSON, with spaces between
    them. The stream is that of its worker, from its start to its end, on all channels: a worker
    receives some of its messages, in the order in which they were sent.
    """

    def __init__(
        self,
        socketio: SocketServer,
        server: RedisServer,
        names: RedisNames,
        signer: MessageSigner,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socketio = socketio
        self._server = server
        self._names = names
        self._signer = signer
        self._stream = secrets.token_hex(8)  # of this worker, by which it skips its own messages
        self._own_channel = names.worker_channel(self._stream)
        self._sent_at = 0  # the time of its last message
        self._clock = RedisClock(clock)
        self._replay_guard = ReplayGuard(self._clock)
        self._handlers: dict[str, MessageHandler] = {}
        self._connect_handlers: list[Callable[[], None]] = []
        self._follow_handlers: list[Callable[[set[str]], None]] = []
        self._followed: set[str] = set()
        self._followed_version = 0
        self._followed_lock = threading.Lock()
        self._is_waking = False
        self._is_sharded: bool | None = None  # unknown before the first connection
        self._is_stopping = False
        self._queue: Any = None  # of Socket.IO's async mode
        self._synchronous_client: redis.Redis | None = None
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

    def on_follow(self, handler: Callable[[set[str]], None]) -> None:
        """Call `handler` with rooms that were not followed before. Only before the start."""
        self._follow_handlers.append(handler)

    def start(self) -> None:
        """Start the tasks; wait for the first connection, at most START_WAIT_SECONDS."""
        if self._queue is not None:
            return
        self._queue = self._socketio.server.eio.create_queue(maxsize=MAX_QUEUED_MESSAGES)
        self._socketio.start_background_task(self._receive_until_stopped)
        self._socketio.start_background_task(self._publish_until_stopped)
        self._socketio.start_background_task(self._send_heartbeats)
        deadline = time.monotonic() + START_WAIT_SECONDS
        while (
            not self._has_run_connect_handlers
            and not self._outage.is_ongoing
            and time.monotonic() < deadline
        ):
            self._socketio.sleep(0.01)

    def stop(self) -> None:
        """Let the tasks end: each at its next message, or after a second or two."""
        self._is_stopping = True
        self._enqueue(self._own_channel, "stop", {})

    def publish_synchronously(self) -> None:
        """Let `publish` send each event before it returns; `is_up` says whether that worked."""
        self._synchronous_client = self._server.client()

    # Rooms

    def follow(self, label: str) -> None:
        """Receive the events of a room, soon."""
        with self._followed_lock:
            if label in self._followed:
                return
            self._followed.add(label)
            self._followed_version += 1
        self._wake_receiver()

    def follow_only(self, labels: Collection[str]) -> None:
        """Receive the events of these rooms, and of no others."""
        wanted = set(labels)
        with self._followed_lock:
            if wanted == self._followed:
                return
            has_new = not wanted <= self._followed
            self._followed = wanted
            self._followed_version += 1
        if has_new:
            self._wake_receiver()

    def _update(self, subscriptions: Subscriptions) -> None:
        """Subscribe to the rooms that are followed now, if they have changed."""
        with self._followed_lock:
            if subscriptions.version == self._followed_version:
                return
            version = self._followed_version
            wanted = set(self._followed)
        subscriptions.update(wanted, version)

    def _wake_receiver(self) -> None:
        """Wake the receiving thread by publishing to this worker itself (the self-pipe technique).

        The thread subscribes to the followed rooms after each message; otherwise once a second.
        """
        if self.is_up and not self._is_waking:
            self._is_waking = True
            self._enqueue(self._own_channel, "wake", {})

    # Publishing

    def publish(self, event: str, payload: Payload) -> None:
        """Queue an event for all other workers.

        It is dropped and counted when the queue is full, or when Redis cannot be reached.
        """
        self._enqueue(self._names.all_workers, event, payload)

    def publish_to_room(self, label: str, event: str, payload: Payload) -> None:
        """Queue an event for the other workers that follow a room. Likewise."""
        self._enqueue(self._names.room_channel(label), event, payload, is_for_room=True)

    def _enqueue(
        self, channel: bytes, event: str, payload: Payload, *, is_for_room: bool = False
    ) -> None:
        if self._queue is None and self._synchronous_client is None:
            return
        text = json.dumps({"event": event, "payload": payload}, ensure_ascii=False)
        message = Outgoing(channel, text, is_for_room)
        if self._synchronous_client is not None:
            self._send_at_once(self._synchronous_client, message)
            return
        try:
            self._queue.put(message, block=False)
        except Exception:  # noqa: BLE001  # each async mode has its own Full exception
            self._dropped += 1
            if self._dropped == 1:
                log.warning("Messages to the other workers are dropped: the queue to Redis is full")

    def _send_at_once(self, client: redis.Redis, message: Outgoing) -> None:
        """Send a message. After a failure, all others are dropped: each would wait as long."""
        try:
            self._send(client, [message])
        except Exception as error:  # noqa: BLE001  # what is stored is acknowledged in any case
            self.is_up = False
            self._synchronous_client = None
            self._report_outage(error)
        else:
            self.is_up = True

    def _send_heartbeats(self) -> None:
        while not self._is_stopping:
            self._enqueue(self._own_channel, "heartbeat", {})
            self.unsigned.report()
            self.replayed.report()
            self._socketio.sleep(HEARTBEAT_SECONDS)

    def _publish_until_stopped(self) -> None:
        with self._server.client() as client:
            while not self._is_stopping:
                self._publish_queued(client)

    def _publish_queued(self, client: redis.Redis) -> None:
        """Wait for a message, and publish it with those that have queued up."""
        messages = [self._queue.get()]
        while len(messages) < MAX_PIPELINED_MESSAGES and not self._queue.empty():
            messages.append(self._queue.get())
        try:
            self._send(client, messages)
        except Exception as error:  # noqa: BLE001  # no error may end the loop
            self._dropped += len(messages)
            self._report_outage(error)
        else:
            self._report_dropped()
            if self.is_up:
                self._report_recovery()

    def _send(self, client: redis.Redis, messages: list[Outgoing]) -> None:
        """Publish messages in one round trip. Raises redis.RedisError."""
        if self._clock.is_due():
            self.set_clock(client.time())
        if self._is_sharded is None:
            self._is_sharded = self._has_sharded_channels(client)
        # A new pipeline each time: one that failed would keep its commands.
        pipeline = client.pipeline(transaction=False)
        for message in messages:
            is_sharded = message.is_for_room and self._is_sharded
            command = "SPUBLISH" if is_sharded else "PUBLISH"
            signed = self.sign(message.channel, message.text)
            send_command(pipeline, command, message.channel, signed)
        pipeline.execute()

    def _has_sharded_channels(self, client: redis.Redis) -> bool:
        """Try whether the server has sharded channels, and this user may use them.

        Every worker gets the same answer, so all use the same kind. Raises redis.RedisError.
        """
        try:
            send_command(client, "SPUBLISH", self._own_channel, b"")
        except redis.ResponseError:  # before Redis 7, or not allowed
            return False
        return True

    # Receiving

    def _receive_until_stopped(self) -> None:
        while not self._is_stopping:
            try:
                self._receive_from_connection()
            except Exception as error:  # noqa: BLE001  # whatever it is, we reconnect
                self._report_outage(error)
            self.is_up = False
            self._socketio.sleep(random.uniform(*RECONNECT_SECONDS))  # noqa: S311  # not a secret

    def _receive_from_connection(self) -> None:
        """Receive messages until the connection is dead. Raises redis.RedisError."""
        with self._server.client() as client, client.pubsub() as pubsub:
            check_mode(client)
            self.set_clock(client.time())
            is_sharded = self._has_sharded_channels(client)
            self._is_sharded = is_sharded
            own_channels = (self._names.all_workers, self._own_channel)
            subscriptions = Subscriptions(pubsub, self._names, own_channels, is_sharded=is_sharded)
            self._update(subscriptions)
            received_at = time.monotonic()
            while not self._is_stopping:
                if time.monotonic() - received_at > SILENCE_SECONDS:
                    raise redis.ConnectionError(f"no message for {SILENCE_SECONDS:.0f} s")
                message = pubsub.get_message(timeout=1.0)
                if message is not None:
                    received_at = time.monotonic()
                    self._on_message(subscriptions, message)
                if not subscriptions.is_pending:
                    self._is_waking = False
                    self._update(subscriptions)

    def _on_message(self, subscriptions: Subscriptions, message: dict[str, Any]) -> None:
        """Take in what the server has sent: a message, or the confirmation of a command."""
        kind = message["type"]
        if kind in ("message", "smessage"):
            self.receive(message["channel"], message["data"])
        elif kind in ("subscribe", "ssubscribe"):
            subscriptions.confirm(message["channel"])
            if not subscriptions.is_pending:
                self._on_subscribed(subscriptions.take_confirmed())

    def _on_subscribed(self, labels: set[str]) -> None:
        """Call the handlers after all subscriptions were confirmed, also those of these rooms."""
        if self.is_up:
            # In the background: the handlers read the database, and we have to go on receiving.
            self._socketio.start_background_task(self._call_follow_handlers, labels)
            return
        self.up_since = time.monotonic()
        self.is_up = True
        self._report_recovery()
        self._socketio.start_background_task(self._call_connect_handlers)

    def _call_connect_handlers(self) -> None:
        for handler in self._connect_handlers:
            run_logged(handler, "A handler of a new connection to Redis")
        self._has_run_connect_handlers = True

    def _call_follow_handlers(self, labels: set[str]) -> None:
        for handler in self._follow_handlers:
            run_logged(partial(handler, labels), "A handler of rooms whose events arrive now")

    def set_clock(self, redis_time: tuple[int, int]) -> None:
        """Set the clock to the seconds and microseconds that Redis has just answered."""
        self._clock.set(redis_time)

    def sign(self, channel: bytes, text: str) -> bytes:
        """Return a message as it is sent now on a channel, after all that were sent before."""
        self._sent_at = max(self._sent_at + 1, self._clock.now())
        return self._signer.sign(f"{self._stream} {self._sent_at} {text}".encode(), channel)

    def receive(self, channel: bytes, data: bytes) -> None:
        """Hand a message from another worker to its handler; anything else is dropped."""
        verified = self._signer.verify(data, channel)
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
        if self._is_stopping:
            return
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


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
