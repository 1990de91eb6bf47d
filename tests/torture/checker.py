"""The checker: compares the history of a scenario with the database, invariant by invariant.

I1  Everything acknowledged is stored.
I2  Every number up to the head belongs to one change, which is broadcast once and in order.
I3  Every client shows what is stored, each message once.
I4  The messages of one sender keep their order.
I5  Nothing is stored or shown that nobody sent.
I6  What was sent after an acknowledgement has a higher number than what was acknowledged.
I7  Clients outside the room receive nothing.
I8  The servers release connections and memory (see runner.py).
I9  Deleted text is absent from the database files (see harness.py).
I10 At the end, a message reaches every client: page, bot, stock JavaScript and Python client.
I11, I12  What hosts impose applies from its commit on (see sanctions.py).

Messages up to the floor of a room do not exist any more. Of them, I1 and I2 only require that what
was acknowledged was shown to somebody.
"""

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import inf

from tests.torture.history import (
    Record,
    Row,
    SentRequest,
    StoredRoom,
    is_probe,
    label_of,
    of_type,
    sent_requests,
)
from tests.torture.measurements import (
    healed_at,
    is_message_event,
    measure,
    recorded_rows,
    stored_times,
)
from tests.torture.sanctions import check_sanctions, clients_out, is_host_tombstone
from tests.torture.verdict import Verdict

MAX_DELAY_MS = 3_500  # the promise
MAX_CLIENTS_NAMED = 50

OVERWRITABLE_ACTIONS = ("edit", "react")
CHANGE_ACTIONS = (*OVERWRITABLE_ACTIONS, "delete")
REPETITION_MS = 300
"""How long page clients wait at least before they repeat a change: RETRY_MS in people.mjs."""


def check(records: list[Record], rooms: dict[str, StoredRoom], exact_clock: bool = True) -> Verdict:
    """Return the verdict on a history.

    With `exact_clock`, the clock of the servers is that of this machine, so that their times can
    be compared with those of the clients.
    """
    verdict = Verdict()
    requests = list(sent_requests(records).values())
    restored_at = max((record["at"] for record in of_type(records, "restored")), default=0.0)
    # Restoring a backup may undo everything before it.
    lasting = [request for request in requests if request.sent_at > restored_at]
    for label, room in rooms.items():
        in_room = [record for record in records if _is_in_room(record, label)]
        after_restore = [record for record in in_room if record["at"] > restored_at]
        room_requests = [request for request in requests if request.label == label]
        room_lasting = _without_renames_of_unknown_names(
            [request for request in lasting if request.label == label], room
        )
        _check_acknowledged_is_stored(verdict, room_lasting, room, after_restore)
        _check_numbers(verdict, room_lasting, room, after_restore)
        if restored_at == 0:  # clients have not seen the numbers that a backup overwrote
            _check_no_number_is_missing(verdict, room_lasting, room, after_restore)
        _check_final_rows(verdict, in_room, room)
        _check_rows_are_shown_once(verdict, in_room)
        _check_reactions(verdict, room_lasting, in_room)
        _check_order_of_senders(verdict, room_lasting, room)
        _check_nothing_is_invented(verdict, room_requests, room, in_room)
        if restored_at == 0:
            _check_order_in_time(verdict, room_lasting)
        else:
            _check_order_in_time(verdict, _effective_requests(room_lasting, after_restore))
        _check_outsiders_receive_nothing(verdict, in_room, label)
        _check_order_of_broadcasts(verdict, after_restore)
        _check_messages_are_new_once(verdict, after_restore)
        _check_probe(verdict, room_requests, in_room)
        _check_only_expelled_clients_are_out(verdict, in_room, room)
        check_sanctions(verdict, room_lasting, room, after_restore)
        stored_at = stored_times(after_restore, room, room_lasting, exact_clock)
        measure(verdict, records, after_restore, stored_at)
    _measure_acknowledgements(verdict, lasting, healed_at(records))
    return verdict


