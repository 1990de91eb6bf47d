"""The plain Flask-SocketIO chat: what the same packages give to whoever takes no special care."""

import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request
from flask_socketio import SocketIO, join_room
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the models have in common."""


app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///" + os.environ["DATABASE"]
db = SQLAlchemy(app, model_class=Base)


class Message(Base):
    """What was said. Its id goes out as `rev`, as Confab calls its number: one check of the order fits all."""

    __tablename__ = "messages"
    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str] = mapped_column(index=True)
    handle: Mapped[str]
    message: Mapped[str]
    timestamp: Mapped[datetime]


with app.app_context():

    @event.listens_for(db.engine, "connect")
    def _as_the_others_do(connection: Any, _record: object) -> None:
        for pragma in "journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000":
            connection.execute(f"PRAGMA {pragma}")

    Base.metadata.create_all(db.engine)
    db.engine.dispose()

socketio = SocketIO(app, async_mode="eventlet", message_queue=os.environ.get("REDIS_URL"))
rooms: dict[str, str] = {}  # by connection


@app.get("/healthz")
def healthz() -> str:
    """It serves."""
    return "ok"


@socketio.on("join")
def join(data: dict[str, str]) -> dict[str, Any]:
    """Enter a room."""
    rooms[request.sid] = data["label"][:50]  # type: ignore[attr-defined]  # Flask-SocketIO adds it
    join_room(rooms[request.sid])  # type: ignore[attr-defined]
    return {"ok": True}


@socketio.on("disconnect")
def leave(*_reason: object) -> None:
    """Leave it."""
    rooms.pop(request.sid, None)  # type: ignore[attr-defined]


@socketio.on("chat")
def chat(data: Any) -> dict[str, Any]:
    """Say something: checked, stored, told, answered."""
    room = rooms.get(request.sid)  # type: ignore[attr-defined]
    if room is None or not (
        isinstance(data, dict)
        and _text(data.get("handle"), 64)
        and _text(data.get("message"), 4000)
    ):
        return {"ok": False}
    row = Message(
        room=room, handle=data["handle"], message=data["message"], timestamp=datetime.now(UTC)
    )
    db.session.add(row)
    db.session.commit()
    told = {"label": room, "rev": row.id, "handle": row.handle, "message": row.message}
    socketio.emit("chat", told | {"timestamp": row.timestamp.isoformat()}, to=room)
    return {"ok": True, "rev": row.id}


def _text(value: object, at_most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= at_most
