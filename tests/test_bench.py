"""The benchmark works: it is built, people talk, nothing is lost, and the tables say what came of it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock, Thread

import pytest

from bench.__main__ import MARKS, tables, turns
from bench.measure import BUILT, Run, build, complaints
from bench.pairs import Comparison, against_before, against_itself, compare, verdict
from bench.peers import AGAIN, BEFORE, CONFAB, CONTROL, PEERS, REFERENCE, THIS_TREE
from bench.plot import plot
from bench.report import Results, ratios, slower
from bench.scenarios import SCENARIOS
from tests.servers import ROOT

PAGE = ROOT / "docs" / "performance.md"


def run(peer: str, scenario: str, cost: float, **else_: int) -> Run:
    checks = {"said": 9, "lost": 0, "doubled": 0, "disordered": 0, "repeat": 0} | else_
    return Run(
        peer, scenario, cost, 0.0, 1.0, 20.0, 50.0, 50_000.0, 10.0, 20.0, 0.5, wrong=[], **checks
    )


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_small_room_is_measured_and_nobody_misses_a_message() -> None:
    quick = os.environ | {"QUICK": "1"}
    measured = subprocess.run(
        [sys.executable, "-m", "bench"], cwd=ROOT, capture_output=True, text=True, env=quick
    )

    assert measured.returncode == 0, measured.stdout + measured.stderr
    [row] = re.findall(
        r"^\| W50 \| Confab \| ([\d.]+) .*\| (\d+) / (\d+) / (\d+) \|$",
        measured.stdout,
        re.MULTILINE,
    )
    assert float(row[0]) > 0
    assert row[1:] == ("0", "0", "0")


FAULTS: dict[str, Callable[[int, int], list[int]]] = {
    "nothing": lambda rev, _person: [rev],
    "lost": lambda rev, person: [] if (rev, person) == (3, 2) else [rev],
    "doubled": lambda rev, person: [rev, rev] if (rev, person) == (3, 2) else [rev],
    "disordered": lambda rev, person: [1] if (rev, person) == (3, 2) else [rev],
}


class Liar(ThreadingTCPServer):
    """A chat that speaks just enough Socket.IO, and tells some person wrongly what was said."""

    daemon_threads = True

    def __init__(self, fault: str) -> None:
        self.revs = FAULTS[fault]
        self.people: list[Wire] = []
        self.rev = 0
        self.one_at_a_time = Lock()
        super().__init__(("127.0.0.1", 0), Wire)


class Wire(StreamRequestHandler):
    """One person's WebSocket."""

    server: Liar

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        self.tell('0{"sid":"somebody"}')
        while head := self.rfile.read(2):
            size = head[1] & 127
            size = int.from_bytes(self.rfile.read(2)) if size == 126 else size
            mask = self.rfile.read(4)
            self.hear(
                bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(size))).decode()
            )

    def hear(self, said: str) -> None:
        with self.server.one_at_a_time:
            if said == "40":
                self.server.people.append(self)
                self.tell('40{"sid":"somebody"}')
                return
            number, _, rest = said.removeprefix("42").partition("[")
            self.tell(f'43{number}[{{"ok":true}}]')
            if rest.startswith('"chat"'):
                self.server.rev += 1
                for index, person in enumerate(self.server.people):
                    for rev in self.server.revs(self.server.rev, index):
                        told = {"rev": rev} | json.loads(f"[{rest}")[1]
                        person.tell("42" + json.dumps(["chat", told], separators=(",", ":")))

    def tell(self, text: str) -> None:
        size = bytes([len(text)]) if len(text) < 126 else b"\x7e" + len(text).to_bytes(2)
        self.wfile.write(b"\x81" + size + text.encode())


@pytest.mark.servers
@pytest.mark.parametrize("fault", FAULTS)
def test_the_people_notice_what_is_wrong(fault: str) -> None:
    build()
    with Liar(fault) as chat:
        Thread(target=chat.serve_forever, daemon=True).start()
        plan = {
            "port": chat.server_address[1],
            "people": 3,
            "senders": 3,
            "outstanding": 3,
            "seconds": 0.1,
            "drain": 3,
        }
        words = [f"--{name}={value}" for name, value in plan.items()]
        people = subprocess.run([BUILT, *words], capture_output=True, text=True, check=True)
        chat.shutdown()

    report = json.loads(people.stdout.splitlines()[-1])
    assert report["said"] >= 3
    assert {name: report[name] for name in FAULTS if report.get(name)} == (
        {} if fault == "nothing" else {fault: 1}
    )


def test_costs_are_told_as_parts_of_nodes_and_a_missed_bound_is_called_one() -> None:
    runs = [run(CONFAB, "W1000", cost) for cost in (8.0, 9.0, 30.0)] + [
        run(REFERENCE, "W1000", 10.0)
    ]

    table = ratios(Results(runs))

    assert re.search(r"^\| W1000: .* \| 0\.80 \| 0\.90 \(missed\) \|", table, re.MULTILINE)


def test_where_confab_is_slower_is_said() -> None:
    told = slower(Results([run(CONFAB, "B", 15.0), run(REFERENCE, "B", 10.0)]))

    assert told == "- B: 200 rooms of 5, everybody talks: 1.50 of Node's."