def superseded_texts(records: list[Record], rooms: dict[str, StoredRoom]) -> list[str]:
    """Return the texts that were stored once and that no message has any more.

    After restoring a backup there are none: nobody deleted what the backup lacks.
    """
    if any(of_type(records, "restored")):
        return []
    sent = {
        request.message
        for request in sent_requests(records).values()
        if request.action in ("chat", "edit") and request.rev is not None
    }
    stored = {row.message for room in rooms.values() for row in room.rows}
    for room in rooms.values():
        stored |= room.undeleted_texts
    return sorted(sent - stored)


def _is_in_room(record: Record, label: str) -> bool:
    client = record["client"]
    return client != "" and label_of(client) == label


# I1


def _check_acknowledged_is_stored(
    verdict: Verdict, requests: list[SentRequest], room: StoredRoom, records: list[Record]
) -> None:
    rows = {row.seq: row for row in room.rows}
    shown_seqs = {row.seq for _, row in recorded_rows(records)}
    clears = _first_records_of_clears(records)
    for request in requests:
        if request.rev is None:
            continue
        verdict.acknowledged += 1
        if request.rev <= room.floor:
            _check_was_shown(verdict, request, shown_seqs, clears)
        elif request.action == "moderate":
            _check_action_is_stored(verdict, request, rows.get(request.rev))
        elif request.action == "rename":
            _check_rename_is_stored(verdict, request, room)
        else:
            row = rows.get(request.seq or request.rev)
            _check_change_is_stored(verdict, request, row)
    for client_id, count in room.client_ids.items():
        if count > 1:
            verdict.add_finding("I1 duplicated: one id is stored twice", client_id)


def _first_records_of_clears(records: list[Record]) -> dict[int, float]:
    """Return when the first client received each clear of the history, by its number."""
    clears: dict[int, float] = {}
    for record, row in recorded_rows(records):
        if row.action == "clear":
            clears.setdefault(row.seq, record["at"])
    return clears


def _check_was_shown(
    verdict: Verdict, request: SentRequest, shown_seqs: set[int], clears: dict[int, float]
) -> None:
    """Check that the message of a request that does not exist any more was shown to somebody.

    A message that was cleared before it had to be shown is not lost.
    """
    assert request.rev is not None
    assert request.acknowledged_at is not None
    seq = request.seq or request.rev
    if seq in shown_seqs or request.action == "rename":
        return
    cleared_at = min((at for number, at in clears.items() if number > request.rev), default=inf)
    if cleared_at - request.acknowledged_at > MAX_DELAY_MS:
        verdict.add_finding("I1 lost: acknowledged, but never shown before the floor", request)


def _check_action_is_stored(verdict: Verdict, request: SentRequest, row: Row | None) -> None:
    if row is None or row.kind != "moderation" or row.action != request.message:
        verdict.add_finding("I1 lost: acknowledged but not stored", (request, row))


def _without_renames_of_unknown_names(
    requests: list[SentRequest], room: StoredRoom
) -> list[SentRequest]:
    """Return the requests without the renames that have no effect after the history was cleared.

    Nobody is told of a rename when no message has the name before it. Its answer has the number of
    an earlier change then.
    """
    if not room.floor:
        return requests
    renamed = {row.message for row in room.rows if row.kind == "rename"}
    first_posts: dict[str, float] = {}
    for request in requests:
        if request.action == "chat" and (request.rev or 0) > room.floor:
            first = first_posts.get(request.client, inf)
            first_posts[request.client] = min(first, request.acknowledged_at or inf)

    def has_effect(request: SentRequest) -> bool:
        if request.action != "rename" or request.message in renamed:
            return True
        return first_posts.get(request.client, inf) < request.sent_at

    return [request for request in requests if has_effect(request)]


def _check_rename_is_stored(verdict: Verdict, request: SentRequest, room: StoredRoom) -> None:
    assert request.rev is not None
    for row in room.rows:
        if row.kind and row.message == request.message and row.seq <= request.rev:
            return
    verdict.add_finding("I1 lost: acknowledged but not stored", request)


