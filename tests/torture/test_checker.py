"""The checker, on evenings written by hand: a good one, and each way in which it could have gone wrong."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.torture.checker import Verdict, check, taken_back
from tests.torture.history import JSON, Row, Stored

NOON = "2026-11-22T12:00:00.000Z"


def brief(seq: int, message: str, rev: int | None = None, deleted: bool = False) -> JSON:
    """A row as a client notes it."""
    key = f"id-{seq}"
    return {
        "seq": seq,
        "rev": rev or seq,
        "id": key,
        "message": message,
        "deleted": deleted,
        "since": NOON,
    }


def told(who: str, row: JSON, event: str = "chat") -> list[JSON]:
    """Somebody hears of a row and sees it."""
    more = {"event": event, "label": "kitchen", "in": "kitchen", "row": row}
    return [{"who": who, "what": "told", **more}, {"who": who, "what": "seen", "row": row}]


class Night:
    """Ada says two things, takes back the first and goes by another name; Ben hears it all, and likes the second.

    A stock Python client listens. In the end all receive the probe.
    """

    EVERYBODY = "kitchen 0", "kitchen 1", "kitchen python 0"

    def __init__(self) -> None:
        one, two, gone = brief(1, "one"), brief(2, "two"), brief(1, "", rev=3, deleted=True)
        liked = {**brief(2, "two", rev=4), "reactions": {"👍": ["ben"]}}
        line = {**brief(5, "Ada L."), "id": None, "kind": "rename"}
        probe = {**brief(6, "Does everybody receive this?"), "id": "probe-of-the-kitchen"}
        final = [gone, liked, line, probe]
        self.lines: list[JSON] = [
            *({"who": who, "what": "load", "epoch": "e", "rows": []} for who in self.EVERYBODY),
            *({"who": who, "what": "up"} for who in self.EVERYBODY),
            {"who": "", "what": "begin"},
            *self._asked("chat", "id-1", 1, one, message="one"),
            *self._asked("chat", "id-2", 2, two, message="two"),
            *self._asked("delete", "a-deletion", 3, gone, seq=1),
            *self._asked("react", "a-reaction", 4, liked, seq=2, emoji="👍", on=True, mark="ben"),
            *self._asked("rename", "a-name", 5, line, message="Ada L."),
            *self._asked("chat", probe["id"], 6, probe, "kitchen probe", message=probe["message"]),
            *(
                {"who": who, "what": "screen", "epoch": "e", "rows": deepcopy(final), "pale": []}
                for who in self.EVERYBODY
            ),
        ]
        rows = [Row.seen(row) for row in final]
        self.stored = Stored(6, "e", rows, Counter(["id-1", "id-2", probe["id"]]))

    def _asked(
        self, do: str, key: str, number: int, row: JSON, by: str = "kitchen 0", **what: Any
    ) -> list[JSON]:
        invoke = {"who": by, "what": "invoke", "do": do, "id": key, **what}
        ok = {"who": by, "what": "ok", "id": key, "seq": row["seq"], "rev": number}
        event = "chat" if row["rev"] == row["seq"] else "change"
        return [invoke, *(line for who in self.EVERYBODY for line in told(who, row, event)), ok]

    def judged(self, exact_clock: bool = True) -> Verdict:
        """What the checker says of it."""
        return check(self.lines_in_time(), {"kitchen": self.stored}, exact_clock)

    def lines_in_time(self) -> list[JSON]:
        """Every line with its time."""
        return [{"at": float(at), **deepcopy(line)} for at, line in enumerate(self.lines)]

    def first(self, what: str, who: str = "kitchen 1") -> int:
        """Where somebody's first line of a kind is."""
        return next(
            at for at, line in enumerate(self.lines) if (line["what"], line["who"]) == (what, who)
        )


def test_a_good_night_is_as_promised() -> None:
    verdict = Night().judged()

    assert verdict.findings == {}
    assert verdict.acknowledged == 6


