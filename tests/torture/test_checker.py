"""The checker, on histories made up for it: a correct one, and one for each kind of violation."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.torture.checker import check, superseded_texts
from tests.torture.history import Record, Row, StoredRoom
from tests.torture.verdict import Verdict

NOON = "2026-11-22T12:00:00.000Z"
ADA = "kitchen page 0"
BEN = "kitchen page 1"
STOCK = "kitchen python 0"
CLIENTS = (ADA, BEN, STOCK)


def row(seq: int, message: str, rev: int | None = None, **fields: Any) -> Record:
    """Return a message as clients record it."""
    return {
        "seq": seq,
        "rev": rev or seq,
        "id": f"id-{seq}",
        "message": message,
        "deleted": False,
        "changed_at": NOON,
        **fields,
    }


def received(client: str, message: Record, event: str = "chat") -> list[Record]:
    """Return the records of a client that receives a message and shows it."""
    return [
        {
            "client": client,
            "type": "receive",
            "event": event,
            "label": "kitchen",
            "row": message,
        },
        {"client": client, "type": "show", "row": message},
    ]


def requested(
    action: str, request_id: str, rev: int, result: Record, client: str = ADA, **fields: Any
) -> list[Record]:
    """Return the records of a request, its broadcast to all clients and its acknowledgement."""
    event = "chat" if result["rev"] == result["seq"] else "change"
    records: list[Record] = [
        {"client": client, "type": "invoke", "action": action, "id": request_id, **fields}
    ]
    for receiver in CLIENTS:
        records += received(receiver, result, event)
    seq = result["seq"]
    records.append({"client": client, "type": "ok", "id": request_id, "seq": seq, "rev": rev})
    return records


class Example:
    """A correct history and the room it leaves.

    Ada posts two messages, deletes the first one and changes her name. Ben reacts to the second
    one. A stock Python client receives everything. At the end all receive the probe.
    """

    def __init__(self) -> None:
        one = row(1, "one")
        two = row(2, "two")
        tombstone = row(1, "", rev=3, deleted=True)
        reacted = row(2, "two", rev=4, reactions={"👍": ["ben"]})
        rename = row(5, "Ada L.", id=None, kind="rename")
        probe = row(6, "Does every client receive this?", id="probe-kitchen")
        self.records: list[Record] = []
        self.begin()
        self.records += requested("chat", "id-1", 1, one, message="one")
        self.records += requested("chat", "id-2", 2, two, message="two")
        self.records += requested("delete", "deletion", 3, tombstone, seq=1)
        self.records += requested(
            "react", "reaction", 4, reacted, seq=2, emoji="👍", on=True, mark="ben"
        )
        self.records += requested("rename", "renaming", 5, rename, message="Ada L.")
        self.end([tombstone, reacted, rename, probe])

    def begin(self) -> None:
        """Add the records of the clients that open the room."""
        for client in CLIENTS:
            self.records.append({"client": client, "type": "reset", "epoch": "e", "rows": []})
        for client in CLIENTS:
            self.records.append({"client": client, "type": "connect"})
        self.records.append({"client": "", "type": "begin"})

    def end(self, final: list[Record]) -> None:
        """Add the probe, which is the last message, and what all clients show; store that."""
        probe = final[-1]
        self.records += requested(
            "chat", "probe-kitchen", probe["rev"], probe, "kitchen probe", message=probe["message"]
        )
        for client in CLIENTS:
            self.records.append(
                {
                    "client": client,
                    "type": "final",
                    "epoch": "e",
                    "rows": deepcopy(final),
                    "pending": [],
                }
            )
        rows = [Row.from_record(message) for message in final]
        client_ids = Counter(["id-1", "id-2", "probe-kitchen"])
        self.room = StoredRoom(head=probe["rev"], epoch="e", rows=rows, client_ids=client_ids)

    def check(self, exact_clock: bool = True) -> Verdict:
        """Return the checker's verdict."""
        return check(self.timed_records(), {"kitchen": self.room}, exact_clock)

    def timed_records(self) -> list[Record]:
        """Return the records with their times: one millisecond between two of them, or `later`."""
        return [
            {"at": at + record.get("later", 0.0), **deepcopy(record)}
            for at, record in enumerate(self.records)
        ]

    def index(self, event: str, client: str = BEN) -> int:
        """Return the index of a client's first record of a type."""
        return self.indices(event, client)[0]

    def indices(self, event: str, client: str) -> list[int]:
        """Return the indices of a client's records of a type."""
        return [
            index
            for index, record in enumerate(self.records)
            if record["type"] == event and record["client"] == client
        ]

    def first(self, event: str, client: str = BEN) -> Record:
        """Return a client's first record of a type."""
        return self.records[self.index(event, client)]