def _check_change_is_stored(verdict: Verdict, request: SentRequest, row: Row | None) -> None:
    assert request.rev is not None
    is_missing = row is None or row.rev < request.rev
    if row is None or is_missing or (request.action == "chat" and row.id != request.id):
        verdict.add_finding("I1 lost: acknowledged but not stored", (request, row))
        return
    if request.action == "react":
        return  # the rows of the clients show whose reaction it is, see _check_reactions
    if row.rev != request.rev:
        return  # changed again since
    expected = (request.message, request.action == "delete")
    if (row.message, row.deleted) != expected:
        verdict.add_finding("I1 lost: stored differently than acknowledged", (request, row))


# I2


def _check_numbers(
    verdict: Verdict, requests: list[SentRequest], room: StoredRoom, records: list[Record]
) -> None:
    """Check that every number means one change of one message, and that it is stored."""
    seqs = _seqs_by_number(requests, room, records)
    contents: defaultdict[int, set[tuple[object, ...]]] = defaultdict(set)
    for request in requests:
        # Another request may have changed nothing; its number is then that of a later change.
        if request.rev is not None and request.action == "chat":
            contents[request.rev].add((request.rev, request.message, False, ()))
    for row in [*room.rows, *(row for _, row in recorded_rows(records))]:
        contents[row.rev].add((row.seq, row.message, row.deleted, row.reactions))
    for number, seqs_of_number in seqs.items():
        found = contents[number]
        if len(found) > 1 or len(seqs_of_number) > 1:
            verdict.add_finding("I2 duplicated: one number for two changes", (number, found))
        if number > room.head:
            verdict.add_finding(
                "I2 lost: a number was broadcast or acknowledged but not stored", (number, found)
            )


def _check_no_number_is_missing(
    verdict: Verdict, requests: list[SentRequest], room: StoredRoom, records: list[Record]
) -> None:
    """Check that every number is that of a known change, or can be that of an overwritten one.

    A message has only the number of its last change. When a server stores an edit or a reaction
    and is stopped before it acknowledges and broadcasts it, and somebody else changes the message
    before any client reads it, no client ever sees the number. When the client repeats the
    request, it changes nothing: the answer has the number of the later change, or refuses because
    the message has been deleted meanwhile.

    Each request accounts for one number at most: see ChangeNumbers.
    """
    known = set(_seqs_by_number(requests, room, records))
    known |= {row.seq for row in room.rows}
    missing = [number for number in range(room.floor + 1, room.head + 1) if number not in known]
    if not missing:
        return
    for number in ChangeNumbers(requests, room, records).without_a_request(missing):
        verdict.add_finding("I2 lost: a number without a change", number)