def test_a_python_client_may_note_what_it_was_told_in_another_order() -> None:
    night = Night()
    places = [
        at
        for at, line in enumerate(night.lines)
        if (line["what"], line["who"]) == ("told", "kitchen python 0")
    ]
    for at in places:
        night.lines[at]["ordered"] = False
    night.lines.insert(places[0], night.lines.pop(places[1]))

    assert night.judged().findings == {}


def test_after_a_reconnection_a_message_may_be_told_again() -> None:
    night = Night()
    at = night.first("told", "kitchen python 0")
    again = [{"who": "kitchen python 0", "what": what} for what in ("down", "up")]
    night.lines[at + 1 : at + 1] = [*again, dict(night.lines[at])]

    assert night.judged().findings == {}


def test_after_history_is_restored_a_number_may_be_told_again() -> None:
    night = Night()
    at = night.first("told", "kitchen python 0")
    restored = {"who": "kitchen python 0", "what": "load", "epoch": "another", "rows": []}
    night.lines[at + 1 : at + 1] = [restored, dict(night.lines[at])]

    assert night.judged().findings == {}


def test_who_was_connected_and_did_not_receive_waited_even_if_a_new_connection_brought_it() -> None:
    night = Night()
    at = night.first("told", "kitchen python 0")
    waiting = [{"who": "", "what": "talk"}] * 10
    night.lines[at:at] = [
        *waiting,
        *({"who": "kitchen python 0", "what": what} for what in ("down", "up")),
    ]

    assert night.judged(exact_clock=False).worst() >= 10


def test_the_pauses_of_stock_clients_before_they_reconnect_are_counted_apart() -> None:
    night = Night()
    at = night.first("told", "kitchen python 0")
    night.lines[at:at] = [{"who": "kitchen python 0", "what": what} for what in ("down", "up")]

    verdict = night.judged()

    assert (verdict.longest_away(), verdict.longest_stock_away()) == (0, 1)


def lose_a_row(night: Night) -> None:
    night.stored.rows.pop()


def store_it_otherwise(night: Night) -> None:
    night.stored.rows[1] = Row.seen(brief(2, "too"))


def store_it_twice(night: Night) -> None:
    night.stored.ids["id-2"] = 2


def forget_a_screen(night: Night) -> None:
    night.lines[night.first("screen")] = {**night.lines[night.first("screen")], "rows": []}


def tell_twice(night: Night) -> None:
    at = night.first("told")
    night.lines.insert(at, dict(night.lines[at]))


def tell_as_new_what_is_known(night: Night) -> None:
    changed = [line for line in night.lines if line["what"] == "told" and line["event"] == "change"]
    changed[-1]["event"] = "chat"


def leave_one_out(night: Night) -> None:
    def is_probe(line: JSON) -> bool:
        return bool(
            line["who"] == "kitchen python 0"
            and line.get("row", {}).get("id") == "probe-of-the-kitchen"
        )

    night.lines = [line for line in night.lines if not is_probe(line)]


def reach_one_late(night: Night) -> None:
    late = {"who": "kitchen python 0", "what": "up"}
    leave_one_out(night)
    night.lines += [late] * 3_600 + told("kitchen python 0", night.lines[-1]["rows"][-1])


def refuse_the_probe(night: Night) -> None:
    night.lines = [
        line for line in night.lines if (line["who"], line["what"]) != ("kitchen probe", "ok")
    ]


def draw_twice(night: Night) -> None:
    at = night.first("seen")
    night.lines.insert(at, dict(night.lines[at]))


def tell_in_another_order(night: Night) -> None:
    last = [
        at
        for at, line in enumerate(night.lines)
        if line["what"] == "told" and line["who"] == "kitchen 1"
    ][-1]
    night.lines.insert(night.first("told"), night.lines.pop(last))


def leave_it_pale(night: Night) -> None:
    night.lines[night.first("screen")]["pale"] = ["id-9"]


def tell_a_stranger(night: Night) -> None:
    night.lines[night.first("told")]["label"] = "garden"


def tell_what_is_not_stored(night: Night) -> None:
    night.lines[-1:-1] = told("kitchen 1", brief(7, "two"))


