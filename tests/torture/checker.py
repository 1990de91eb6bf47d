"""The one checker: holds a history against the database, and says what of the promise was broken, by invariant.

I1 what was acknowledged is stored.                     I2 every number up to the head is one change's, told once.
I3 every screen shows what is stored, each thing once.  I4 one sender's messages keep their order.
I5 nothing is stored or shown that nobody said.         I6 what was said after an answer comes after it.
I7 strangers hear nothing.                              I8 the servers let go of what they held (see stage.py).
I9 of what was taken back, nothing is left in the files (see stage.py).
I10 at the end, a message reaches every client: page, bot, stock JavaScript client, stock Python client.
"""

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from tests.torture.history import JSON, Row, Stored, Wish, is_probe, is_stock, label_of, of, wishes

PROBE_MS = 3_500  # the promise
SAID_AT_MOST = 5  # findings of one kind that are spelled out
CLIENTS_NAMED_AT_MOST = 50


@dataclass
class Verdict:
    """What came of an evening."""

    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    late: list[tuple[float, float, str]] = field(
        default_factory=list
    )  # when seen, how late in ms, by whom
    answers: list[tuple[float, float]] = field(
        default_factory=list
    )  # when asked, how long the answer took in ms
    away: list[tuple[float, float]] = field(default_factory=list)  # since when, how long in ms
    stock_away: list[tuple[float, float]] = field(default_factory=list)  # the same of stock clients
    whole_ms: float = 0
    findings: Counter[str] = field(default_factory=Counter)  # by invariant and kind
    spelled: list[str] = field(default_factory=list)

    def found(self, kind: str, detail: object, spelled_at_most: int = SAID_AT_MOST) -> None:
        """Something is not as promised."""
        self.findings[kind] += 1
        if self.findings[kind] <= spelled_at_most:
            self.spelled.append(f"{kind}: {detail}")
        family = {"lost": "lost", "doubled": "doubled", "out of order": "disordered"}
        for word, count in family.items():
            if word in kind:
                setattr(self, count, getattr(self, count) + 1)

    def add(self, other: "Verdict") -> None:
        """Take in what came of another evening."""
        for count in (
            "acknowledged",
            "lost",
            "doubled",
            "disordered",
            "findings",
            "spelled",
            "late",
            "answers",
            "away",
            "stock_away",
        ):
            setattr(self, count, getattr(self, count) + getattr(other, count))
        self.whole_ms = max(self.whole_ms, other.whole_ms)

    def worst(
        self, since: float = 0, wait_until: float = float("inf"), but: frozenset[str] = frozenset()
    ) -> float:
        """The longest that somebody connected waited for something stored, of what arrived in this time."""
        return max(
            (late for at, late, who in self.late if since <= at <= wait_until and who not in but),
            default=0,
        )

    def answered_within(self, portion: float) -> float:
        """How many milliseconds this portion of the answers took at most."""
        return _at_most([took for _, took in self.answers], portion)

    def longest_away(self, portion: float = 1.0) -> float:
        """How long those were without a connection who lost it: at most, or this portion of them at most.

        Stock clients are counted apart: how long they wait between two attempts is their own default.
        """
        return _at_most([how_long for _, how_long in self.away], portion)

    def longest_stock_away(self) -> float:
        """How long a stock client was without a connection at most."""
        return _at_most([how_long for _, how_long in self.stock_away], 1.0)


def _at_most(values: list[float], portion: float) -> float:
    """What this portion of the values does not exceed."""
    return sorted(values)[max(0, round(portion * len(values)) - 1)] if values else 0