class ChangeNumbers:
    """Finds the request that took the number of each change of an existing message.

    An acknowledgement has either the number that its request took or, if the request changed
    nothing when it was repeated, that of a later change. So each number is matched with a
    request of its own. A request may have taken a number that no client saw if

    - it is an edit or a reaction. The number of a new message is its `seq`, and a deleted message
      never changes again, so the numbers of posts and deletions remain visible;
    - its client sent it, over an open connection, before the first record of that number or a
      higher one;
    - its answer, if any, came late enough for a repetition and after each post with a lower number
      was sent, and acknowledges a higher number or is a refusal;
    - the next known state of its message has a higher number, and contains its change or is
      deleted.

    All times are of the machine's monotonic clock. Clients record a request before they send it,
    and what they receive after it arrived, so the true interval lies within the recorded one.
    """

    def __init__(
        self, requests: list[SentRequest], room: StoredRoom, records: list[Record]
    ) -> None:
        self._changes = [request for request in requests if request.action in CHANGE_ACTIONS]
        self._by_seq: defaultdict[int | None, list[SentRequest]] = defaultdict(list)
        self._by_rev: defaultdict[int | None, list[SentRequest]] = defaultdict(list)
        for request in self._changes:
            self._by_seq[request.seq].append(request)
            self._by_rev[request.rev].append(request)
        self._answered_at: dict[str, float] = {}
        for record in of_type(records, "ok", "fail"):
            self._answered_at.setdefault(record["id"], record["at"])
        self._states: defaultdict[int, dict[int, Record]] = defaultdict(dict)
        for _, row in _row_records(records):
            self._states[row["seq"]][row["rev"]] = row
        self._connections: defaultdict[str, list[Record]] = defaultdict(list)
        for record in of_type(records, "connect", "disconnect"):
            self._connections[record["client"]].append(record)
        self._first_records = _first_records_of_numbers(records)
        self._posts = _sending_times_of_posts(requests, room)
        self._numbers: dict[str, int] = {}
        """The number matched with each request, by its id."""

    def without_a_request(self, missing: list[int]) -> list[int]:
        """Return those of the missing numbers that no request can have taken.

        Finds a maximum bipartite matching with augmenting paths (Kuhn's algorithm). The numbers in
        acknowledgements come first and remain matched.
        """
        acknowledged = {request.rev for request in self._changes if request.rev is not None}
        for number in sorted(acknowledged):
            self._match(number, set())
        return [number for number in missing if not self._match(number, set())]

    def _match(self, number: int, tried: set[str]) -> bool:
        """Match a number with a request, and others anew if necessary; return whether it worked."""
        for request in self._candidates(number):
            if request.id in tried:
                continue
            tried.add(request.id)
            other_number = self._numbers.get(request.id)
            if other_number is None or self._match(other_number, tried):
                self._numbers[request.id] = number
                return True
        return False

    def _candidates(self, number: int) -> list[SentRequest]:
        """Return the requests that may have taken a number."""
        acknowledged = self._by_rev[number]
        seqs = {request.seq for request in acknowledged}
        requests = self._changes
        if seqs:
            requests = [request for seq in seqs for request in self._by_seq[seq]]
        others = [request for request in requests if self._may_have_taken(request, number)]
        first_record_at = _first_record_from(self._first_records, number)
        return [
            request
            for request in acknowledged + others
            if self._first_attempt_at(request) < first_record_at
        ]

    def _may_have_taken(self, request: SentRequest, number: int) -> bool:
        """Return whether a request may have taken a number that its answer does not have."""
        if request.action not in OVERWRITABLE_ACTIONS:
            return False
        if request.rev is not None and request.rev <= number:
            return False
        answered_at = self._answered_at.get(request.id, inf)
        if answered_at < request.sent_at + REPETITION_MS:
            return False
        sent_before = [sent_at for post, sent_at in self._posts.items() if post < number]
        if answered_at < max(sent_before, default=0.0):
            return False
        return self._is_contained(request, number)

    def _first_attempt_at(self, request: SentRequest) -> float:
        """Return when a request can have been sent first: not while its client is disconnected."""
        is_connected = True  # hosts do not record their connections
        for record in self._connections[request.client]:
            if record["at"] > request.sent_at and is_connected:
                break
            is_connected = record["type"] == "connect"
            if record["at"] > request.sent_at and is_connected:
                return float(record["at"])
        return request.sent_at if is_connected else inf

    def _is_contained(self, request: SentRequest, number: int) -> bool:
        """Return whether the next known state of a message contains the change of a request.

        Later requests of the same client for the same thing may have undone it.
        """
        assert request.seq is not None
        states = self._states[request.seq]
        next_rev = min((rev for rev in states if rev >= number), default=None)
        if next_rev is None:
            return False
        row = states[next_rev]
        thing = _changed_thing(request)
        return any(
            _contains_change(row, later)
            for later in self._by_seq[request.seq]
            if later.sent_at >= request.sent_at and _changed_thing(later) == thing
        )


def _changed_thing(request: SentRequest) -> tuple[object, ...]:
    return (request.client, request.action, request.seq, request.emoji)


def _contains_change(row: Record, request: SentRequest) -> bool:
    """Return whether a message is as an edit or a reaction leaves it, or deleted since."""
    if row.get("deleted"):
        return True
    if request.action == "edit":
        return bool(row["message"] == request.message)
    people = (row.get("reactions") or {}).get(request.emoji, [])
    return (request.mark in people) == request.on


def _row_records(records: list[Record]) -> Iterator[tuple[Record, Record]]:
    """Return every message that a client received, read or showed, with the record it is in."""
    for record in records:
        if record["type"] in ("show", "read_back") or is_message_event(record):
            yield record, record["row"]
        elif record["type"] in ("reset", "final"):
            for row in record["rows"]:
                yield record, row


