"""The tables of rooms and messages, and how they are read. moderation/tables.py has the others.

Each read is one statement, so everything in its result is of the same moment. Nothing here commits.
Statements are built once and kept, because building one takes longer than running it.
"""

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any, Literal, NamedTuple, Self, TypeAlias, cast

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chat.answer_size import count_fitting
from chat.current_config import current_config, secret_key
from chat.errors import NotFound
from chat.moderation.names import RoomNames
from chat.moderation.rules import NO_RULES, Person, RoomRules, Standing
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

Details: TypeAlias = dict[str, Any]
"""What a system message of kind "moderation" says to programs; docs/protocol.md has its keys."""

RoleByMark: TypeAlias = dict[str, str]
"""The roles of a room: "host" or "moderator", by the mark of the person."""


class KnownRules(NamedTuple):
    """The rules of a room, and the epoch and the head at which it had them."""

    rules: RoomRules
    epoch: str
    head: int


class Room(Base):
    """A chat room. `head` is its only counter: every stored change takes the next number.

    Messages with a `seq` up to `floor` do not exist any more: they have expired or were cleared.
    Their rows are deleted later. `purge_at` is when the purge job has to look at the room.
    `names_version` is raised whenever somebody gives up or loses a protected name. It is not when
    a hold ends: nobody remembers a claim for as long as that.
    """

    __tablename__ = "rooms"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(50), unique=True)
    name: Mapped[str] = mapped_column(sa.String(80), default="", server_default="")
    head: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    floor: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    epoch: Mapped[str] = mapped_column(sa.String(32))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    is_private: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    is_locked: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    only_hosts_name: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    has_sanctions: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    slow_mode_seconds: Mapped[int] = mapped_column(default=0, server_default="0")
    expiry_seconds: Mapped[int | None]
    password_hash: Mapped[str] = mapped_column(sa.String(200), default="", server_default="")
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    roles: Mapped[RoleByMark | None] = mapped_column(sa.JSON(none_as_null=True))
    purge_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    names_version: Mapped[int] = mapped_column(default=0, server_default="0")

    # Ids are never reused: a connection may hold one for days.
    __table_args__ = ({"sqlite_autoincrement": True},)

    __allow_unmapped__ = True  # for the next attribute, which is no column
    _newer_rules: KnownRules | None = None

    @property
    def rules(self) -> RoomRules:
        """The rules of the room: as they were when it was read, or newer ones that were set."""
        return self._known_rules().rules

    def set_rules(self, rules: RoomRules, epoch: str, head: int) -> None:
        """Set the rules that the room had at a head, unless those of a later head are known.

        Heads of two epochs cannot be compared: of two epochs, the last that was set counts.
        """
        known = self._known_rules()
        if epoch != known.epoch or head >= known.head:
            # In one assignment: other threads may read them.
            self._newer_rules = KnownRules(rules, epoch, head)

    def _known_rules(self) -> KnownRules:
        if self._newer_rules is not None:
            return self._newer_rules
        rules = RoomRules(*(getattr(self, name) for name in RoomRules._fields))
        return KnownRules(rules, self.epoch, self.head)

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

    def recent_handles_by_mark(self) -> dict[str, str]:
        """Return the handles that people used last, by mark, as far as they wrote recently."""
        statement = self._recent_handles()
        with read_transaction() as connection:
            rows = connection.execute(statement).all()
        return {self.mark(author): handle for author, handle in rows if author != NO_AUTHOR}

    def recent_handles(self, authors: Collection[str]) -> dict[str, str]:
        """Return the handles that these authors used last, as far as they wrote recently."""
        with read_transaction() as connection:
            return self.recent_handles_in(connection, authors)

    def recent_handles_in(
        self, connection: sa.Connection, authors: Collection[str]
    ) -> dict[str, str]:
        """Return the same as `recent_handles`, within a transaction."""
        rows = connection.execute(self._recent_handles(authors)).all()
        return dict(rows)  # a later handle replaces an earlier one

    def _recent_handles(self, authors: Collection[str] | None = None) -> sa.Select[Any]:
        """Select authors and handles of the last messages, in the order of the messages."""
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
        statement = sa.select(recent.c.author, recent.c.handle).where(has_handle)
        if authors is not None:
            statement = statement.where(recent.c.author.in_(authors))
        return statement.order_by(recent.c.seq)

    def _select_messages(self, *conditions: sa.ColumnElement[bool]) -> sa.Select["Message"]:
        floor = sa.select(rooms.c.floor).where(rooms.c.id == self.id).scalar_subquery()
        return sa.select(Message).where(
            Message.room_id == self.id, Message.seq > floor, *conditions
        )

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
        first = rows[0]
        messages_of_page = [
            message_row(row[ROOM_PART_SIZE:]) for row in rows if row.seq is not None
        ]
        return MessagePage(
            head=first.head,
            epoch=first.epoch,
            name=first.name,
            floor=first.floor,
            rules=RoomRules(*first[PAGE_COLUMNS_BEFORE_RULES:ROOM_PART_SIZE]),
            messages=messages_of_page,
            upto=first.head,
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
    details: Mapped[Details | None] = mapped_column(sa.JSON(none_as_null=True))

    __table_args__ = (
        sa.UniqueConstraint("room_id", "client_id", name="uq_messages_client_id"),
        sa.Index("ix_messages_rev", "room_id", "rev"),
    )


rooms = cast(sa.Table, Room.__table__)  # declared as the more general FromClause
messages = cast(sa.Table, Message.__table__)  # likewise

RULES_COLUMNS = tuple(rooms.c[name] for name in RoomRules._fields)
"""The columns of a room's rules, in the order of the fields of `RoomRules`."""

PAGE_COLUMNS = (*rooms.c["head", "epoch", "name", "floor"], *RULES_COLUMNS)
"""What a page of messages says about its room."""

ROOM_PART_SIZE = len(PAGE_COLUMNS)
PAGE_COLUMNS_BEFORE_RULES = ROOM_PART_SIZE - len(RULES_COLUMNS)

LOCKED_COLUMNS = (
    *rooms.c["id", "label", "name", "head", "epoch", "floor", "names_version"],
    *RULES_COLUMNS,
)
"""The columns of a `RoomRow`."""

SELECT_ROOM_BY_LABEL = sa.select(rooms).where(rooms.c.label == sa.bindparam("label"))


class RoomHead(NamedTuple):
    """The columns of `rooms` that say how far the history of a room goes."""

    id: int
    label: str
    head: int
    epoch: str
    floor: int


HEAD_COLUMNS = tuple(rooms.c[name] for name in RoomHead._fields)


@dataclass
class RoomRow:
    """A row of `rooms` as the journal holds it while it is locked.

    `standings` holds the sanctions of people, by their marks, as far as the journal has read them:
    people who are not in it are under no sanction. `handles` holds the previous handles of authors
    who rename themselves, and `names` the holders of names, both as far as the journal needs them.
    With `has_new_rules`, the journal stores rules, floor and epoch.
    """

    id: int
    label: str
    name: str
    head: int
    epoch: str
    floor: int = 0
    names_version: int = 0
    rules: RoomRules = NO_RULES
    standings: dict[str, Standing] = field(default_factory=dict)
    names: RoomNames = field(default_factory=RoomNames)
    has_new_rules: bool = False
    handles: dict[str, str] = field(default_factory=dict)

    def mark(self, author: str) -> str:
        """Return the public fingerprint (a tripcode) of an author in this room."""
        return room_mark(self.label, author)

    def person(self, mark: str) -> Person:
        """Return a person of this room with their role and sanctions."""
        standing = self.standings.setdefault(mark, Standing())
        return Person(mark, self.rules.role(mark), standing)

    def change_rules(self, rules: RoomRules) -> None:
        """Replace the rules, to be stored with the change that the journal is deciding."""
        self.rules = rules
        self.has_new_rules = True

    def clear_history(self, epoch: str) -> None:
        """Make all messages up to the head nonexistent, and begin a new epoch."""
        self.floor = self.head
        self.epoch = epoch
        self.has_new_rules = True


def room_row(row: Sequence[Any]) -> RoomRow:
    """Return a typed row from the values of LOCKED_COLUMNS."""
    row_id, label, name, head, epoch, floor, names_version, *rules = row
    return RoomRow(row_id, label, name, head, epoch, floor, names_version, RoomRules(*rules))


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
    details: Details | None = None

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
    """Some messages of a room, with its head, epoch, name, floor and rules of the same moment.

    A client that has this page has every change up to `upto`. `older` and `newer` say whether there
    are messages beyond the page; `missed` is how many are new to a client that was away.
    """

    head: int
    epoch: str
    name: str
    messages: list[MessageRow]
    upto: int
    floor: int = 0
    rules: RoomRules = NO_RULES
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
    floor = sa.select(rooms.c.floor).where(rooms.c.id == room).scalar_subquery()
    of_room = sa.select(messages).where(messages.c.room_id == room, seq > floor)
    selects = {
        "before": of_room.where(seq < pivot).order_by(seq.desc()).limit(limit_before),
        "from": of_room.where(seq >= pivot).order_by(seq).limit(limit_from),
        "changed": of_room.where(rev > pivot).order_by(rev).limit(limit_from),
    }
    rows = sa.union_all(*(sa.select(selects[part].subquery()) for part in parts)).subquery()
    columns = sa.select(*PAGE_COLUMNS, rows)
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
