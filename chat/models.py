"""The tables of rooms and messages, and how they are read.

Each read is one statement, so everything in its result is of the same moment. Nothing here commits.
Statements are built once and kept, because building one takes longer than running it.
"""

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any, Literal, Self, TypeAlias, cast

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chat.answer_size import count_fitting
from chat.current_config import current_config, secret_key
from chat.errors import NotFound
from chat.storage.database import Base, UTCDateTime, read_transaction

NO_LIMIT_SEQ = 2**62
"""A sequence number above every one that is ever assigned."""

MAX_COUNTED_MISSED = 10_000
"""Missed messages are counted up to here; counting further would be slow."""

NAME_LOOKBACK_MESSAGES = 500
"""How many of a room's last messages are searched for the handle that an author used last."""

NO_AUTHOR = ""
"""The author of a deleted message; its mark is "" too."""

ReactionsByEmoji: TypeAlias = dict[str, list[str]]
"""The authors who reacted with each emoji, in the order in which they did."""


class Room(Base):
    """A chat room. `head` is its only counter: every stored change takes the next number."""

    __tablename__ = "rooms"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(50), unique=True)
    name: Mapped[str] = mapped_column(sa.String(80), default="", server_default="")
    head: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    floor: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    epoch: Mapped[str] = mapped_column(sa.String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    # Ids are never reused: a connection may hold one for days.
    __table_args__ = ({"sqlite_autoincrement": True},)

    @classmethod
    def find(cls, label: str) -> Self:
        """Return the room with this label. Raises NotFound, Busy."""
        with read_transaction() as connection:
            row = connection.execute(SELECT_ROOM_BY_LABEL, {"label": label}).one_or_none()
        if row is None:
            raise NotFound("There is no room with this name.")
        return cls(**row._mapping)

    def mark(self, author: str) -> str:
        """Return the public fingerprint (a tripcode) of an author in this room."""
        return room_mark(self.label, author)

    def latest(self) -> "MessagePage":
        """Return the last messages. Raises NotFound when the room has been deleted, Busy."""
        return self.history_before(NO_LIMIT_SEQ, current_config().page_messages)

    def missed(self, after: int) -> "MessagePage":
        """Return the changes after the number `after`, and how many messages are new since then.

        Raises NotFound when the room has been deleted, Busy.
        """
        page = self.changes(after, current_config().catch_up_changes)
        page.missed = sum(message.seq > after for message in page.messages)
        if page.upto < page.head:
            page.missed = self._count_messages_after(after)
        return page

    def changes(self, after: int, limit: int) -> "MessagePage":
        """Return at most `limit` messages changed after the number `after`, in `rev` order.

        Fewer if they would not fit into one answer; so do all methods that return a page.
        Raises NotFound when the room has been deleted, Busy.
        """
        page = self._read_page("changed", pivot=after, limit_from=limit + 1)
        page.messages.sort(key=lambda message: message.rev)
        count = min(limit, _count_fitting(page.messages))
        if count < len(page.messages):
            page.messages = page.messages[:count]
            page.upto = page.messages[-1].rev
        return page

    def history(
        self,
        limit: int,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
    ) -> "MessagePage":
        """Return messages in `seq` order: before, after or around a number, or the last ones.

        Raises NotFound when the room has been deleted, Busy.
        """
        if around is not None:
            return self.history_around(around, limit)
        if after is not None:
            return self.history_after(after, limit)
        return self.history_before(NO_LIMIT_SEQ if before is None else before, limit)

    def history_before(self, before: int, limit: int) -> "MessagePage":
        """Return the last `limit` messages with a `seq` below `before`."""
        page = self._read_page("before", pivot=before, limit_before=limit + 1)
        page.messages.sort(key=lambda message: message.seq)
        count = min(limit, _count_fitting(page.messages[::-1]))
        page.older = len(page.messages) > count
        page.newer = before != NO_LIMIT_SEQ and self._any_message(Message.seq >= before)
        page.messages = page.messages[-count:]
        return page

    def history_after(self, after: int, limit: int) -> "MessagePage":
        """Return the first `limit` messages with a `seq` above `after`."""
        first = after + 1
        page = self._read_page("from", pivot=first, limit_from=limit + 1)
        page.messages.sort(key=lambda message: message.seq)
        count = min(limit, _count_fitting(page.messages))
        page.older = self._any_message(Message.seq < first)
        page.newer = len(page.messages) > count
        page.messages = page.messages[:count]
        return page

    def history_around(self, around: int, limit: int) -> "MessagePage":
        """Return `limit` messages: half of them below `around`, the rest from it on."""
        limit_before = limit // 2
        limit_from = limit - limit_before
        page = self._read_page(
            "before", "from", pivot=around, limit_before=limit_before + 1, limit_from=limit_from + 1
        )
        page.messages.sort(key=lambda message: message.seq)
        before = [message for message in page.messages if message.seq < around]
        following = page.messages[len(before) :]
        count_before = min(limit_before, _count_fitting(before[::-1], parts=2))
        count_from = min(limit_from, _count_fitting(following, parts=2))
        page.older = len(before) > count_before
        page.newer = len(following) > count_from
        page.messages = before[len(before) - count_before :] + following[:count_from]
        return page

    def recent_handles(self, authors: Collection[str]) -> dict[str, str]:
        """Return the handles that these authors used last, as far as they wrote recently."""
        handle = sa.case((Message.kind == "rename", Message.message), else_=Message.handle)
        columns = Message.seq, Message.author, Message.kind, handle.label("handle")
        recent = (
            self._select_messages()
            .with_only_columns(*columns)
            .order_by(Message.seq.desc())
            .limit(NAME_LOOKBACK_MESSAGES)
            .subquery()
        )
        has_handle = sa.or_(recent.c.kind.is_(None), recent.c.kind == "rename")
        statement = (
            sa.select(recent.c.author, recent.c.handle)
            .where(recent.c.author.in_(authors), has_handle)
            .order_by(recent.c.seq)
        )
        with read_transaction() as connection:
            rows = connection.execute(statement).all()
        return dict(rows)  # a later handle replaces an earlier one

    def _select_messages(self, *conditions: sa.ColumnElement[bool]) -> sa.Select["Message"]:
        return sa.select(Message).where(Message.room_id == self.id, *conditions)

    def _any_message(self, condition: sa.ColumnElement[bool]) -> bool:
        with read_transaction() as connection:
            return bool(connection.scalar(sa.select(self._select_messages(condition).exists())))

    def _count_messages_after(self, after: int) -> int:
        newer = self._select_messages(Message.seq > after).with_only_columns(Message.seq)
        counted = newer.limit(MAX_COUNTED_MISSED).subquery()
        with read_transaction() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(counted)) or 0

    def _read_page(self, *parts: "PagePart", **numbers: int) -> "MessagePage":
        parameters = {"room": self.id, "label": self.label, **numbers}
        with read_transaction() as connection:
            rows = connection.execute(_page_statement(*parts), parameters).all()
        if not rows:
            raise NotFound("This room is gone.")
        messages_of_page = [message_row(row[3:]) for row in rows if row.seq is not None]
        return MessagePage(
            head=rows[0].head,
            epoch=rows[0].epoch,
            name=rows[0].name,
            messages=messages_of_page,
            upto=rows[0].head,
        )