def _first_records_of_numbers(records: list[Record]) -> list[tuple[int, float]]:
    """Return the highest numbers known so far, each with the time of its first record."""
    numbers = [(record["at"], row["rev"]) for record, row in _row_records(records)]
    numbers += [(record["at"], record["rev"]) for record in of_type(records, "ok")]
    numbers += [(record["at"], record.get("head") or 0) for record in of_type(records, "receive")]
    highest_numbers: list[tuple[int, float]] = []
    for at, number in sorted(numbers):
        if not highest_numbers or number > highest_numbers[-1][0]:
            highest_numbers.append((number, at))
    return highest_numbers


def _first_record_from(first_records: list[tuple[int, float]], number: int) -> float:
    """Return the time of the first record of a number or a higher one."""
    index = bisect_left(first_records, (number, 0.0))
    return first_records[index][1] if index < len(first_records) else inf


def _sending_times_of_posts(requests: list[SentRequest], room: StoredRoom) -> dict[int, float]:
    """Return when the posts were sent that are acknowledged or stored, by their numbers."""
    stored = {row.id: row.seq for row in room.rows if row.id}
    times: dict[int, float] = {}
    for request in requests:
        number = request.rev or stored.get(request.id)
        if request.action == "chat" and number is not None:
            times[number] = request.sent_at
    return times


def _seqs_by_number(
    requests: list[SentRequest], room: StoredRoom, records: list[Record]
) -> dict[int, set[int]]:
    """Return which messages each number changed, by all accounts."""
    seqs: defaultdict[int, set[int]] = defaultdict(set)
    for request in requests:
        # A rename may have changed nothing; its number is then that of any earlier change.
        if request.rev is not None and request.action != "rename":
            seqs[request.rev].add(request.seq or request.rev)
    for row in [*room.rows, *(row for _, row in recorded_rows(records))]:
        seqs[row.rev].add(row.seq)
    return seqs


def _check_order_of_broadcasts(verdict: Verdict, records: list[Record]) -> None:
    """Check that the numbers rise over each connection, until the client starts over."""
    last_rev: dict[str, int] = {}
    epochs: dict[str, str] = {}
    for record in records:
        client = record["client"]
        if _begins_anew(record, epochs):
            last_rev[client] = 0
        elif is_message_event(record) and record.get("ordered", True):
            rev = record["row"]["rev"]
            if rev == last_rev.get(client):
                verdict.add_finding("I2 duplicated: received twice over one connection", record)
            elif rev < last_rev.get(client, 0):
                verdict.add_finding("I2 out of order: received over one connection", record)
            last_rev[client] = rev


def _check_messages_are_new_once(verdict: Verdict, records: list[Record]) -> None:
    """Check that over each connection, a message arrives as `chat` once, whatever its `rev`.

    Another connection may be to a worker that has not broadcast it yet.
    """
    received: defaultdict[str, set[int]] = defaultdict(set)
    epochs: dict[str, str] = {}
    for record in records:
        client = record["client"]
        if _begins_anew(record, epochs):
            received[client].clear()
        elif record["type"] == "receive" and record["event"] == "chat":
            seq = record["row"]["seq"]
            if seq in received[client]:
                verdict.add_finding(
                    "I2 duplicated: received as new twice over one connection", record
                )
            received[client].add(seq)


def _begins_anew(record: Record, epochs: dict[str, str]) -> bool:
    """Return whether a client connects, or starts over with another history of the room.

    `epochs` holds the epoch that each client knows, and is updated.
    """
    if record["type"] == "connect":
        return True
    if record["type"] != "reset" or record["epoch"] == epochs.get(record["client"]):
        return False
    epochs[record["client"]] = record["epoch"]
    return True


# I3


def _check_final_rows(verdict: Verdict, records: list[Record], room: StoredRoom) -> None:
    for record in of_type(records, "final"):
        client = record["client"]
        shown = [Row.from_record(row) for row in record["rows"]]
        for row in sorted(set(room.rows) - set(shown), key=lambda row: row.seq):
            verdict.add_finding("I3 lost: stored but not shown", (client, row))
        for row in set(shown) - set(room.rows):
            verdict.add_finding("I3 shown but not stored", (client, row))
        if any(row.seq >= following.seq for row, following in pairwise(shown)):
            verdict.add_finding("I3 out of order: the rows of a client", client)
        if record["pending"]:
            verdict.add_finding(
                "I3 lost: posted, but never shown as sent or failed", (client, record["pending"])
            )
        if record["epoch"] != room.epoch:
            verdict.add_finding("I3 another epoch is shown", client)