def reconnection(client: str) -> list[Record]:
    """Return the records of a client that loses its connection and gets another."""
    return [{"client": client, "type": "disconnect"}, {"client": client, "type": "connect"}]


def test_a_correct_history_has_no_findings() -> None:
    verdict = Example().check()

    assert verdict.findings == {}
    assert verdict.acknowledged == 6


def test_a_python_client_may_record_events_out_of_order() -> None:
    example = Example()
    indices = example.indices("receive", STOCK)
    for index in indices:
        example.records[index]["ordered"] = False
    example.records.insert(indices[0], example.records.pop(indices[1]))

    assert example.check().findings == {}


def test_a_message_may_be_received_again_after_a_reconnection() -> None:
    example = Example()
    index = example.index("receive", STOCK)
    again = dict(example.records[index])
    example.records[index + 1 : index + 1] = [*reconnection(STOCK), again]

    assert example.check().findings == {}


def test_a_number_may_be_received_again_after_a_restore() -> None:
    example = Example()
    index = example.index("receive", STOCK)
    again = dict(example.records[index])
    restored = {"client": STOCK, "type": "reset", "epoch": "another", "rows": []}
    example.records[index + 1 : index + 1] = [restored, again]

    assert example.check().findings == {}


def test_a_delay_on_one_connection_counts_even_if_the_next_connection_brings_the_message() -> None:
    example = Example()
    index = example.index("receive", STOCK)
    ten_milliseconds = [{"client": "", "type": "send"}] * 10
    example.records[index:index] = [*ten_milliseconds, *reconnection(STOCK)]

    assert example.check(exact_clock=False).worst_delay_ms() >= 10


def test_outages_of_stock_clients_are_measured_separately() -> None:
    example = Example()
    index = example.index("receive", STOCK)
    example.records[index:index] = reconnection(STOCK)

    verdict = example.check()

    assert verdict.longest_outage_ms() == 0
    assert verdict.longest_stock_outage_ms() == 1


def lose_a_stored_row(example: Example) -> None:
    example.room.rows.pop()


def store_another_text(example: Example) -> None:
    example.room.rows[1] = Row.from_record(row(2, "too"))


def store_an_id_twice(example: Example) -> None:
    example.room.client_ids["id-2"] = 2


def show_no_rows_at_the_end(example: Example) -> None:
    example.first("final")["rows"] = []


def receive_twice(example: Example) -> None:
    index = example.index("receive")
    example.records.insert(index, dict(example.records[index]))


def receive_a_change_as_new(example: Example) -> None:
    changes = [
        record
        for record in example.records
        if record["type"] == "receive" and record["event"] == "change"
    ]
    changes[-1]["event"] = "chat"


def stop_receiving(example: Example) -> None:
    def is_probe(record: Record) -> bool:
        message_id = record.get("row", {}).get("id")
        return bool(record["client"] == STOCK and message_id == "probe-kitchen")

    example.records = [record for record in example.records if not is_probe(record)]


def receive_the_probe_late(example: Example) -> None:
    probe = example.records[-1]["rows"][-1]
    stop_receiving(example)
    example.records += [{"client": STOCK, "type": "connect"}] * 3_600
    example.records += received(STOCK, probe)


def refuse_the_probe(example: Example) -> None:
    del example.records[example.index("ok", "kitchen probe")]


