"""The consumer of a connection: validates, stores, broadcasts and acknowledges messages."""

import asyncio
import re
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from rooms.models import Message
from rooms.packets import ACKNOWLEDGEMENT, CONNECT, EVENT, OPEN, PING, Packet

PING_INTERVAL_SECONDS = 25
HANDSHAKE = {
    "upgrades": [],
    "pingInterval": PING_INTERVAL_SECONDS * 1000,
    "pingTimeout": 20_000,
    "maxPayload": 1_000_000,
}
LABEL = re.compile(r"[A-Za-z0-9_-]{1,50}")


class ChatConsumer(AsyncJsonWebsocketConsumer):
    """A client, which enters a room with `join` and posts with `chat`."""

    room: str | None = None
    pinging: "asyncio.Task[None] | None" = None

    @classmethod
    async def decode_json(cls, text_data: str) -> Packet:
        """Parse a packet of Socket.IO."""
        return Packet.decode(text_data)

    @classmethod
    async def encode_json(cls, content: Packet) -> str:
        """Return the text of a packet of Socket.IO."""
        return content.encode()

    async def connect(self) -> None:
        """Open the session of Engine.IO."""
        await self.accept()
        await self.send_json(Packet(OPEN, {"sid": self.channel_name, **HANDSHAKE}))
        self.pinging = asyncio.create_task(self.ping())

    async def disconnect(self, _code: int) -> None:
        """Leave the room."""
        if self.pinging is not None:
            self.pinging.cancel()
        if self.room is not None:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive_json(self, content: Packet) -> None:
        """Handle a packet. Pongs and unknown events are ignored."""
        if content.kind == CONNECT:
            await self.send_json(Packet(CONNECT, {"sid": self.channel_name}))
        elif content.kind == EVENT:
            await self.receive_event(content)

    async def receive_event(self, packet: Packet) -> None:
        """Call the handler of an event and send its answer."""
        event, data = packet.data
        if event == "join":
            answer = await self.join(data)
        elif event == "chat":
            answer = await self.chat(data)
        else:
            return
        await self.send_json(Packet(ACKNOWLEDGEMENT, [answer], packet.number))

    @property
    def group(self) -> str:
        """The name of the group of the room."""
        return f"chat-{self.room}"

    async def join(self, data: dict[str, Any]) -> dict[str, Any]:
        """Enter a room."""
        if not LABEL.fullmatch(data["label"]):
            return {"ok": False}
        self.room = data["label"]
        await self.channel_layer.group_add(self.group, self.channel_name)
        return {"ok": True}

    async def chat(self, data: Any) -> dict[str, Any]:
        """Post a message: validate, store, broadcast."""
        if self.room is None or not is_valid(data):
            return {"ok": False}
        stored = await self.store(data["handle"], data["message"])
        payload = {
            "label": stored.room,
            "rev": stored.id,
            "handle": stored.handle,
            "message": stored.message,
            "timestamp": stored.timestamp.isoformat(),
        }
        broadcast = {"type": "chat.message", "payload": payload}
        await self.channel_layer.group_send(self.group, broadcast)
        return {"ok": True, "rev": stored.id}

    @database_sync_to_async
    def store(self, handle: str, message: str) -> Message:
        """Insert a message into the database."""
        return Message.objects.create(room=self.room, handle=handle, message=message)

    async def chat_message(self, event: dict[str, Any]) -> None:
        """Send a broadcast message to this client."""
        await self.send_json(Packet(EVENT, ["chat", event["payload"]]))

    async def ping(self) -> None:
        """Send pings, as clients of Socket.IO expect."""
        while True:
            await asyncio.sleep(PING_INTERVAL_SECONDS)
            await self.send_json(Packet(PING))


def is_valid(data: object) -> bool:
    """Return whether the data of `chat` has a handle and a message."""
    if not isinstance(data, dict):
        return False
    return is_text(data.get("handle"), 64) and is_text(data.get("message"), 4000)


def is_text(value: object, max_characters: int) -> bool:
    """Return whether a value is a text that is neither empty nor too long."""
    return isinstance(value, str) and 0 < len(value) <= max_characters