def _check_rows_are_shown_once(verdict: Verdict, records: list[Record]) -> None:
    """Check that a client shows a row again only with a higher rev."""
    revs_by_client: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for record in of_type(records, "reset", "show"):
        revs = revs_by_client[record["client"]]
        if record["type"] == "reset":
            revs.clear()
            revs.update({row["seq"]: row["rev"] for row in record["rows"]})
            continue
        row = record["row"]
        if revs.get(row["seq"], 0) >= row["rev"]:
            verdict.add_finding("I3 duplicated: shown again", (record["client"], row))
        revs[row["seq"]] = row["rev"]


def _check_reactions(verdict: Verdict, requests: list[SentRequest], records: list[Record]) -> None:
    """Check that all clients show the same reactions, and those that were acknowledged last."""
    variants: defaultdict[int, set[str]] = defaultdict(set)
    shown: dict[int, Record] = {}
    for record in of_type(records, "final"):
        for row in record["rows"]:
            variants[row["seq"]].add(json.dumps(row.get("reactions")))
            if not row.get("deleted"):
                shown[row["seq"]] = row
    for seq, found in variants.items():
        if len(found) > 1:
            verdict.add_finding("I3 clients show different reactions", (seq, found))
    last = {
        (request.mark, request.seq, request.emoji): request
        for request in requests
        if request.action == "react"
    }
    for request in last.values():
        if request.rev is None or request.seq is None or request.seq not in shown:
            continue
        assert request.emoji is not None
        reactions = shown[request.seq].get("reactions") or {}
        is_on = request.mark in reactions.get(request.emoji, [])
        if is_on != request.on:
            verdict.add_finding(
                "I1 lost: an acknowledged reaction is missing or still set",
                (request, shown[request.seq]),
            )


# I4 to I7


def _check_order_of_senders(
    verdict: Verdict, requests: list[SentRequest], room: StoredRoom
) -> None:
    """Check the order of each sender's messages; for bots, the order over each connection."""
    seq_by_id = {row.id: row.seq for row in room.rows}
    seqs_by_sender: defaultdict[tuple[str, int | None], list[int]] = defaultdict(list)
    for request in requests:
        if request.action == "chat" and request.id in seq_by_id:
            sender = (request.client, request.connection)
            seqs_by_sender[sender].append(seq_by_id[request.id])
    for sender, seqs in seqs_by_sender.items():
        for seq, following in pairwise(seqs):
            if seq > following:
                verdict.add_finding(
                    "I4 out of order: the messages of one sender", (sender, seq, following)
                )


def _check_nothing_is_invented(
    verdict: Verdict, requests: list[SentRequest], room: StoredRoom, records: list[Record]
) -> None:
    posted: set[tuple[str, str]] = set()
    edited: set[tuple[int | None, str]] = set()
    deleted: set[int | None] = set()
    handles: set[str] = set()
    actions: set[str] = set()
    reacted: set[tuple[int | None, str | None]] = set()
    for request in requests:
        if request.action == "chat":
            posted.add((request.id, request.message))
        elif request.action == "edit":
            edited.add((request.seq, request.message))
        elif request.action == "delete":
            deleted.add(request.seq)
        elif request.action == "rename":
            handles.add(request.message)
        elif request.action == "moderate":
            actions.add(request.message)
        elif request.action == "react":
            reacted.add((request.seq, request.emoji))

    def is_invented(row: Row) -> bool:
        if is_host_tombstone(row) and "delete_all" in actions:
            return False
        if row.kind == "moderation":
            return row.action not in actions | {"become_host"}
        if row.deleted:
            return row.seq not in deleted or row.message != "" or bool(row.reactions)
        if row.kind is not None:
            return row.message not in handles
        if any((row.seq, emoji) not in reacted for emoji, _ in row.reactions):
            return True
        return (row.id, row.message) not in posted and (row.seq, row.message) not in edited

    for row in room.rows:
        if is_invented(row):
            verdict.add_finding("I5 stored, but nobody sent it", row)
    for row in {row for _, row in recorded_rows(records)} - set(room.rows):
        if is_invented(row):
            verdict.add_finding("I5 shown, but nobody sent it", row)


