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
    return {"seq": seq, "rev": rev or seq, "id": key, "message": message, "deleted": deleted, "since": NOON}


def told(who: str, row: JSON) -> list[JSON]:
    """Somebody hears of a row and sees it."""
    more = {"event": "chat", "label": "kitchen", "in": "kitchen", "row": row}
    return [{"who": who, "what": "told", **more}, {"who": who, "what": "seen", "row": row}]


class Night:
    """Ada says two things, takes back the first and goes by another name; Ben hears it all, and likes the second."""

    def __init__(self) -> None:
        one, two, gone = brief(1, "one"), brief(2, "two"), brief(1, "", rev=3, deleted=True)
        liked = {**brief(2, "two", rev=4), "reactions": {"👍": ["ben"]}}
        line = {**brief(5, "Ada L."), "id": None, "kind": "rename"}
        final = [gone, liked, line]
        self.lines: list[JSON] = [
            *({"who": who, "what": "load", "epoch": "e", "rows": []} for who in ("kitchen 0", "kitchen 1")),
            *({"who": who, "what": "up"} for who in ("kitchen 0", "kitchen 1")),
            {"who": "", "what": "begin"},
            *self._asked("chat", "id-1", 1, one, message="one"),
            *self._asked("chat", "id-2", 2, two, message="two"),
            *self._asked("delete", "a-deletion", 3, gone, seq=1),
            *self._asked("react", "a-reaction", 4, liked, seq=2, emoji="👍", on=True, mark="ben"),
            *self._asked("rename", "a-name", 5, line, message="Ada L."),
            *(
                {"who": who, "what": "screen", "epoch": "e", "rows": deepcopy(final), "pale": []}
                for who in ("kitchen 0", "kitchen 1")
            ),
        ]
        rows = [Row.seen(row) for row in final]
        self.stored = Stored(5, "e", rows, Counter(["id-1", "id-2"]))

    def _asked(self, do: str, key: str, number: int, row: JSON, **what: Any) -> list[JSON]:
        invoke = {"who": "kitchen 0", "what": "invoke", "do": do, "id": key, **what}
        ok = {"who": "kitchen 0", "what": "ok", "id": key, "seq": row["seq"], "rev": number}
        return [invoke, *told("kitchen 0", row), *told("kitchen 1", row), ok]

    def judged(self) -> Verdict:
        """What the checker says of it."""
        return check(self.lines_in_time(), {"kitchen": self.stored})

    def lines_in_time(self) -> list[JSON]:
        """Every line with its time."""
        return [{"at": float(at), **deepcopy(line)} for at, line in enumerate(self.lines)]

    def first(self, what: str, who: str = "kitchen 1") -> int:
        """Where somebody's first line of a kind is."""
        return next(at for at, line in enumerate(self.lines) if (line["what"], line["who"]) == (what, who))


def test_a_good_night_is_as_promised() -> None:
    verdict = Night().judged()

    assert verdict.findings == {}
    assert verdict.acknowledged == 5


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
    night.lines[-1:-1] = told("kitchen 1", brief(6, "two"))


def give_a_number_twice(night: Night) -> None:
    night.lines[-1:-1] = told("kitchen 1", brief(1, "two", rev=2))


def leave_a_hole(night: Night) -> None:
    night.stored.head = 6


def say_it_after_an_answer(night: Night) -> None:
    late = {"who": "kitchen 1", "what": "invoke", "do": "delete", "id": "late", "seq": 1}
    night.lines[-2:-2] = [late, {"who": "kitchen 1", "what": "ok", "id": "late", "seq": 1, "rev": 3}]


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
    (give_the_reaction_to_another, "I1 lost: an acknowledged reaction is not as it was wanted"),
    (show_it_as_anothers_to_one, "I3 not everybody sees the same reactions"),
    (make_up_a_reaction, "I5 stored, and nobody said it"),
    (make_up_a_name, "I5 stored, and nobody said it"),
    (make_up_a_name, "I1 lost: acknowledged and not stored"),
    (stay_away, "I3 lost: never came back"),
]


@pytest.mark.parametrize(("wrong", "finding"), WRONGS)
def test_what_goes_wrong_is_found(wrong: Callable[[Night], None], finding: str) -> None:
    night = Night()
    wrong(night)

    assert finding in night.judged().findings


def test_what_is_to_be_gone_from_the_files_is_what_no_message_says_any_more() -> None:
    night = Night()

    assert taken_back(night.lines_in_time(), {"kitchen": night.stored}) == ["one"]
