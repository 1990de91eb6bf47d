"""The history of a scenario: what clients sent and received, and what is stored at the end.

The history is a file with one JSON object per line, appended to by several processes. The checker
reads it and nothing else but the database. The types of records and their fields:

    invoke      a client sent a request: action, id, message, seq, emoji, on, mark, connection,
                and for an action of a host target
    ok, fail    the acknowledgement of a request: id, seq and rev, or code
    refused     the server refused an attempt: event, code
    identity    the server told a client who it is: mark
    connect     a connection was opened
    disconnect  a connection was closed: reason, of stock clients
    receive     a live event arrived: event, label, row, head; ordered is false when the client
                may have recorded it out of order
    show        a client shows a row that is new or has changed: row
    reset       a client started over: epoch, rows
    read_back   a row that was loaded while reading back to the first message: row
    final       what a client shows at the end: epoch, rows, pending (ids without an outcome)
    out         instead of `final`: the server does not let this client in: reason

Every record has `at`, in milliseconds on the monotonic clock of the machine, and `client`, which
is empty in the records of the harness and of orders to all clients.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Engine, text

Record: TypeAlias = dict[str, Any]
"""A line of the history. Its fields depend on its type."""

Reactions: TypeAlias = tuple[tuple[str, int], ...]
"""Each emoji with the number of people who reacted with it."""

SELECT_ROOM = text("SELECT head, epoch, floor FROM rooms WHERE label = :label")
SELECT_MESSAGES = text(
    "SELECT seq, rev, client_id, message, kind, reactions, details, timestamp, edited_at,"
    " deleted_at FROM messages JOIN rooms ON rooms.id = room_id WHERE label = :label ORDER BY seq"
)


def now_ms() -> float:
    """Return milliseconds on the monotonic clock, which the clients in Node read too."""
    return time.monotonic() * 1000


@dataclass(frozen=True)
class Row:
    """A message as a client showed it, or as it is stored."""

    seq: int
    rev: int
    id: str | None
    message: str
    deleted: bool
    kind: str | None
    reactions: Reactions
    changed_at: float = field(compare=False)
    """When it got this state, in milliseconds on the clock of the history."""
    details: str = ""
    """What a host did, as JSON."""

    @classmethod
    def from_record(cls, row: Record) -> "Row":
        """Return the row that a client recorded."""
        return cls(
            seq=row["seq"],
            rev=row["rev"],
            id=row.get("id"),
            message=row["message"],
            deleted=bool(row.get("deleted")),
            kind=row.get("kind"),
            reactions=_count_reactions(row.get("reactions")),
            changed_at=to_history_clock(datetime.fromisoformat(row["changed_at"])),
            details=_canonical_json(row.get("details")),
        )

    @property
    def action(self) -> str:
        """The action of a host that this row announces, or that erased it; "" for others."""
        return str(json.loads(self.details)["action"]) if self.details else ""


def _count_reactions(reactions: dict[str, list[str]] | str | None) -> Reactions:
    """Count reactions in the form of the wire, or of the database, where they may be JSON text."""
    by_emoji = json.loads(reactions) if isinstance(reactions, str) else reactions
    return tuple((emoji, len(marks)) for emoji, marks in (by_emoji or {}).items())


def _canonical_json(details: Record | str | None) -> str:
    """Return details in one form: the database may have them as JSON text."""
    parsed = json.loads(details) if isinstance(details, str) else details
    return "" if parsed is None else json.dumps(parsed, sort_keys=True)


def to_history_clock(moment: datetime) -> float:
    """Convert a time of day to milliseconds on the clock of the history."""
    return moment.timestamp() * 1000 - time.time() * 1000 + now_ms()


@dataclass
class StoredRoom:
    """A room in the database. Its rows are those above the floor: others do not exist any more."""

    head: int
    epoch: str
    rows: list[Row]
    client_ids: Counter[str]
    floor: int = 0
    undeleted_texts: frozenset[str] = frozenset()
    """Texts at or below the floor that the purge job has not deleted yet."""


def read_room(engine: Engine, label: str) -> StoredRoom:
    """Read a room and its messages from the database."""
    with engine.connect() as connection:
        head, epoch, floor = connection.execute(SELECT_ROOM, {"label": label}).one()
        messages = connection.execute(SELECT_MESSAGES, {"label": label}).all()
    rows = [
        Row(
            seq=message.seq,
            rev=message.rev,
            id=message.client_id,
            message=message.message,
            deleted=message.deleted_at is not None,
            kind=message.kind,
            reactions=_count_reactions(message.reactions),
            changed_at=_stored_time(message.deleted_at or message.edited_at or message.timestamp),
            details=_canonical_json(message.details),
        )
        for message in messages
    ]
    client_ids = Counter(row.id for row in rows if row.id)
    undeleted_texts = frozenset(row.message for row in rows if row.seq <= floor)
    existing = [row for row in rows if row.seq > floor]
    return StoredRoom(head, epoch, existing, client_ids, floor, undeleted_texts)


def _stored_time(value: datetime | str) -> float:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return to_history_clock(moment.replace(tzinfo=UTC))


@dataclass
class SentRequest:
    """A request of a client to store something, and its acknowledgement."""

    sent_at: float
    client: str
    action: str
    id: str
    message: str
    seq: int | None
    """The message to change."""
    connection: int | None
    """Counts the connections of a bot, which promise no order between each other."""
    emoji: str | None = None
    on: bool = False
    mark: str = ""
    target: str = ""
    """The mark of the person on whom a host acts."""
    acknowledged_at: float | None = None
    rev: int | None = None
    """The number in the acknowledgement."""

    @classmethod
    def from_record(cls, record: Record) -> "SentRequest":
        """Return the request of an `invoke` record."""
        return cls(
            sent_at=record["at"],
            client=record["client"],
            action=record["action"],
            id=record["id"],
            message=record.get("message", ""),
            seq=record.get("seq"),
            connection=record.get("connection"),
            emoji=record.get("emoji"),
            on=record.get("on", False),
            mark=record.get("mark", ""),
            target=record.get("target", ""),
        )

    @property
    def label(self) -> str:
        """The room it was sent to."""
        return label_of(self.client)


def label_of(client: str) -> str:
    """Return the label of a client's room, with which its name begins."""
    return client.partition(" ")[0]