def show_twice(example: Example) -> None:
    index = example.index("show")
    example.records.insert(index, dict(example.records[index]))


def receive_in_another_order(example: Example) -> None:
    last = example.indices("receive", BEN)[-1]
    example.records.insert(example.index("receive"), example.records.pop(last))


def leave_a_message_pending(example: Example) -> None:
    example.first("final")["pending"] = ["id-9"]


def receive_from_another_room(example: Example) -> None:
    example.first("receive")["label"] = "garden"


def receive_what_is_not_stored(example: Example) -> None:
    example.records[-1:-1] = received(BEN, row(7, "two"))


def receive_another_change_with_a_known_number(example: Example) -> None:
    example.records[-1:-1] = received(BEN, row(1, "two", rev=2))


def leave_a_number_out(example: Example) -> None:
    example.room.head = 7


def number_a_late_request_early(example: Example) -> None:
    request = {"client": BEN, "type": "invoke", "action": "delete", "id": "late", "seq": 1}
    answer = {"client": BEN, "type": "ok", "id": "late", "seq": 1, "rev": 3}
    example.records[-3:-3] = [request, answer]


def show_the_reaction_of_somebody_else(example: Example) -> None:
    for record in example.records:
        if record["type"] == "final":
            record["rows"][1]["reactions"] = {"👍": ["cy"]}


def show_one_client_another_reaction(example: Example) -> None:
    example.first("final")["rows"][1]["reactions"] = {"👍": ["cy"]}


def store_an_invented_reaction(example: Example) -> None:
    example.room.rows[1] = replace(example.room.rows[1], reactions=(("🦔", 1),))


def store_an_invented_name(example: Example) -> None:
    example.room.rows[2] = replace(example.room.rows[2], message="Eve")


def disconnect_after_the_end(example: Example) -> None:
    example.records.append({"client": BEN, "type": "disconnect"})


def disconnect_before_the_end(example: Example) -> None:
    example.records.insert(example.index("final"), {"client": BEN, "type": "disconnect"})


VIOLATIONS: list[tuple[Callable[[Example], None], str]] = [
    (lose_a_stored_row, "I1 lost: acknowledged but not stored"),
    (store_another_text, "I1 lost: stored differently than acknowledged"),
    (store_another_text, "I5 stored, but nobody sent it"),
    (store_an_id_twice, "I1 duplicated: one id is stored twice"),
    (show_no_rows_at_the_end, "I3 lost: stored but not shown"),
    (receive_twice, "I2 duplicated: received twice over one connection"),
    (show_twice, "I3 duplicated: shown again"),
    (receive_a_change_as_new, "I2 duplicated: received as new twice over one connection"),
    (stop_receiving, "I10 stopped receiving"),
    (receive_the_probe_late, "I10 stopped receiving"),
    (refuse_the_probe, "I10 the probe was not acknowledged"),
    (receive_in_another_order, "I2 out of order: received over one connection"),
    (leave_a_message_pending, "I3 lost: posted, but never shown as sent or failed"),
    (receive_from_another_room, "I7 received outside the room"),
    (
        receive_what_is_not_stored,
        "I2 lost: a number was broadcast or acknowledged but not stored",
    ),
    (
        receive_another_change_with_a_known_number,
        "I2 duplicated: one number for two changes",
    ),
    (leave_a_number_out, "I2 lost: a number without a change"),
    (
        number_a_late_request_early,
        "I6 out of order: sent after an acknowledgement, numbered before it",
    ),
    (
        show_the_reaction_of_somebody_else,
        "I1 lost: an acknowledged reaction is missing or still set",
    ),
    (show_one_client_another_reaction, "I3 clients show different reactions"),
    (store_an_invented_reaction, "I5 stored, but nobody sent it"),
    (store_an_invented_name, "I5 stored, but nobody sent it"),
    (store_an_invented_name, "I1 lost: acknowledged but not stored"),
    (disconnect_after_the_end, "I3 lost: never reconnected"),
    (disconnect_before_the_end, "I3 lost: never reconnected"),
]


