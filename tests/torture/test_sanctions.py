"""The checks of what hosts impose, on histories made up for them."""

from collections import Counter
from typing import Any

import pytest

from tests.torture.history import Record, Row, StoredRoom, sent_requests
from tests.torture.sanctions import check_sanctions, clients_out
from tests.torture.test_checker import row
from tests.torture.verdict import Verdict

ADA = "kitchen page 0"
BEN = "kitchen page 1"


def announcement(seq: int, action: str, target: str = "ada") -> Record:
    """Return the system message of an action of Hana."""
    details = {"action": action, **({"target": target} if target else {})}
    return row(seq, f"Hana did {action}", kind="moderation", details=details, mark="hana", id=None)


class Example:
    """Ada and Ben are in the room; times are relative to the system messages, all of one moment."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.rows: list[Record] = []
        for client, mark in ((ADA, "ada"), (BEN, "ben")):
            self.add(-900, client, "connect")
            self.add(-900, client, "identity", mark=mark)

    def add(self, ms: float, client: str, record_type: str, **fields: Any) -> None:
        """Add a record `ms` milliseconds after the system messages."""
        self.records.append({"at": ms, "client": client, "type": record_type, **fields})

    def store(self, *rows: Record) -> None:
        """Add messages that are stored and that Ben receives when they are."""
        for each in rows:
            self.rows.append(each)
            self.add(0, BEN, "receive", event="chat", label="kitchen", row=each)

    def check(self) -> Verdict:
        """Return the verdict."""
        verdict = Verdict()
        check_sanctions(verdict, self._requests(), self.room(), self.timed_records())
        return verdict

    def _requests(self) -> list[Any]:
        return list(sent_requests(self.timed_records()).values())

    def room(self) -> StoredRoom:
        """Return the stored room."""
        rows = [Row.from_record(each) for each in self.rows]
        return StoredRoom(head=len(rows), epoch="e", rows=rows, client_ids=Counter())

    def timed_records(self) -> list[Record]:
        """Return the records on the clock of the history, in order."""
        noon = Row.from_record(row(1, "")).changed_at
        timed = [{**each, "at": noon + each["at"]} for each in self.records]
        return sorted(timed, key=lambda record: record["at"])


def mute(refused_at: float | None = 500) -> Example:
    """Return an example in which Ada is muted and told so."""
    example = Example()
    example.store(row(1, "hello", mark="ada"), announcement(2, "mute"))
    if refused_at is not None:
        example.add(refused_at, ADA, "refused", event="chat", code="muted")
    return example


def ban() -> Example:
    """Return an example in which Ada is banned, told so and disconnected after a second."""
    example = Example()
    example.store(row(1, "hello", mark="ada"), announcement(2, "ban"))
    example.add(1_000, ADA, "disconnect")
    example.add(3_000, ADA, "connect")
    example.add(3_100, ADA, "refused", event="join", code="banned")
    return example


@pytest.mark.parametrize("example", [mute(), ban()], ids=["mute", "ban"])
def test_what_is_imposed_in_time_is_correct(example: Example) -> None:
    assert example.check().findings == {}


def test_a_message_of_a_muted_person_is_found() -> None:
    example = mute()
    example.store(row(3, "hello again", mark="ada"))

    assert example.check().findings == {"I11 stored after a sanction": 1}


def test_a_message_after_the_end_of_a_mute_is_correct() -> None:
    example = mute()
    example.store(announcement(3, "unmute"), row(4, "thanks", mark="ada"))
    example.records[-1]["at"] = 2_000

    assert "I11 stored after a sanction" not in example.check().findings


def test_an_acknowledged_change_of_a_muted_person_is_found_unless_it_is_a_deletion() -> None:
    example = mute()
    for action in ("edit", "delete"):
        example.add(100, ADA, "invoke", action=action, id=action, seq=1)
        example.add(200, ADA, "ok", id=action, seq=1, rev=3)

    assert example.check().findings == {"I11 acknowledged after a sanction": 1}


def test_a_person_who_is_refused_in_silence_is_found() -> None:
    assert mute(refused_at=None).check().findings == {"I12 not told about a sanction": 1}


def test_a_message_in_a_locked_room_is_found() -> None:
    example = Example()
    example.store(announcement(1, "lock", target=""), row(2, "hello", mark="ben"))

    assert "I11 stored after a sanction" in example.check().findings


def test_the_time_until_a_banned_person_is_disconnected_is_measured() -> None:
    assert max(ban().check().expulsions_ms) == pytest.approx(1_000, abs=50)


def test_a_banned_person_who_still_receives_messages_is_measured() -> None:
    example = ban()
    example.add(6_000, ADA, "receive", event="chat", label="kitchen", row=row(3, "psst"))

    assert max(example.check().expulsions_ms) == pytest.approx(6_000, abs=50)


def test_a_banned_person_who_stays_connected_is_found() -> None:
    example = ban()
    example.records = [each for each in example.records if each["type"] != "disconnect"]

    assert "I12 not disconnected" in example.check().findings


def test_only_those_who_are_banned_at_the_end_may_be_out() -> None:
    example = ban()
    assert clients_out(example.timed_records(), example.room()) == {ADA}

    example.store(announcement(3, "unban"))
    assert clients_out(example.timed_records(), example.room()) == set()