def check(lines: list[JSON], rooms: dict[str, Stored], exact_clock: bool = True) -> Verdict:
    """Hold a history against the database. `exact_clock`: the servers' clock is ours, so their times can be used."""
    verdict = Verdict()
    restored = max((line["at"] for line in of(lines, "restored")), default=0.0)
    wanted = wishes(lines)
    counted = {key: wish for key, wish in wanted.items() if wish.at > restored}
    for label, room in rooms.items():
        here = [line for line in lines if line["who"] and label_of(line["who"]) == label]
        after = [line for line in here if line["at"] > restored]
        mine = [wish for wish in wanted.values() if wish.label == label]
        fresh = [wish for wish in counted.values() if wish.label == label]
        _acknowledged_is_stored(verdict, fresh, room)
        _every_number_is_one_change(verdict, fresh, room, after, restored > 0)
        _screens_show_what_is_stored(verdict, here, room)
        _reactions_are_whose_they_are(verdict, fresh, here)
        _senders_keep_their_order(verdict, fresh, room)
        _nothing_is_made_up(verdict, mine, room, here)
        _time_is_respected(verdict, fresh)
        _strangers_hear_nothing(verdict, here, label)
        _told_once_and_in_order(verdict, after)
        _chat_is_told_once_for_each_message(verdict, after)
        _everybody_receives_the_probe(verdict, mine, here)
        _measure(verdict, lines, after, _known_since(after, room, fresh, exact_clock))
    healed = max((line["at"] for line in of(lines, "healed")), default=0.0)
    late_answers = [
        wish.answered for wish in counted.values() if wish.answered and wish.at <= healed
    ]
    verdict.whole_ms = max([verdict.whole_ms, *(answered - healed for answered in late_answers)])
    verdict.answers += [
        (wish.at, wish.answered - wish.at)
        for wish in counted.values()
        if wish.answered and wish.do == "chat"
    ]
    return verdict


def _acknowledged_is_stored(verdict: Verdict, wanted: list[Wish], room: Stored) -> None:
    at = {row.seq: row for row in room.rows}
    for wish in (wish for wish in wanted if wish.number is not None):
        verdict.acknowledged += 1
        assert wish.number is not None
        if wish.do == "rename":
            if not any(
                line.message == wish.message and line.seq <= wish.number
                for line in room.rows
                if line.kind
            ):
                verdict.found("I1 lost: acknowledged and not stored", wish)
            continue
        row = at.get(wish.seq or wish.number)
        if row is None or row.rev < wish.number or (wish.do == "chat" and row.id != wish.id):
            verdict.found("I1 lost: acknowledged and not stored", (wish, row))
        elif wish.do == "react":
            continue  # whose it is, the screens say
        elif row.rev == wish.number and (row.message, row.deleted) != (
            wish.message,
            wish.do == "delete",
        ):
            verdict.found("I1 lost: stored otherwise than acknowledged", (wish, row))
    for key, count in room.ids.items():
        if count > 1:
            verdict.found("I1 doubled: one id is stored twice", key)


def _every_number_is_one_change(
    verdict: Verdict, wanted: list[Wish], room: Stored, here: list[JSON], restored: bool
) -> None:
    meanings: defaultdict[int, set[tuple[object, ...]]] = defaultdict(set)
    messages: defaultdict[int, set[int]] = defaultdict(set)
    for wish in wanted:
        if (
            wish.number is not None and wish.do != "rename"
        ):  # which may have been so already, at any number
            messages[wish.number].add(wish.seq or wish.number)
            if (
                wish.do == "chat"
            ):  # any other may have been so already, by the number of a later change
                meanings[wish.number].add((wish.number, wish.message, False, ()))
    for row in [*room.rows, *(row for _, row in _rows(here))]:
        messages[row.rev].add(row.seq)
        meanings[row.rev].add((row.seq, row.message, row.deleted, row.reactions))
    places = {row.seq for row in room.rows}
    for number, of_message in messages.items():
        meant = meanings[number]
        if len(meant) > 1 or len(of_message) > 1:
            verdict.found("I2 doubled: one number for two changes", (number, meant))
        if number > room.head:
            verdict.found(
                "I2 lost: a number was told or answered that is not stored", (number, meant)
            )
    # What a restored room once said about numbers that were then overwritten, nobody here has seen.
    for number in [] if restored else sorted(set(range(1, room.head + 1)) - set(messages) - places):
        verdict.found("I2 lost: a number of no change", number)