def give_a_number_twice(night: Night) -> None:
    night.lines[-1:-1] = told("kitchen 1", brief(1, "two", rev=2))


def leave_a_hole(night: Night) -> None:
    night.stored.head = 7


def say_it_after_an_answer(night: Night) -> None:
    late = {"who": "kitchen 1", "what": "invoke", "do": "delete", "id": "late", "seq": 1}
    night.lines[-3:-3] = [
        late,
        {"who": "kitchen 1", "what": "ok", "id": "late", "seq": 1, "rev": 3},
    ]


def give_the_reaction_to_another(night: Night) -> None:
    for line in night.lines:
        if line["what"] == "screen":
            line["rows"][1]["reactions"] = {"👍": ["cy"]}


def show_it_as_anothers_to_one(night: Night) -> None:
    night.lines[night.first("screen")]["rows"][1]["reactions"] = {"👍": ["cy"]}


def make_up_a_reaction(night: Night) -> None:
    night.stored.rows[1] = replace(night.stored.rows[1], reactions=(("🦔", 1),))


def make_up_a_name(night: Night) -> None:
    night.stored.rows[2] = replace(night.stored.rows[2], message="Eve")


def stay_away(night: Night) -> None:
    night.lines.append({"who": "kitchen 1", "what": "down"})


def stay_away_until_the_end(night: Night) -> None:
    night.lines.insert(night.first("screen"), {"who": "kitchen 1", "what": "down"})


WRONGS: list[tuple[Callable[[Night], None], str]] = [
    (lose_a_row, "I1 lost: acknowledged and not stored"),
    (store_it_otherwise, "I1 lost: stored otherwise than acknowledged"),
    (store_it_otherwise, "I5 stored, and nobody said it"),
    (store_it_twice, "I1 doubled: one id is stored twice"),
    (forget_a_screen, "I3 lost: stored and not shown"),
    (tell_twice, "I2 doubled: told twice over one connection"),
    (draw_twice, "I3 doubled: drawn again"),
    (tell_as_new_what_is_known, "I2 doubled: a message was told as new twice over one connection"),
    (leave_one_out, "I10 stopped receiving"),
    (reach_one_late, "I10 stopped receiving"),
    (refuse_the_probe, "I10 the probe was not acknowledged"),
    (tell_in_another_order, "I2 out of order: told over one connection"),
    (leave_it_pale, "I3 lost: said, and never shown as sent or failed"),
    (tell_a_stranger, "I7 told to a stranger"),
    (tell_what_is_not_stored, "I2 lost: a number was told or answered that is not stored"),
    (give_a_number_twice, "I2 doubled: one number for two changes"),
    (leave_a_hole, "I2 lost: a number of no change"),
    (say_it_after_an_answer, "I6 out of order: said after an answer, stored before it"),
    (give_the_reaction_to_another, "I1 lost: an acknowledged reaction is not as it was wanted"),
    (show_it_as_anothers_to_one, "I3 not everybody sees the same reactions"),
    (make_up_a_reaction, "I5 stored, and nobody said it"),
    (make_up_a_name, "I5 stored, and nobody said it"),
    (make_up_a_name, "I1 lost: acknowledged and not stored"),
    (stay_away, "I3 lost: never came back"),
    (stay_away_until_the_end, "I3 lost: never came back"),
]


@pytest.mark.parametrize(("wrong", "finding"), WRONGS)
def test_what_goes_wrong_is_found(wrong: Callable[[Night], None], finding: str) -> None:
    night = Night()
    wrong(night)

    assert finding in night.judged().findings


def test_a_client_that_stopped_receiving_is_named() -> None:
    night = Night()
    leave_one_out(night)

    assert "I10 stopped receiving: kitchen python 0" in night.judged().spelled


def test_what_is_to_be_gone_from_the_files_is_what_no_message_says_any_more() -> None:
    night = Night()

    assert taken_back(night.lines_in_time(), {"kitchen": night.stored}) == ["one"]
