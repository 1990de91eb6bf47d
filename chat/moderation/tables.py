"""The tables of moderation. People are known by their marks; roles are a column of `rooms`."""

from datetime import datetime
from typing import cast

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chat.storage.database import Base, UTCDateTime


def _room_id(*, primary_key: bool = False) -> Mapped[int]:
    foreign_key = sa.ForeignKey("rooms.id", ondelete="CASCADE")
    return mapped_column(foreign_key, primary_key=primary_key)


class HostLink(Base):
    """A link that makes the browser that opens it a host, once.

    `created_by` is the mark of the host who created it; "" is the operator.
    """

    __tablename__ = "host_links"

    secret_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    room_id: Mapped[int] = _room_id()
    created_by: Mapped[str] = mapped_column(sa.String(16))
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (sa.Index("ix_host_links_room_id", "room_id"),)


class Sanction(Base):
    """What is imposed on a person in a room; `until` is None when it has no end.

    `with_address`: the addresses from which the person connects are banned too, later ones also.
    """

    __tablename__ = "sanctions"

    room_id: Mapped[int] = _room_id(primary_key=True)
    mark: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    handle: Mapped[str] = mapped_column(sa.String(64))
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    with_address: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class BannedAddress(Base):
    """An address that is banned from a room together with the person `mark`."""

    __tablename__ = "banned_addresses"

    room_id: Mapped[int] = _room_id(primary_key=True)
    address_hash: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    mark: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class KnownName(Base):
    """The handle that a person used last in a room. Nobody else can take it until `held_until`.

    `address_hash` is a salted hash of their address, for bans of addresses.
    """

    __tablename__ = "known_names"

    room_id: Mapped[int] = _room_id(primary_key=True)
    mark: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    handle: Mapped[str] = mapped_column(sa.String(64))
    skeleton: Mapped[str] = mapped_column(sa.String(256))
    held_until: Mapped[datetime] = mapped_column(UTCDateTime)
    address_hash: Mapped[str] = mapped_column(sa.String(32), default="", server_default="")

    __table_args__ = (sa.Index("ix_known_names_skeleton", "room_id", "skeleton"),)


class LastPost(Base):
    """When a person posted last in a room with slow mode. It outlives the message."""

    __tablename__ = "last_posts"

    room_id: Mapped[int] = _room_id(primary_key=True)
    mark: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    posted_at: Mapped[datetime] = mapped_column(UTCDateTime)


class LogEntry(Base):
    """What a host or moderator did in a room; `sentence` is what the room was told."""

    __tablename__ = "moderation_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    room_id: Mapped[int] = _room_id()
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    mark: Mapped[str] = mapped_column(sa.String(16))
    handle: Mapped[str] = mapped_column(sa.String(64))
    action: Mapped[str] = mapped_column(sa.String(24))
    target: Mapped[str] = mapped_column(sa.String(16), default="", server_default="")
    sentence: Mapped[str] = mapped_column(sa.Text)

    __table_args__ = (
        sa.Index("ix_moderation_log_room_id", "room_id", "id"),
        {"sqlite_autoincrement": True},
    )


class Report(Base):
    """A report of a message, or of a room (`seq` is None), with a copy of the message."""

    __tablename__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    room_id: Mapped[int] = _room_id()
    label: Mapped[str] = mapped_column(sa.String(50))
    seq: Mapped[int | None] = mapped_column(sa.BigInteger)
    reporter: Mapped[str] = mapped_column(sa.String(16))
    reason: Mapped[str] = mapped_column(sa.Text)
    target: Mapped[str] = mapped_column(sa.String(16), default="", server_default="")
    handle: Mapped[str] = mapped_column(sa.String(64), default="", server_default="")
    message: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    to_operator: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        sa.Index("ix_reports_room_id", "room_id", "id"),
        {"sqlite_autoincrement": True},
    )


class Lease(Base):
    """A task that one worker at a time does, until `expires_at`."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    holder: Mapped[str] = mapped_column(sa.String(32))
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


host_links = cast(sa.Table, HostLink.__table__)  # declared as the more general FromClause
sanctions = cast(sa.Table, Sanction.__table__)
banned_addresses = cast(sa.Table, BannedAddress.__table__)
known_names = cast(sa.Table, KnownName.__table__)
last_posts = cast(sa.Table, LastPost.__table__)
moderation_log = cast(sa.Table, LogEntry.__table__)
reports = cast(sa.Table, Report.__table__)
leases = cast(sa.Table, Lease.__table__)