@pytest.mark.parametrize(("violate", "finding"), VIOLATIONS)
def test_a_violation_is_found(violate: Callable[[Example], None], finding: str) -> None:
    example = Example()
    violate(example)

    assert finding in example.check().findings


def test_a_client_that_stopped_receiving_is_named() -> None:
    example = Example()
    stop_receiving(example)

    assert f"I10 stopped receiving: {STOCK}" in example.check().details


def test_findings_are_counted_as_lost_duplicated_and_out_of_order() -> None:
    verdict = Verdict()

    verdict.add_finding("I1 lost: acknowledged but not stored", "a message")
    verdict.add_finding("I3 duplicated: shown again", "a message")
    verdict.add_finding("I4 out of order: the messages of one sender", "a message")

    assert (verdict.lost, verdict.duplicated, verdict.reordered) == (1, 1, 1)


REMOVAL = {"action": "react", "seq": 2, "emoji": "❤️", "on": False, "rev": 2}
DELETION = {"action": "delete", "seq": 1, "rev": 3}  # of what Ada has deleted


@pytest.mark.parametrize("change", [REMOVAL, DELETION], ids=["reaction", "deletion"])
@pytest.mark.parametrize("restored", [True, False])
def test_only_after_a_restore_a_change_without_effect_may_have_an_earlier_number(
    restored: bool, change: Record
) -> None:
    example = Example()
    request = {"type": "invoke", **change, "client": BEN, "id": "late", "mark": "ben"}
    rev = request.pop("rev")
    answer = {"client": BEN, "type": "ok", "id": "late", "seq": change["seq"], "rev": rev}
    example.records[-3:-3] = [request, answer]
    if restored:
        example.records.insert(example.index("begin", ""), {"client": "", "type": "restored"})

    is_found = "I6 out of order: sent after an acknowledgement, numbered before it" in (
        example.check().findings
    )

    assert is_found is not restored


LATE_RENAME = {
    "type": "invoke",
    "action": "rename",
    "client": BEN,
    "id": "late",
    "message": "Benny",
}


def test_a_rename_of_somebody_who_wrote_nothing_after_a_clear_has_no_effect() -> None:
    example = Example()
    answer = {"client": BEN, "type": "ok", "id": "late", "rev": 4}
    example.records[-3:-3] = [LATE_RENAME, answer]
    example.room.floor = 1

    findings = example.check().findings

    assert "I1 lost: acknowledged but not stored" not in findings
    assert "I6 out of order: sent after an acknowledgement, numbered before it" not in findings


CLEAR: Record = {
    "id": None,
    "kind": "moderation",
    "details": {"action": "clear"},
}


def cleared_example(milliseconds_later: float) -> Example:
    """Return a history in which a message is cleared that only its author knows to be stored."""
    example = Example()
    posted = {"client": ADA, "type": "invoke", "action": "chat", "id": "id-7", "message": "seven"}
    stored = {"client": ADA, "type": "ok", "id": "id-7", "seq": 7, "rev": 7}
    cleared = received(BEN, row(8, "Ben cleared the history", **CLEAR))
    cleared = [{**record, "later": milliseconds_later} for record in cleared]
    example.records[-3:-3] = [posted, stored, *cleared]
    example.room.floor = 7
    return example


NEVER_SHOWN = "I1 lost: acknowledged, but never shown before the floor"


def test_a_message_that_is_cleared_at_once_need_not_be_shown() -> None:
    assert NEVER_SHOWN not in cleared_example(milliseconds_later=0).check().findings


def test_a_message_has_to_be_shown_if_it_is_cleared_later() -> None:
    assert NEVER_SHOWN in cleared_example(milliseconds_later=3_600).check().findings


def test_a_rename_has_to_be_stored_where_the_history_was_not_cleared() -> None:
    example = Example()
    answer = {"client": BEN, "type": "ok", "id": "late", "rev": 4}
    example.records[-3:-3] = [LATE_RENAME, answer]

    assert "I1 lost: acknowledged but not stored" in example.check().findings