def _effective_requests(requests: list[SentRequest], records: list[Record]) -> list[SentRequest]:
    """Return the requests that changed something, as far as clients may know after a restore.

    A client may remove a reaction that a backup lacks, or delete a message of its own that the
    backup lacks: its number then belongs to a message of somebody else, who may have deleted it.
    Nothing changes then, and the answer has the number of an earlier change.
    """
    changed = {
        (record["row"]["seq"], record["row"]["rev"])
        for record in of_type(records, "receive")
        if record["event"] == "change"
    }
    deletions: set[tuple[int | None, int | None]] = set()
    effective = []
    for request in sorted(requests, key=lambda request: request.sent_at):
        change = (request.seq, request.rev)
        if request.action == "react" and not request.on and change not in changed:
            continue
        if request.action == "delete":
            if change in deletions:
                continue
            deletions.add(change)
        effective.append(request)
    return effective


def _check_order_in_time(verdict: Verdict, requests: list[SentRequest]) -> None:
    """Check that no request has a lower number than what was acknowledged before it was sent."""
    acknowledged = sorted(
        (request.acknowledged_at, request.rev)
        for request in requests
        if request.acknowledged_at is not None and request.rev is not None
    )
    times = [at for at, _ in acknowledged]
    highest_revs = [0]  # after so many acknowledgements
    for _, rev in acknowledged:
        highest_revs.append(max(highest_revs[-1], rev))
    for request in requests:
        if request.rev is None:
            continue
        highest_before = highest_revs[bisect_right(times, request.sent_at)]
        if highest_before >= request.rev:
            verdict.add_finding(
                "I6 out of order: sent after an acknowledgement, numbered before it",
                (request, highest_before),
            )


def _check_outsiders_receive_nothing(verdict: Verdict, records: list[Record], label: str) -> None:
    for record in of_type(records, "receive"):
        if record["label"] != label:
            verdict.add_finding("I7 received outside the room", record)


# I10


def _check_probe(verdict: Verdict, requests: list[SentRequest], records: list[Record]) -> None:
    """Check that every client that ever connected receives the probe in time."""
    out = {record["client"] for record in of_type(records, "out")}
    clients = sorted({record["client"] for record in of_type(records, "connect")} - out)
    for probe in requests:
        if not is_probe(probe.client):
            continue
        if probe.acknowledged_at is None:
            verdict.add_finding("I10 the probe was not acknowledged", probe)
            continue
        received_at: dict[str, float] = {}
        for record in of_type(records, "receive", "show"):
            if record["row"].get("id") == probe.id:
                received_at.setdefault(record["client"], record["at"])
        for client in clients:
            if received_at.get(client, inf) - probe.acknowledged_at > MAX_DELAY_MS:
                verdict.add_finding("I10 stopped receiving", client, MAX_CLIENTS_NAMED)


def _check_only_expelled_clients_are_out(
    verdict: Verdict, records: list[Record], room: StoredRoom
) -> None:
    out = {record["client"] for record in of_type(records, "out")}
    expelled = clients_out(records, room)
    for client in sorted(out - expelled):
        verdict.add_finding("I3 lost: refused by the room without a sanction", client)
    for client in sorted(expelled - out):
        verdict.add_finding("I12 in the room in spite of a sanction", client)


def _measure_acknowledgements(verdict: Verdict, requests: list[SentRequest], healed: float) -> None:
    """Add how long posts took, and count late acknowledgements as part of the recovery."""
    for request in requests:
        if request.acknowledged_at is None:
            continue
        if request.sent_at <= healed:
            verdict.recovery_ms = max(verdict.recovery_ms, request.acknowledged_at - healed)
        if request.action == "chat":
            verdict.acknowledgement_times_ms.append(request.acknowledged_at - request.sent_at)