def _rows(lines: list[JSON]) -> list[tuple[JSON, Row]]:
    """Everything that anybody was told, read or shown, and where."""
    found = []
    for line in lines:
        if line["what"] in ("seen", "read") or (
            line["what"] == "told" and line["event"] in ("chat", "change")
        ):
            found.append((line, Row.seen(line["row"])))
        elif line["what"] in ("load", "screen"):
            found += [(line, Row.seen(row)) for row in line["rows"]]
    return found


def _screens_show_what_is_stored(verdict: Verdict, here: list[JSON], room: Stored) -> None:
    for line in of(here, "screen"):
        shown = [Row.seen(row) for row in line["rows"]]
        for row in sorted({*room.rows} - {*shown}, key=lambda row: row.seq):
            verdict.found("I3 lost: stored and not shown", (line["who"], row))
        for row in {*shown} - {*room.rows}:
            verdict.found("I3 shown and not stored", (line["who"], row))
        if any(one.seq >= next_one.seq for one, next_one in pairwise(shown)):
            verdict.found("I3 out of order: on a screen", line["who"])
        if line["pale"]:
            verdict.found(
                "I3 lost: said, and never shown as sent or failed", (line["who"], line["pale"])
            )
        if line["epoch"] != room.epoch:
            verdict.found("I3 another history is shown", line["who"])
    shown_revs: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for line in of(here, "load", "seen"):
        revs = shown_revs[line["who"]]
        if line["what"] == "load":
            revs.clear()
            revs.update({row["seq"]: row["rev"] for row in line["rows"]})
            continue
        row = line["row"]
        if revs.get(row["seq"], 0) >= row["rev"]:
            verdict.found("I3 doubled: drawn again", (line["who"], row))
        revs[row["seq"]] = row["rev"]


def _reactions_are_whose_they_are(verdict: Verdict, wanted: list[Wish], here: list[JSON]) -> None:
    last = {(wish.mark, wish.seq, wish.emoji): wish for wish in wanted if wish.do == "react"}
    whose: defaultdict[int, set[str]] = defaultdict(set)
    for line in of(here, "screen"):
        for row in line["rows"]:
            whose[row["seq"]].add(json.dumps(row.get("reactions")))
    for place, found in whose.items():
        if len(found) > 1:
            verdict.found("I3 not everybody sees the same reactions", (place, found))
    shown = {
        row["seq"]: row
        for line in of(here, "screen")
        for row in line["rows"]
        if not row.get("deleted")
    }
    for (mark, seq, emoji), wish in last.items():
        if wish.number is not None and seq in shown:
            is_on = mark in (shown[seq].get("reactions") or {}).get(emoji, [])
            if is_on != wish.on:
                verdict.found(
                    "I1 lost: an acknowledged reaction is not as it was wanted", (wish, shown[seq])
                )


def _senders_keep_their_order(verdict: Verdict, wanted: list[Wish], room: Stored) -> None:
    place = {row.id: row.seq for row in room.rows}
    said: defaultdict[tuple[str, int | None], list[int]] = defaultdict(list)
    for wish in wanted:  # a program's messages keep their order as long as its connection lasts
        if wish.do == "chat" and wish.id in place:
            said[wish.who, wish.visit].append(place[wish.id])
    for who, places in said.items():
        for one, next_one in pairwise(places):
            if one > next_one:
                verdict.found("I4 out of order: one sender's messages", (who, one, next_one))


