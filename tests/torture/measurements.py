"""Measures delays, outages and the recovery time of a scenario from its history."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from tests.torture.history import Record, Row, SentRequest, StoredRoom, is_stock, of_type
from tests.torture.verdict import Delay, Verdict


@dataclass
class ConnectionPeriod:
    """From when to when a client was connected, in milliseconds."""

    begin: float
    end: float = inf


def recorded_rows(records: list[Record]) -> Iterator[tuple[Record, Row]]:
    """Return every row that a client received, read or showed, with the record it is in."""
    for record in records:
        if record["type"] in ("show", "read_back") or is_message_event(record):
            yield record, Row.from_record(record["row"])
        elif record["type"] in ("reset", "final"):
            for row in record["rows"]:
                yield record, Row.from_record(row)


def is_message_event(record: Record) -> bool:
    """Return whether a record is of a live event that carries a message."""
    return record["type"] == "receive" and record["event"] in ("chat", "change")


def stored_times(
    records: list[Record], room: StoredRoom, requests: list[SentRequest], exact_clock: bool
) -> dict[int, float]:
    """Return when each change was stored, by its rev.

    With `exact_clock`, that is the server's time where a row carries it; otherwise the first time
    at which a client had the change.
    """
    edits = {request.rev for request in requests if request.action == "edit"}
    times: dict[int, float] = {}
    for record, row in recorded_rows(records):
        # Only the database has the time of a deletion, and nothing has the time of a reaction.
        has_time = row.rev == row.seq or (row.rev in edits and not row.deleted)
        time = row.changed_at if exact_clock and has_time else record["at"]
        times[row.rev] = min(times.get(row.rev, time), time)
    if exact_clock:
        times.update({row.rev: row.changed_at for row in room.rows if row.deleted})
    return times


def measure(
    verdict: Verdict, all_records: list[Record], records: list[Record], stored_at: dict[int, float]
) -> None:
    """Add delays, outages and the recovery time of the clients of a room to the verdict."""
    begin = max(record["at"] for record in of_type(all_records, "begin", "restored"))
    healed = healed_at(all_records, default=begin)
    periods: defaultdict[str, list[ConnectionPeriod]] = defaultdict(list)
    shown: set[tuple[str, int]] = set()
    complete_at = healed
    for record in of_type(records, "connect", "disconnect", "show", "reset"):
        client = record["client"]
        if record["type"] == "connect":
            periods[client].append(ConnectionPeriod(record["at"]))
            continue
        if record["type"] == "disconnect":
            _end_last_period(periods[client], record["at"])
            continue
        for rev in _revs(record):
            if (client, rev) in shown:
                continue
            shown.add((client, rev))
            if rev not in stored_at:
                continue
            if stored_at[rev] > begin:
                waited_ms = _connected_wait_ms(periods[client], stored_at[rev], record["at"])
                verdict.delays.append(Delay(record["at"], waited_ms, client))
            if stored_at[rev] <= healed:
                complete_at = max(complete_at, record["at"])
    reconnected_at = _measure_outages(verdict, records)
    recovery_ms = max(complete_at, reconnected_at) - healed
    verdict.recovery_ms = max(verdict.recovery_ms, recovery_ms)


def healed_at(records: list[Record], default: float = 0.0) -> float:
    """Return when the last fault of a scenario was over."""
    return max((record["at"] for record in of_type(records, "healed")), default=default)


def _end_last_period(periods: list[ConnectionPeriod], at: float) -> None:
    if periods:
        periods[-1].end = min(periods[-1].end, at)


def _revs(record: Record) -> list[int]:
    rows = record["rows"] if "rows" in record else [record["row"]]
    return [row["rev"] for row in rows]


def _connected_wait_ms(periods: list[ConnectionPeriod], stored_at: float, shown_at: float) -> float:
    """Return how long a client was connected without showing what was stored.

    With several connections it is the longest of their waits: what a new connection brings was
    late on the one before.
    """
    if not periods:
        return shown_at - stored_at
    waits = []
    for period in reversed(periods):
        if period.end <= stored_at:
            break
        waits.append(min(period.end, shown_at) - max(period.begin, stored_at))
    return max(waits, default=0)


def _measure_outages(verdict: Verdict, records: list[Record]) -> float:
    """Add how long each client was disconnected; return when the last one reconnected."""
    lost_at: dict[str, float] = {}
    reconnected_at = 0.0
    for record in of_type(records, "disconnect", "connect"):
        client = record["client"]
        if record["type"] == "disconnect":
            lost_at.setdefault(client, record["at"])
            continue
        since = lost_at.pop(client, None)
        if since is None:
            continue
        outages_ms = verdict.stock_outages_ms if is_stock(client) else verdict.outages_ms
        outages_ms.append(record["at"] - since)
        reconnected_at = record["at"]
    out = {record["client"] for record in of_type(records, "out")}
    for client in lost_at.keys() - out:
        verdict.add_finding("I3 lost: never reconnected", client)
    return reconnected_at