def test_after_a_restore_a_first_deletion_may_not_have_an_earlier_number() -> None:
    example = Example()
    late = {"type": "invoke", "action": "delete", "seq": 2, "client": BEN, "id": "late"}
    answer = {"client": BEN, "type": "ok", "id": "late", "seq": 2, "rev": 4}
    example.records[-3:-3] = [late, answer]
    example.records.insert(example.index("begin", ""), {"client": "", "type": "restored"})

    assert "I6 out of order: sent after an acknowledgement, numbered before it" in (
        example.check().findings
    )


def test_superseded_texts_are_those_that_no_message_has_any_more() -> None:
    example = Example()

    assert superseded_texts(example.timed_records(), {"kitchen": example.room}) == ["one"]


MISSING = "I2 lost: a number without a change"
CY = "kitchen page 2"
OVERWRITTEN_REACTION: Record = {
    "client": CY,
    "type": "invoke",
    "action": "react",
    "id": "overwritten",
    "seq": 2,
    "emoji": "❤️",
    "on": True,
    "mark": "cy",
}
OVERWRITTEN_EDIT: Record = {
    "client": CY,
    "type": "invoke",
    "action": "edit",
    "id": "overwritten",
    "seq": 2,
    "message": "two, edited",
}
BOTH_REACTIONS = {"❤️": ["cy"], "👍": ["ben"]}


class OverwrittenChange(Example):
    """A history in which no client sees the numbers of some changes of a message.

    Ada posts two messages. The server stores a change by Cy of the second one as number 3, and is
    stopped. Then Ben reacts to the same message. The answer to Cy's repeated request has the number
    of Ben's reaction. Of Cy's change, only the `request` is in the history, and the answer to it
    if `is_answered`.
    """

    def __init__(
        self,
        request: Record,
        missing: tuple[int, ...] = (3,),
        is_answered: bool = True,
        **changed: Any,
    ) -> None:
        rev = missing[-1] + 1
        one = row(1, "one")
        two = row(2, "two")
        fields = {"message": "two", "reactions": BOTH_REACTIONS, **changed}
        reacted = row(2, rev=rev, **fields)
        probe = row(rev + 1, "Does every client receive this?", id="probe-kitchen")
        self.records = []
        self.begin()
        self.records += requested("chat", "id-1", 1, one, message="one")
        self.records += requested("chat", "id-2", 2, two, message="two")
        self.records.append(dict(request))
        self.records += requested(
            "react", "reaction", rev, reacted, BEN, seq=2, emoji="👍", on=True, mark="ben"
        )
        if is_answered:
            answer = {"type": "ok", "client": CY, "id": request["id"], "seq": request["seq"]}
            self.records.append({**answer, "rev": rev, "later": 1_000})
        self.end([one, reacted, probe])

    def pop(self, record_type: str, request_id: str) -> Record:
        """Remove a record of a request; return it."""
        return self.records.pop(self.index_of(record_type, request_id))

    def index_of(self, record_type: str, request_id: str) -> int:
        """Return the index of a record of a request."""
        return next(
            index
            for index, record in enumerate(self.records)
            if record["type"] == record_type and record.get("id") == request_id
        )


@pytest.mark.parametrize("is_answered", [True, False])
def test_the_number_of_an_overwritten_reaction_may_be_invisible(is_answered: bool) -> None:
    example = OverwrittenChange(OVERWRITTEN_REACTION, is_answered=is_answered)

    assert example.check().findings == {}


def test_the_number_of_an_overwritten_edit_may_be_invisible() -> None:
    example = OverwrittenChange(OVERWRITTEN_EDIT, message="two, edited", reactions={"👍": ["ben"]})

    assert example.check().findings == {}


def test_the_number_of_a_change_may_be_invisible_if_the_message_was_deleted() -> None:
    tombstone = row(2, "", rev=4, deleted=True)
    probe = row(5, "Does every client receive this?", id="probe-kitchen")
    example = OverwrittenChange(OVERWRITTEN_REACTION)
    del example.records[example.index_of("invoke", "reaction") :]
    example.records += requested("delete", "deletion", 4, tombstone, seq=2)
    refusal = {"client": CY, "type": "fail", "id": "overwritten", "code": "gone"}
    example.records.append({**refusal, "later": 1_000})
    example.end([row(1, "one"), tombstone, probe])

    assert example.check().findings == {}