def _nothing_is_made_up(
    verdict: Verdict, wanted: list[Wish], room: Stored, here: list[JSON]
) -> None:
    said = {(wish.id, wish.message) for wish in wanted if wish.do == "chat"}
    edited = {(wish.seq, wish.message) for wish in wanted if wish.do == "edit"}
    deleted = {wish.seq for wish in wanted if wish.do == "delete"}
    names = {wish.message for wish in wanted if wish.do == "rename"}
    reacted = {(wish.seq, wish.emoji) for wish in wanted if wish.do == "react"}

    def made_up(row: Row) -> bool:
        if row.deleted:
            return row.seq not in deleted or row.message != "" or bool(row.reactions)
        if row.kind is not None:
            return row.message not in names
        if any((row.seq, emoji) not in reacted for emoji, _ in row.reactions):
            return True
        return (row.id, row.message) not in said and (row.seq, row.message) not in edited

    for row in room.rows:
        if made_up(row):
            verdict.found("I5 stored, and nobody said it", row)
    for row in {row for _, row in _rows(here)} - {*room.rows}:
        if made_up(row):
            verdict.found("I5 shown, and nobody said it", row)


def _time_is_respected(verdict: Verdict, wanted: list[Wish]) -> None:
    answered = sorted(
        (wish.answered, wish.number) for wish in wanted if wish.answered and wish.number
    )
    highest, numbers = 0, [0]
    for _, number in answered:
        highest = max(highest, number)
        numbers.append(highest)
    times = [at for at, _ in answered]
    for wish in wanted:
        if (
            wish.number is not None
            and (before := numbers[bisect_right(times, wish.at)]) >= wish.number
        ):
            verdict.found("I6 out of order: said after an answer, stored before it", (wish, before))


def _strangers_hear_nothing(verdict: Verdict, here: list[JSON], label: str) -> None:
    for line in of(here, "told"):
        if line["label"] != label:
            verdict.found("I7 told to a stranger", line)


def _told_once_and_in_order(verdict: Verdict, here: list[JSON]) -> None:
    """Over one connection, the numbers only rise; until history is another."""
    last: dict[str, int] = {}
    epochs: dict[str, str] = {}
    for line in here:
        who = line["who"]
        if line["what"] == "up" or (line["what"] == "load" and line["epoch"] != epochs.get(who)):
            last[who] = 0
            epochs[who] = line.get("epoch", epochs.get(who, ""))
        elif (
            line["what"] == "told"
            and line["event"] in ("chat", "change")
            and line.get("ordered", True)
        ):
            number = line["row"]["rev"]
            if number == last.get(who):
                verdict.found("I2 doubled: told twice over one connection", line)
            elif number < last.get(who, 0):
                verdict.found("I2 out of order: told over one connection", line)
            last[who] = number


def _chat_is_told_once_for_each_message(verdict: Verdict, here: list[JSON]) -> None:
    """Over one connection, a message comes as `chat` once, whatever its `rev`; until history is another.

    Another connection may be to a worker that has not told it yet.
    """
    told: defaultdict[str, set[int]] = defaultdict(set)
    epochs: dict[str, str] = {}
    for line in here:
        who = line["who"]
        if line["what"] == "up":
            told[who].clear()
        elif line["what"] == "load" and line["epoch"] != epochs.get(who):
            told[who].clear()
            epochs[who] = line["epoch"]
        elif line["what"] == "told" and line["event"] == "chat":
            seq = line["row"]["seq"]
            if seq in told[who]:
                verdict.found(
                    "I2 doubled: a message was told as new twice over one connection", line
                )
            told[who].add(seq)


def _everybody_receives_the_probe(verdict: Verdict, wanted: list[Wish], here: list[JSON]) -> None:
    """Everybody who was ever connected has what is posted at the end, on time: nobody only seems to be connected."""
    for probe in (wish for wish in wanted if is_probe(wish.who)):
        if probe.answered is None:
            verdict.found("I10 the probe was not acknowledged", probe)
            continue
        received: dict[str, float] = {}
        for line in of(here, "told", "seen"):
            if line["row"].get("id") == probe.id:
                received.setdefault(line["who"], line["at"])
        for who in sorted({line["who"] for line in of(here, "up")}):
            if received.get(who, inf) - probe.answered > PROBE_MS:
                verdict.found("I10 stopped receiving", who, CLIENTS_NAMED_AT_MOST)