class Message(Base):
    """A message. `seq` is its position in the room, `rev` the number of its last change."""

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
    reactions: Mapped[ReactionsByEmoji | None] = mapped_column(sa.JSON(none_as_null=True))

    __table_args__ = (
        sa.UniqueConstraint("room_id", "client_id", name="uq_messages_client_id"),
        sa.Index("ix_messages_rev", "room_id", "rev"),
    )


rooms = cast(sa.Table, Room.__table__)  # declared as the more general FromClause
messages = cast(sa.Table, Message.__table__)  # likewise

SELECT_ROOM_BY_LABEL = sa.select(rooms).where(rooms.c.label == sa.bindparam("label"))


@dataclass
class RoomRow:
    """A row of `rooms` as the journal holds it while it is locked."""

    id: int
    label: str
    name: str
    head: int
    epoch: str

    def mark(self, author: str) -> str:
        """Return the public fingerprint (a tripcode) of an author in this room."""
        return room_mark(self.label, author)


@dataclass
class MessageRow:
    """A row of `messages`: its fields are the columns of `Message`, in the same order.

    `client_id` is the `id` of a message on the wire.
    """

    room_id: int
    seq: int
    rev: int
    author: str
    client_id: str | None
    handle: str
    message: str
    timestamp: datetime
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    reply_to: int | None = None
    kind: str | None = None
    reactions: ReactionsByEmoji | None = None

    @property
    def is_new(self) -> bool:
        """Whether its last change is the one that made it."""
        return self.seq == self.rev

    def columns(self) -> dict[str, Any]:
        """Return the values by column, as an INSERT takes them."""
        return dict(vars(self))


