"""Rooms and their messages. A read is one statement on a connection of its own; nothing here commits or emits."""

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from hashlib import sha256
from types import SimpleNamespace
from typing import Self, cast

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Mapped, mapped_column

from chat.errors import NotFound
from chat.storage.database import Base, UTCDateTime, read_transaction

END = 2**62  # beyond every number
MAX_COUNTED_MISSED = 10_000  # counting further costs more than it tells
NAME_LOOKBACK_MESSAGES = (
    500  # so many messages back, and no further, is looked for the name somebody went by
)


class Room(Base):
    """A place with a link. `head` is its one counter: every stored change takes the next number."""

    __tablename__ = "rooms"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(50), unique=True)
    name: Mapped[str] = mapped_column(sa.String(80), default="", server_default="")
    head: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    floor: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    epoch: Mapped[str] = mapped_column(sa.String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (
        {"sqlite_autoincrement": True},
    )  # ids are never reused: a connection may hold one for days

    @classmethod
    def find(cls, label: str) -> Self:
        """The room with this label. Raises NotFound."""
        with read_transaction() as connection:
            room = connection.execute(SELECT_ROOM_BY_LABEL, {"label": label}).one_or_none()
        if room is None:
            raise NotFound("There is no room of this name.")
        return cls(**room._mapping)

    def mark(self, author: str) -> str:
        """How this room knows a person: the same after a renaming, not to be recognised in another room."""
        return _mark(current_app.config["SECRET_KEY"], self.label, author)

    def joined(self, after: int | None) -> "Page":
        """For somebody who enters: the last messages, or with `after` what changed since, and how many are new."""
        limits = current_app.config["CONFAB"]
        if after is None:
            return self.history(limits.page)
        page = self.changes(after, limits.catch_up)
        page.missed = sum(message.seq > after for message in page.messages)
        if page.upto < page.head:  # these are not all
            newer = (
                self._messages(Message.seq > after)
                .with_only_columns(Message.seq)
                .limit(MAX_COUNTED_MISSED)
            )
            with read_transaction() as connection:
                page.missed = connection.scalar(
                    sa.select(sa.func.count()).select_from(newer.subquery())
                )
        return page

    def changes(self, after: int, limit: int) -> "Page":
        """What changed after the number `after`, in the order of the changes; at most `limit` of them."""
        page = self._page("changed", turn=after, below=limit + 1)
        page.messages.sort(key=lambda message: message.rev)
        if len(page.messages) > limit:
            page.messages.pop()
            page.upto = page.messages[-1].rev
        return page

    def history(
        self,
        limit: int,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
    ) -> "Page":
        """A page of messages in the order of the screen: before or after one, around one, or the last."""
        above, below = (limit // 2, limit - limit // 2) if around is not None else (limit, limit)
        turn = next(
            (
                each
                for each in (before, around, None if after is None else after + 1)
                if each is not None
            ),
            END,
        )
        parts = (
            ["from"] if after is not None else ["before"] if around is None else ["before", "from"]
        )
        page = self._page(
            *parts, turn=turn, above=above + 1, below=below + 1
        )  # one more tells whether there are more
        page.messages.sort(key=lambda message: message.seq)
        first = sum(message.seq < turn for message in page.messages)
        page.older = first > above if "before" in parts else self._is_any(Message.seq < turn)
        more = len(page.messages) > first + below
        page.newer = more if "from" in parts else turn != END and self._is_any(Message.seq >= turn)
        page.messages = page.messages[max(first - above, 0) : first + below]
        return page

    def names(self, authors: Collection[str]) -> dict[str, str]:
        """The names these people went by last, as far as they have spoken lately."""
        name = sa.case((Message.kind == "rename", Message.message), else_=Message.handle).label(
            "name"
        )
        columns = Message.seq, Message.author, Message.kind, name
        lines = (
            self._messages()
            .with_only_columns(*columns)
            .order_by(Message.seq.desc())
            .limit(NAME_LOOKBACK_MESSAGES)
            .subquery()
        )
        mine = lines.c.author.in_(authors) & sa.or_(
            lines.c.kind.is_(None), lines.c.kind == "rename"
        )
        with read_transaction() as connection:
            found = connection.execute(
                sa.select(lines.c.author, lines.c.name).where(mine).order_by(lines.c.seq)
            ).all()
        return dict(found)

    def _messages(self, *conditions: sa.ColumnElement[bool]) -> sa.Select["Message"]:
        return sa.select(Message).where(Message.room_id == self.id, *conditions)

    def _is_any(self, condition: sa.ColumnElement[bool]) -> bool:
        with read_transaction() as connection:
            return connection.scalar(sa.select(self._messages(condition).exists())) or False

    def _page(self, *parts: str, **numbers: int) -> "Page":
        with read_transaction() as connection:
            found = connection.execute(
                _page_of(*parts), {"room": self.id, "label": self.label, **numbers}
            ).all()
        if not found:
            raise NotFound("This room is gone.")
        said = cast(
            list[Message], [row for row in found if row.seq is not None]
        )  # rows, which read like messages
        return Page(found[0].head, found[0].epoch, found[0].name, said, found[0].head)


@cache
def _page_of(*parts: str) -> sa.Executable:
    """Messages, head and epoch in one statement, so that they are of one moment; made once, for that takes long."""
    room, turn, above, below = (
        sa.bindparam(name, type_=sa.BigInteger) for name in ("room", "turn", "above", "below")
    )
    seq, rev, mine = (
        messages.c.seq,
        messages.c.rev,
        sa.select(messages).where(messages.c.room_id == room),
    )
    pages = {
        "before": mine.where(seq < turn).order_by(seq.desc()).limit(above),
        "from": mine.where(seq >= turn).order_by(seq).limit(below),
        "changed": mine.where(rev > turn).order_by(rev).limit(below),
    }
    rows = sa.union_all(*(sa.select(pages[part].subquery()) for part in parts)).subquery()
    moment = sa.select(*rooms.c["head", "epoch", "name"], rows)
    # A row with this id and another label is another room: after a backup has been restored, for example.
    is_same_room = (rooms.c.id == room) & (rooms.c.label == sa.bindparam("label"))
    return moment.outerjoin_from(rooms, rows, sa.true()).where(is_same_room)


class Message(Base):
    """Something said. `seq` is its place on the screen, `rev` the number of its last change."""

    __tablename__ = "messages"

    room_id: Mapped[int] = mapped_column(sa.ForeignKey("rooms.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    rev: Mapped[int] = mapped_column(sa.BigInteger)
    author: Mapped[str] = mapped_column(sa.String(32))
    client_id: Mapped[str | None] = mapped_column(sa.String(64))
    handle: Mapped[str] = mapped_column(sa.String(64))
    message: Mapped[str] = mapped_column(sa.Text)
    timestamp: Mapped[datetime] = mapped_column(UTCDateTime)
    edited_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    reply_to: Mapped[int | None] = mapped_column(sa.BigInteger)
    kind: Mapped[str | None] = mapped_column(sa.String(16))
    reactions: Mapped[dict[str, list[str]] | None] = mapped_column(
        sa.JSON(none_as_null=True)
    )  # authors by emoji

    __table_args__ = (
        sa.UniqueConstraint("room_id", "client_id", name="uq_messages_client_id"),
        sa.Index("ix_messages_rev", "room_id", "rev"),
    )


rooms = cast(sa.Table, Room.__table__)
messages = cast(sa.Table, Message.__table__)
BLANK = dict.fromkeys(messages.columns.keys())
SELECT_ROOM_BY_LABEL = sa.select(rooms).where(
    rooms.c.label == sa.bindparam("label")
)  # made once, for that takes long


class Standing(SimpleNamespace):
    """A room or message while it is changed: reads like one, for a tenth of the cost."""

    mark = Room.mark


@dataclass
class Page:
    """Some messages of a room, with the head, epoch and name of the same moment."""

    head: int
    epoch: str
    name: str
    messages: list[Message]
    upto: int  # who has this page has every change up to here
    older: bool = False
    newer: bool = False
    missed: int | None = None


@lru_cache(maxsize=10_000)
def _mark(key: str, label: str, author: str) -> str:
    return hmac.new(key.encode(), f"{label}/{author}".encode(), sha256).hexdigest()[:16]