def _measure(
    verdict: Verdict, lines: list[JSON], here: list[JSON], since: dict[int, float]
) -> None:
    """How late things were for those who were connected, how long people were away, and until when all were whole."""
    begun = max(line["at"] for line in of(lines, "begin", "restored"))
    healed = max((line["at"] for line in of(lines, "healed")), default=begun)
    connections: defaultdict[str, list[Connection]] = defaultdict(list)
    shown: set[tuple[str, int]] = set()
    whole = healed
    for line in of(here, "up", "down", "seen", "load"):
        who = line["who"]
        if line["what"] == "up":
            connections[who].append(Connection(line["at"]))
        elif line["what"] == "down":
            for connection in connections[who][-1:]:
                connection.wait_until = min(connection.wait_until, line["at"])
        else:
            new = {
                (who, row["rev"]) for row in (line["rows"] if "rows" in line else [line["row"]])
            } - shown
            shown |= new
            for stored_at in (since[rev] for _, rev in new if rev in since):
                if stored_at > begun:
                    verdict.late.append(
                        (line["at"], _waited(connections[who], stored_at, line["at"]), who)
                    )
                if stored_at <= healed:
                    whole = max(whole, line["at"])
    verdict.whole_ms = max(
        verdict.whole_ms, whole - healed, _measure_absences(verdict, here) - healed
    )


@dataclass
class Connection:
    """From when to when a client was connected."""

    since: float
    wait_until: float = inf


def _waited(connections: list[Connection], stored_at: float, seen_at: float) -> float:
    """How long a client was connected and did not have what was stored: on one connection, at most."""
    waits = [seen_at - stored_at] if not connections else []
    for connection in reversed(connections):
        if connection.wait_until <= stored_at:
            break
        waits.append(min(connection.wait_until, seen_at) - max(connection.since, stored_at))
    return max(waits, default=0)


def _known_since(
    here: list[JSON], room: Stored, wanted: list[Wish], exact_clock: bool
) -> dict[int, float]:
    """Since when each change is so: by the server's clock, or else by the first who knew."""
    edits = {wish.number for wish in wanted if wish.do == "edit"}
    since: dict[int, float] = {}
    for line, row in _rows(
        here
    ):  # a deletion says only in the database when it happened, a reaction nowhere
        says_when = row.rev == row.seq or (row.rev in edits and not row.deleted)
        known = row.since if exact_clock and says_when else line["at"]
        since[row.rev] = min(since.get(row.rev, known), known)
    if exact_clock:
        since.update({row.rev: row.since for row in room.rows if row.deleted})
    return since


def _measure_absences(verdict: Verdict, here: list[JSON]) -> float:
    """How long each was without a connection; when the last came back."""
    down: dict[str, float] = {}
    back = 0.0
    for line in of(here, "down", "up"):
        if line["what"] == "down":
            down.setdefault(line["who"], line["at"])
        elif (since := down.pop(line["who"], None)) is not None:
            away = verdict.stock_away if is_stock(line["who"]) else verdict.away
            away.append((since, line["at"] - since))
            back = line["at"]
    for who in down:
        verdict.found("I3 lost: never came back", who)
    return back


def taken_back(lines: list[JSON], rooms: dict[str, Stored]) -> list[str]:
    """What was said once, and is not what any message says now."""
    if any(of(lines, "restored")):
        return []  # what a backup brought back, and what it did not, nobody has taken back
    texts = {
        wish.message
        for wish in wishes(lines).values()
        if wish.do in ("chat", "edit") and wish.number is not None
    }
    return sorted(texts - {row.message for room in rooms.values() for row in room.rows})
