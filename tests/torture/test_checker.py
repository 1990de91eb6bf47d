"""The checker, on evenings written by hand: a good one, and each way in which it could have gone wrong."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.torture.checker import Verdict, check
from tests.torture.history import JSON, Row, Stored

NOON = "2026-11-22T12:00:00.000Z"


def brief(seq: int, message: str, rev: int | None = None, deleted: bool = False) -> JSON:
    """A row as a client notes it."""
    key = f"id-{seq}"
    return {"seq": seq, "rev": rev or seq, "id": key, "message": message, "deleted": deleted, "since": NOON}


def told(who: str, row: JSON) -> list[JSON]:
    """Somebody hears of a row and sees it."""
    more = {"event": "chat", "label": "kitchen", "in": "kitchen", "row": row}
    return [{"who": who, "what": "told", **more}, {"who": who, "what": "seen", "row": row}]


class Night:
    """Ada says two things and takes back the first; Ben is told everything."""

    def __init__(self) -> None:
        one, two, gone = brief(1, "one"), brief(2, "two"), brief(1, "", rev=3, deleted=True)
        final = [gone, two]
        self.lines: list[JSON] = [
            *({"who": who, "what": "load", "epoch": "e", "rows": []} for who in ("kitchen 0", "kitchen 1")),
            *({"who": who, "what": "up"} for who in ("kitchen 0", "kitchen 1")),
            {"who": "", "what": "begin"},
            *self._asked("chat", "id-1", 1, one, message="one"),
            *self._asked("chat", "id-2", 2, two, message="two"),
            *self._asked("delete", "a-deletion", 3, gone, seq=1),
            *(
                {"who": who, "what": "screen", "epoch": "e", "rows": final, "pale": []}
                for who in ("kitchen 0", "kitchen 1")
            ),
        ]
        rows = [Row.seen(row) for row in final]
        self.stored = Stored(3, "e", rows, Counter(["id-1", "id-2"]))

    def _asked(self, do: str, key: str, number: int, row: JSON, **what: Any) -> list[JSON]:
        invoke = {"who": "kitchen 0", "what": "invoke", "do": do, "id": key, **what}
        ok = {"who": "kitchen 0", "what": "ok", "id": key, "seq": row["seq"], "rev": number}
        return [invoke, *told("kitchen 0", row), *told("kitchen 1", row), ok]

    def judged(self) -> Verdict:
        """What the checker says of it."""
        return check(
            [{"at": float(at), **deepcopy(line)} for at, line in enumerate(self.lines)], {"kitchen": self.stored}
        )

    def first(self, what: str, who: str = "kitchen 1") -> int:
        """Where somebody's first line of a kind is."""
        return next(at for at, line in enumerate(self.lines) if (line["what"], line["who"]) == (what, who))


def test_a_good_night_is_as_promised() -> None:
    verdict = Night().judged()

    assert verdict.findings == {}
    assert verdict.acknowledged == 3


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


def draw_twice(night: Night) -> None:
    at = night.first("seen")
    night.lines.insert(at, dict(night.lines[at]))


def tell_in_another_order(night: Night) -> None:
    last = [at for at, line in enumerate(night.lines) if line["what"] == "told" and line["who"] == "kitchen 1"][-1]
    night.lines.insert(night.first("told"), night.lines.pop(last))


def leave_it_pale(night: Night) -> None:
    night.lines[night.first("screen")]["pale"] = ["id-9"]


def tell_a_stranger(night: Night) -> None:
    night.lines[night.first("told")]["label"] = "garden"


def tell_what_is_not_stored(night: Night) -> None:
    night.lines[-1:-1] = told("kitchen 1", brief(4, "two"))


def give_a_number_twice(night: Night) -> None:
    night.lines[-1:-1] = told("kitchen 1", brief(1, "two", rev=2))


def leave_a_hole(night: Night) -> None:
    night.stored.head = 4


def say_it_after_an_answer(night: Night) -> None:
    late = {"who": "kitchen 1", "what": "invoke", "do": "delete", "id": "late", "seq": 1}
    night.lines[-2:-2] = [late, {"who": "kitchen 1", "what": "ok", "id": "late", "seq": 1, "rev": 3}]


def stay_away(night: Night) -> None:
    night.lines.append({"who": "kitchen 1", "what": "down"})


WRONGS: list[tuple[Callable[[Night], None], str]] = [
    (lose_a_row, "I1 lost: acknowledged and not stored"),
    (store_it_otherwise, "I1 lost: stored otherwise than acknowledged"),
    (store_it_otherwise, "I5 stored, and nobody said it"),
    (store_it_twice, "I1 doubled: one id is stored twice"),
    (forget_a_screen, "I3 lost: stored and not shown"),
    (tell_twice, "I2 doubled: told twice over one connection"),
    (draw_twice, "I3 doubled: drawn again"),
    (tell_in_another_order, "I2 out of order: told over one connection"),
    (leave_it_pale, "I3 lost: said, and never shown as sent or failed"),
    (tell_a_stranger, "I7 told to a stranger"),
    (tell_what_is_not_stored, "I2 lost: a number was told or answered that is not stored"),
    (give_a_number_twice, "I2 doubled: one number for two changes"),
    (leave_a_hole, "I2 lost: a number of no change"),
    (say_it_after_an_answer, "I6 out of order: said after an answer, stored before it"),
    (stay_away, "I3 lost: never came back"),
]


@pytest.mark.parametrize(("wrong", "finding"), WRONGS)
def test_what_goes_wrong_is_found(wrong: Callable[[Night], None], finding: str) -> None:
    night = Night()
    wrong(night)

    assert finding in night.judged().findings