def without_a_request() -> Example:
    example = OverwrittenChange(OVERWRITTEN_REACTION)
    example.pop("invoke", "overwritten")
    example.pop("ok", "overwritten")
    return example


def for_another_message() -> Example:
    return OverwrittenChange({**OVERWRITTEN_REACTION, "seq": 1}, is_answered=False)


def sent_after_a_higher_number_was_received() -> Example:
    example = OverwrittenChange(OVERWRITTEN_REACTION)
    request = example.pop("invoke", "overwritten")
    example.records.insert(example.index_of("ok", "reaction"), request)
    return example


def sent_without_a_connection() -> Example:
    example = OverwrittenChange(OVERWRITTEN_REACTION)
    index = example.index_of("invoke", "overwritten")
    example.records.insert(index, {"client": CY, "type": "disconnect"})
    index = example.index_of("ok", "overwritten")
    example.records.insert(index, {"client": CY, "type": "connect"})
    return example


def answered_at_once() -> Example:
    example = OverwrittenChange(OVERWRITTEN_REACTION)
    del example.records[example.index_of("ok", "overwritten")]["later"]
    return example


def acknowledged_with_a_lower_number() -> Example:
    example = OverwrittenChange(OVERWRITTEN_REACTION)
    answer = example.pop("ok", "overwritten")
    answer["rev"] = 2
    example.records.insert(example.index_of("invoke", "overwritten") + 1, answer)
    return example


def refused_before_a_lower_number_was_taken() -> Example:
    example = OverwrittenChange(OVERWRITTEN_REACTION, is_answered=False)
    request = example.pop("invoke", "overwritten")
    refusal = {"client": CY, "type": "fail", "id": "overwritten", "code": "gone"}
    index = example.index_of("invoke", "id-2")
    time_for_a_repetition = [{"client": "", "type": "send"}] * 1_000
    example.records[index:index] = [request, *time_for_a_repetition, refusal]
    return example


def acknowledged_with_a_number_that_no_other_request_took() -> Example:
    example = OverwrittenChange(OVERWRITTEN_REACTION)
    example.pop("invoke", "reaction")
    example.pop("ok", "reaction")
    return example


def not_contained_in_the_message() -> Example:
    return OverwrittenChange(OVERWRITTEN_REACTION, is_answered=False, reactions={"👍": ["ben"]})


def a_deletion() -> Example:
    return OverwrittenChange({**OVERWRITTEN_REACTION, "action": "delete"}, is_answered=False)


def a_post() -> Example:
    return OverwrittenChange({**OVERWRITTEN_REACTION, "action": "chat"}, is_answered=False)


def one_request_for_two_numbers() -> Example:
    return OverwrittenChange(OVERWRITTEN_REACTION, missing=(3, 4))


@pytest.mark.parametrize(
    "build",
    [
        without_a_request,
        for_another_message,
        sent_after_a_higher_number_was_received,
        sent_without_a_connection,
        answered_at_once,
        acknowledged_with_a_lower_number,
        refused_before_a_lower_number_was_taken,
        acknowledged_with_a_number_that_no_other_request_took,
        not_contained_in_the_message,
        a_deletion,
        a_post,
        one_request_for_two_numbers,
    ],
)
def test_a_missing_number_is_found_if_no_request_can_have_taken_it(
    build: Callable[[], Example],
) -> None:
    verdict = build().check()

    assert verdict.findings[MISSING] == 1


def test_two_requests_may_have_taken_two_invisible_numbers() -> None:
    example = OverwrittenChange(OVERWRITTEN_REACTION, missing=(3, 4))
    other = {**OVERWRITTEN_REACTION, "id": "other", "emoji": "👍", "mark": "ada", "on": False}
    example.records.insert(example.index_of("invoke", "overwritten"), other)

    assert example.check().findings == {}
