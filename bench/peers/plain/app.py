"""The plain Flask-SocketIO chat: a simple chat with the packages that Confab uses.

The server of eventlet serves it, as the documentation of Flask-SocketIO shows.
"""
# ruff: noqa: E402

import eventlet

eventlet.monkey_patch()  # before the modules that it changes are imported

import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request
from flask_socketio import SocketIO, join_room
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base class of the models."""


app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///" + os.environ["DATABASE"]
db = SQLAlchemy(app, model_class=Base)


class Message(Base):
    """A message. Its id is sent as `rev`, so that the load generator can check the order."""

    __tablename__ = "messages"
    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str] = mapped_column(index=True)
    handle: Mapped[str]
    message: Mapped[str]
    timestamp: Mapped[datetime]


with app.app_context():

    @event.listens_for(db.engine, "connect")
    def _set_pragmas(connection: Any, _record: object) -> None:
        for pragma in "journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000":
            connection.execute(f"PRAGMA {pragma}")

    Base.metadata.create_all(db.engine)
    db.engine.dispose()

socketio = SocketIO(app, async_mode="eventlet", message_queue=os.environ.get("REDIS_URL"))
room_of_connection: dict[str, str] = {}


@app.get("/healthz")
def healthz() -> str:
    """Answer the health check."""
    return "ok"


@socketio.on("join")
def join(data: dict[str, str]) -> dict[str, Any]:
    """Enter a room."""
    connection = request.sid  # type: ignore[attr-defined]  # Flask-SocketIO adds it
    room_of_connection[connection] = data["label"][:50]
    join_room(room_of_connection[connection])
    return {"ok": True}


@socketio.on("disconnect")
def leave(*_reason: object) -> None:
    """Leave the room."""
    room_of_connection.pop(request.sid, None)  # type: ignore[attr-defined]


@socketio.on("chat")
def chat(data: Any) -> dict[str, Any]:
    """Post a message: validate, store, broadcast, acknowledge."""
    room = room_of_connection.get(request.sid)  # type: ignore[attr-defined]
    if room is None or not _is_valid(data):
        return {"ok": False}
    row = Message(
        room=room, handle=data["handle"], message=data["message"], timestamp=datetime.now(UTC)
    )
    db.session.add(row)
    db.session.commit()
    payload = {
        "label": room,
        "rev": row.id,
        "handle": row.handle,
        "message": row.message,
        "timestamp": row.timestamp.isoformat(),
    }
    socketio.emit("chat", payload, to=room)
    return {"ok": True, "rev": row.id}


def _is_valid(data: object) -> bool:
    if not isinstance(data, dict):
        return False
    return _is_text(data.get("handle"), 64) and _is_text(data.get("message"), 4000)


def _is_text(value: object, max_chars: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= max_chars


MAX_CLIENTS = 10_000

if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), max_size=MAX_CLIENTS)
