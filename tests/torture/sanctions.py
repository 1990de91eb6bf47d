"""The part of the checker about hosts: what they impose applies from its commit on.

I11 Nothing is stored of somebody whom a host has muted, removed or banned, nor of anybody but
    hosts in a locked room, from the system message on that announces it.
I12 Whoever is refused is told why; removed and banned people receive nothing any more.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from tests.torture.history import Record, Row, SentRequest, StoredRoom, of_type
from tests.torture.measurements import recorded_rows
from tests.torture.verdict import Verdict

IMPOSED = {"mute": "muted", "remove": "removed", "ban": "banned", "lock": "locked"}
"""The code of a refusal, by the action that leads to it."""

LIFTED = {"unmute": "muted", "readmit": "removed", "unban": "banned", "unlock": "locked"}
EXPELLED = ("removed", "banned")
NOTICE_MS = 4_000
"""How long somebody who was removed or banned may still receive what others post."""

TELLING_MS = 2_000
"""How long a sanction must last for everybody who sends to be told."""

ALLOWED_ACTIONS = ("delete",)
"""What people may do while they are muted or the room is locked: erase what they wrote."""


@dataclass
class Sanction:
    """What a host imposed, from one system message until another one lifted it.

    `mark` is that of the person; "" for all but hosts.
    """

    code: str
    mark: str
    begin: int
    begin_at: float
    end: float = inf
    end_at: float = inf

    def covers(self, number: int) -> bool:
        """Return whether it was in force when this number was assigned."""
        return self.begin < number < self.end

    def is_in_force_at(self, at: float) -> bool:
        """Return whether it was in force at a time of the history."""
        return self.begin_at < at < self.end_at


def sanctions_in(records: list[Record], room: StoredRoom) -> list[Sanction]:
    """Return what hosts imposed, as the system messages of the room announce it."""
    rows = {row.seq: row for _, row in recorded_rows(records) if row.kind == "moderation"}
    rows |= {row.seq: row for row in room.rows if row.kind == "moderation"}
    sanctions: list[Sanction] = []
    for seq, row in sorted(rows.items()):
        mark = str(json.loads(row.details).get("target", ""))
        lifted = LIFTED.get(row.action)
        for sanction in sanctions:
            if (sanction.code, sanction.mark) == (lifted, mark) and sanction.end == inf:
                sanction.end = seq
                sanction.end_at = row.changed_at
        if row.action in IMPOSED:
            sanctions.append(Sanction(IMPOSED[row.action], mark, seq, row.changed_at))
    return sanctions


def check_sanctions(
    verdict: Verdict, requests: list[SentRequest], room: StoredRoom, records: list[Record]
) -> None:
    """Check that sanctions apply from their commit on, and measure how fast they are enforced."""
    sanctions = sanctions_in(records, room)
    marks_by_client = _marks_by_client(records)
    _check_nothing_is_stored(verdict, sanctions, room, records)
    _check_nothing_is_acknowledged(verdict, sanctions, requests, marks_by_client)
    _check_everybody_is_told(verdict, sanctions, requests, records, marks_by_client)
    for sanction in sanctions:
        if sanction.code in EXPELLED:
            clients = {c for c, marks in marks_by_client.items() if sanction.mark in marks}
            _measure_expulsion(verdict, sanction, records, clients)


def expelled_clients(records: list[Record], room: StoredRoom) -> set[str]:
    """Return the clients whom a host had removed or banned, if only for some time."""
    marks = {each.mark for each in sanctions_in(records, room) if each.code in EXPELLED}
    return {client for client, own in _marks_by_client(records).items() if own & marks}


def clients_out(records: list[Record], room: StoredRoom) -> set[str]:
    """Return the clients who are removed or banned at the end."""
    marks = {
        each.mark
        for each in sanctions_in(records, room)
        if each.code in EXPELLED and each.end == inf
    }
    return {client for client, own in _marks_by_client(records).items() if own & marks}


def _marks_by_client(records: list[Record]) -> dict[str, set[str]]:
    marks_by_client: defaultdict[str, set[str]] = defaultdict(set)
    for record in of_type(records, "identity"):
        marks_by_client[record["client"]].add(record["mark"])
    return marks_by_client


def _check_nothing_is_stored(
    verdict: Verdict, sanctions: list[Sanction], room: StoredRoom, records: list[Record]
) -> None:
    """I11: check the author of each message, which is only known from what clients received."""
    authors: dict[int, str] = {}
    kinds: dict[int, str | None] = {row.seq: row.kind for row in room.rows}
    for row in _recorded_row_records(records):
        kinds[row["seq"]] = row.get("kind")
        if row.get("mark"):
            authors[row["seq"]] = row["mark"]
    hosts = {authors.get(seq) for seq, kind in kinds.items() if kind == "moderation"}
    for seq, kind in sorted(kinds.items()):
        author = authors.get(seq)
        if kind == "moderation" or author is None or author in hosts:
            continue
        for sanction in sanctions:
            if sanction.mark in ("", author) and sanction.covers(seq):
                verdict.add_finding("I11 stored after a sanction", (sanction, seq, author))


def _recorded_row_records(records: list[Record]) -> Iterator[Record]:
    for record in records:
        if record["type"] in ("reset", "final"):
            yield from record["rows"]
        elif "row" in record and "seq" in record["row"]:
            yield record["row"]


def _check_nothing_is_acknowledged(
    verdict: Verdict,
    sanctions: list[Sanction],
    requests: list[SentRequest],
    marks_by_client: dict[str, set[str]],
) -> None:
    """I11: check every acknowledged change, also of existing messages."""
    for request in requests:
        if request.rev is None or request.action in ALLOWED_ACTIONS or _is_host(request.client):
            continue
        marks = marks_by_client.get(request.client, set())
        for sanction in sanctions:
            concerns = sanction.mark in marks or sanction.mark == ""
            if concerns and sanction.covers(request.rev):
                verdict.add_finding("I11 acknowledged after a sanction", (sanction, request))


def _check_everybody_is_told(
    verdict: Verdict,
    sanctions: list[Sanction],
    requests: list[SentRequest],
    records: list[Record],
    marks_by_client: dict[str, set[str]],
) -> None:
    """I12: check that whoever tries to write is refused with the code of a sanction."""
    refused_at: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for record in of_type(records, "refused"):
        refused_at[record["client"], record["code"]].append(record["at"])
    for sanction in sanctions:
        if sanction.mark == "":
            concerned = _posting_clients(sanction, requests, marks_by_client)
        else:
            concerned = {c for c, own in marks_by_client.items() if sanction.mark in own}
        for client in concerned:
            codes = [sanction.code] if sanction.mark else [*IMPOSED.values()]
            times = [at for code in codes for at in refused_at[client, code]]
            if not any(sanction.is_in_force_at(at) for at in times):
                verdict.add_finding("I12 not told about a sanction", (client, sanction))


def _posting_clients(
    sanction: Sanction, requests: list[SentRequest], marks_by_client: dict[str, set[str]]
) -> set[str]:
    """Return the page clients who posted while a sanction of everybody was in force."""
    return {
        request.client
        for request in requests
        if request.client in marks_by_client
        and request.action == "chat"
        and sanction.begin_at < request.sent_at < sanction.end_at - TELLING_MS
    }


def _measure_expulsion(
    verdict: Verdict, sanction: Sanction, records: list[Record], clients: set[str]
) -> None:
    """I12: measure until when clients received something, or stayed connected."""
    connected: dict[str, bool] = {}
    expelled: set[str] = set()
    for record in of_type(records, "connect", "disconnect", "receive"):
        client = record["client"]
        if client not in clients:
            continue
        if record["at"] <= sanction.begin_at:
            connected[client] = record["type"] != "disconnect"
            continue
        if record["at"] >= sanction.end_at:
            break
        is_last_event = record["type"] == "receive"
        if record["type"] == "disconnect" and client not in expelled and connected.get(client):
            expelled.add(client)
            is_last_event = True
        if is_last_event:
            verdict.expulsions_ms.append(record["at"] - sanction.begin_at)
    for client, is_connected in connected.items():
        if is_connected and client not in expelled:
            verdict.add_finding("I12 not disconnected", (client, sanction))


def _is_host(client: str) -> bool:
    return client.endswith(" host")


def is_host_tombstone(row: Row) -> bool:
    """Return whether a host has deleted this message."""
    return row.deleted and row.message == "" and row.action == "delete"