def message_row(row: Sequence[Any]) -> MessageRow:
    """Return a typed row from the values of all columns of `messages`, in their order."""
    return MessageRow(*row)


@dataclass
class MessagePage:
    """Some messages of a room, with the head, epoch and name of the same moment.

    A client that has this page has every change up to `upto`. `older` and `newer` say whether there
    are messages beyond the page; `missed` is how many are new to a client that was away.
    """

    head: int
    epoch: str
    name: str
    messages: list[MessageRow]
    upto: int
    older: bool = False
    newer: bool = False
    missed: int | None = None


def _count_fitting(messages: Sequence[MessageRow], parts: int = 1) -> int:
    """Return how many of the first messages fit into one of `parts` equal parts of an answer."""
    return count_fitting(messages, current_config().answer_bytes // parts)


PagePart: TypeAlias = Literal["before", "from", "changed"]


@cache
def _page_statement(*parts: PagePart) -> sa.Executable:
    """Build the statement that reads messages together with head, epoch and name of their room.

    Its parameters: `room` (the id), `label`, `pivot` (a `seq`, or a `rev` for "changed"),
    `limit_before` and `limit_from`. A room without matching messages gives one row whose message
    columns are NULL.
    """
    room = sa.bindparam("room", type_=sa.BigInteger)
    pivot = sa.bindparam("pivot", type_=sa.BigInteger)
    limit_before = sa.bindparam("limit_before", type_=sa.BigInteger)
    limit_from = sa.bindparam("limit_from", type_=sa.BigInteger)
    seq = messages.c.seq
    rev = messages.c.rev
    of_room = sa.select(messages).where(messages.c.room_id == room)
    selects = {
        "before": of_room.where(seq < pivot).order_by(seq.desc()).limit(limit_before),
        "from": of_room.where(seq >= pivot).order_by(seq).limit(limit_from),
        "changed": of_room.where(rev > pivot).order_by(rev).limit(limit_from),
    }
    rows = sa.union_all(*(sa.select(selects[part].subquery()) for part in parts)).subquery()
    columns = sa.select(*rooms.c["head", "epoch", "name"], rows)
    # A row with this id and another label is another room: after restoring a backup, for example.
    is_same_room = (rooms.c.id == room) & (rooms.c.label == sa.bindparam("label"))
    return columns.outerjoin_from(rooms, rows, sa.true()).where(is_same_room)


def room_mark(label: str, author: str) -> str:
    """Return the mark of an author in the room `label`: 16 hexadecimal digits of an HMAC.

    It is the same under every handle, and different in every room. NO_AUTHOR has the mark "".
    """
    if author == NO_AUTHOR:
        return ""
    return _mark(secret_key(), label, author)


@lru_cache(maxsize=10_000)
def _mark(key: str, label: str, author: str) -> str:
    return hmac.new(key.encode(), f"{label}/{author}".encode(), sha256).hexdigest()[:16]