def test_a_lost_message_is_a_complaint() -> None:
    assert complaints(run(CONFAB, "B", 1.0, lost=2)) == ["B: 2 lost"]
    assert complaints(run(CONFAB, "B", 1.0)) == []


def test_confab_is_held_to_its_promise_when_it_is_measured_beside_itself_too() -> None:
    assert complaints(run(AGAIN, "B", 1.0, lost=2)) == ["B: 2 lost"]
    assert complaints(run(BEFORE, "B", 1.0, lost=2)) == []


def pairs_of(*costs: tuple[float, float, float]) -> Results:
    """Runs of this tree, of another commit and of this tree again, repeat after repeat."""
    before = THIS_TREE.peer(BEFORE, "Confab at 1234567")
    runs = [
        run(peer, "B", cost, repeat=repeat)
        for repeat, three in enumerate(costs)
        for peer, cost in zip((CONFAB, BEFORE, AGAIN), three, strict=True)
    ]
    return Results(runs, [PEERS[CONFAB], before, CONTROL])


def test_a_pair_is_two_runs_of_one_repeat_so_a_slow_minute_changes_no_ratio() -> None:
    results = pairs_of((10.0, 5.0, 10.0), (900.0, 450.0, 900.0), (11.0, 5.5, 11.0))
    results.runs.reverse()

    compared = compare(results, CONFAB, BEFORE, "B", "cost")

    assert compared == Comparison((2.0, 2.0, 2.0))


def test_a_repeat_of_which_one_run_failed_is_no_pair() -> None:
    results = pairs_of((10.0, 5.0, 10.0), (12.0, 4.0, 12.0))
    results.runs = [each for each in results.runs if (each.peer, each.repeat) != (BEFORE, 0)]

    assert compare(results, CONFAB, BEFORE, "B", "cost") == Comparison((3.0,))
    assert compare(results, CONFAB, BEFORE, "W1000", "cost") is None


def test_a_run_in_which_memory_did_not_grow_is_no_pair() -> None:
    results = pairs_of((10.0, 5.0, 10.0), (12.0, 4.0, 12.0))
    results.runs[1].idle_kib = -0.5

    compared = compare(results, CONFAB, BEFORE, "B", "idle_kib")

    assert compared == Comparison((1.0,))


@pytest.mark.parametrize(
    ("now_before", "now_now", "said"),
    [
        (1.02, 1.0, "2.0 % worse: within 5 % + 0.0 %"),
        (1.07, 1.0, "7.0 % worse: beyond 5 % + 0.0 %"),
        (1.07, 1.03, "7.0 % worse: within 5 % + 3.0 %"),
        (1.07, 0.97, "7.0 % worse: within 5 % + 3.0 %"),
        (0.90, 1.0, "10.0 % better: within 5 % + 0.0 %"),
    ],
)
def test_the_bound_is_wider_by_the_spread_of_the_tree_against_itself(
    now_before: float, now_now: float, said: str
) -> None:
    assert verdict(Comparison((now_before,)), Comparison((now_now,))) == said


def test_the_table_of_pairs_has_the_median_and_the_quartiles_of_both_figures() -> None:
    results = pairs_of(*((10.0 + number, 10.0, 10.0 + number) for number in range(5)))

    row = "| B | CPU | 5 | 1.200 (1.050 to 1.350) | 1.000 (1.000 to 1.000) | 20.0 % worse: beyond 5 % + 0.0 % |"
    assert row in against_before(results)
    assert row in tables(results, 5)
    assert "before is Confab at 1234567" in tables(results, 5)


def test_without_another_commit_the_tree_is_compared_with_itself_alone() -> None:
    results = pairs_of((10.0, 5.0, 8.0))
    results.runs = [each for each in results.runs if each.peer != BEFORE]

    assert "| B | 1.250 | 1.000 | 1.000 |" in against_itself(results)
    assert against_itself(results) in tables(results, 1)
    assert "Verdict" not in tables(results, 1)


@pytest.mark.parametrize("number_of_peers", [3, 5])
def test_of_each_two_peers_each_is_first_as_often_as_the_other(number_of_peers: int) -> None:
    peers = [*PEERS.values(), CONTROL][:number_of_peers]
    reps = 2 * number_of_peers
    to_do = turns(peers, [SCENARIOS["B"]], reps)

    for one, other in combinations(peers, 2):
        order = [turn.peer for turn in to_do if turn.peer in (one, other)]
        assert [each.repeat for each in to_do if each.peer == one] == list(range(reps))
        assert order[::2].count(one) == order[::2].count(other) == number_of_peers


def test_the_picture_has_a_dot_for_every_peer_and_names_what_it_shows() -> None:
    drawn = plot(Results([run(peer, name, 5.0) for peer in PEERS for name in SCENARIOS]))

    assert drawn.count("<circle") == len(PEERS) * (len(SCENARIOS) + 1)
    assert "prefers-color-scheme: dark" in drawn
    assert 'aria-label="' in drawn


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_page_about_speed_explains_every_scenario(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", PAGE.read_text(), re.MULTILINE)


def test_the_page_about_speed_has_a_place_for_the_tables() -> None:
    assert [PAGE.read_text().count(mark) for mark in MARKS] == [1, 1]


def test_the_lock_of_the_other_chat_names_no_registry() -> None:
    lock = (ROOT / "bench" / "peers" / "node" / "package-lock.json").read_text()

    assert '"integrity"' in lock
    assert '"resolved"' not in lock