def is_stock(client: str) -> bool:
    """Return whether a client is a stock Socket.IO client."""
    return client.split(" ")[1] in ("node", "python")


def is_probe(client: str) -> bool:
    """Return whether a client posts the probe."""
    return client.split(" ")[1] == "probe"


class History:
    """The history file of one run of a scenario."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: list[Record] = []

    def record(self, record_type: str, **fields: Any) -> float:
        """Record something that the harness or its `client` did; return when, in milliseconds."""
        at = now_ms()
        self._records.append({"at": at, "client": "", "type": record_type, **fields})
        return at

    def flush(self) -> None:
        """Append the records of the harness to those of the clients."""
        with self.path.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in self._records)
        self._records = []

    def records(self) -> list[Record]:
        """Return the records in the file, in the order of time."""
        with self.path.open() as file:
            # A client may be writing the last line.
            lines = [line for line in file if line.endswith("\n")]
        return sorted(map(json.loads, lines), key=lambda record: record["at"])


def sent_requests(records: list[Record]) -> dict[str, SentRequest]:
    """Return all requests by id, each with its first acknowledgement."""
    requests: dict[str, SentRequest] = {}
    for record in records:
        if record["type"] == "invoke":
            requests[record["id"]] = SentRequest.from_record(record)
        elif record["type"] == "ok":
            request = requests.get(record["id"])
            if request is not None and request.acknowledged_at is None:
                request.acknowledged_at = record["at"]
                request.rev = record["rev"]
    return requests


def of_type(records: list[Record], *types: str) -> Iterator[Record]:
    """Return the records of some types."""
    return (record for record in records if record["type"] in types)
