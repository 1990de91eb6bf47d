"""What happened, line by line, and what the database holds in the end: all that the checker needs to know."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

JSON = dict[str, Any]


def now() -> float:
    """Milliseconds on the clock that Node's history uses too."""
    return time.monotonic() * 1000


@dataclass(frozen=True)
class Row:
    """A message as somebody saw it, or as it is stored."""

    seq: int
    rev: int
    id: str | None
    message: str
    deleted: bool
    kind: str | None
    reactions: tuple[tuple[str, int], ...]  # each emoji, and how many people put it there
    since: float = field(compare=False)  # when it became so, on the history's clock

    @classmethod
    def seen(cls, brief: JSON) -> "Row":
        """As a client reported it."""
        when = datetime.fromisoformat(brief["since"])
        known = (
            brief["seq"],
            brief["rev"],
            brief.get("id"),
            brief["message"],
            bool(brief.get("deleted")),
        )
        return cls(
            *known, brief.get("kind"), _counted(brief.get("reactions")), since=on_our_clock(when)
        )


def _counted(reactions: dict[str, list[str]] | str | None) -> tuple[tuple[str, int], ...]:
    found = json.loads(reactions) if isinstance(reactions, str) else reactions
    return tuple((emoji, len(people)) for emoji, people in (found or {}).items())


def on_our_clock(when: datetime) -> float:
    """A time of day, on the history's clock."""
    return when.timestamp() * 1000 - time.time() * 1000 + now()


@dataclass
class Stored:
    """A room in the database."""

    head: int
    epoch: str
    rows: list[Row]
    ids: Counter[str]


def stored(engine: Engine, label: str) -> Stored:
    """What the database holds of a room."""
    query = text(
        "SELECT seq, rev, client_id, message, kind, reactions, timestamp, edited_at, deleted_at FROM messages"
        " JOIN rooms ON rooms.id = room_id WHERE label = :label ORDER BY seq"
    )
    with engine.connect() as connection:
        head, epoch = connection.execute(
            text("SELECT head, epoch FROM rooms WHERE label = :label"), {"label": label}
        ).one()
        rows = [
            Row(
                seq,
                rev,
                key,
                words,
                gone is not None,
                kind,
                _counted(by),
                _since(gone or edited or said),
            )
            for seq, rev, key, words, kind, by, said, edited, gone in connection.execute(
                query, {"label": label}
            )
        ]
    return Stored(head, epoch, rows, Counter(row.id for row in rows if row.id))


def _since(value: datetime | str) -> float:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return on_our_clock(moment.replace(tzinfo=UTC))


@dataclass
class Wish:
    """Something somebody wanted stored, and what came of it."""

    at: float
    who: str
    do: str
    id: str
    message: str
    seq: int | None  # the message to be changed
    visit: int | None
    emoji: str | None = None
    on: bool = False
    mark: str = ""
    answered: float | None = None
    number: int | None = None  # what the answer said

    @property
    def label(self) -> str:
        """The room it was for."""
        return label_of(self.who)


def label_of(who: str) -> str:
    """The room of a person."""
    return who.partition(" ")[0]


def is_stock(who: str) -> bool:
    """Whether this is a stock client."""
    return who.split(" ")[1] in ("node", "python")


def is_probe(who: str) -> bool:
    """Whether this posts the probe."""
    return who.split(" ")[1] == "probe"


class History:
    """The lines of one evening, in the order of time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marks: list[JSON] = []

    def mark(self, what: str, **more: Any) -> float:
        """Write down something that the harness did; when that was."""
        line = {"at": now(), "who": "", "what": what, **more}
        self._marks.append(line)
        return float(line["at"])

    def close(self) -> None:
        """Nothing more will happen: put the harness's own lines where the clients' are."""
        with self.path.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in self._marks)
        self._marks = []

    def lines(self) -> list[JSON]:
        """Everything that happened."""
        with self.path.open() as file:
            return sorted(map(json.loads, file), key=lambda line: line["at"])


def wishes(lines: list[JSON]) -> dict[str, Wish]:
    """Everything that was wanted, by id, with its first answer."""
    wanted: dict[str, Wish] = {}
    for line in lines:
        if line["what"] == "invoke":
            about = (
                line["who"],
                line["do"],
                line["id"],
                line.get("message", ""),
                line.get("seq"),
                line.get("visit"),
            )
            reaction = line.get("emoji"), line.get("on", False), line.get("mark", "")
            wanted[line["id"]] = Wish(line["at"], *about, *reaction)
        elif line["what"] == "ok" and (wish := wanted.get(line["id"])) and wish.answered is None:
            wish.answered, wish.number = line["at"], line["rev"]
    return wanted


def of(lines: list[JSON], *what: str) -> Iterator[JSON]:
    """The lines of some kinds."""
    return (line for line in lines if line["what"] in what)
