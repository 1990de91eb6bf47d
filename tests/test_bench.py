"""The benchmark: the load generator, its checks, the tables, and pairs of runs."""

import json
import os
import re
import subprocess
import sys
from itertools import combinations
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock, Thread

import pytest

from bench.__main__ import MARKS, tables, turns
from bench.measure import LOAD_PROGRAM, Run, build, failed_checks
from bench.pairs import (
    Comparison,
    compare,
    table_against_before,
    table_against_itself,
    verdict,
)
from bench.peers import (
    AGAIN,
    BEFORE,
    CONFAB,
    CONTROL,
    PEERS,
    REFERENCE,
    THIS_TREE,
    limits_from_environment,
)
from bench.plot import plot
from bench.report import Results, ratio_table, slower_list
from bench.scenarios import SCENARIOS
from config import Config, Rate
from tests.servers import ROOT

PAGE = ROOT / "docs" / "performance.md"


def run(peer: str, scenario: str, cost: float, lost: int = 0, repeat: int = 0) -> Run:
    """Return a run with this cost and plausible other numbers."""
    return Run(
        peer=peer,
        scenario=scenario,
        cost=cost,
        redis_cost=0.0,
        connect_ms=1.0,
        idle_kib=20.0,
        messages_per_second=50.0,
        deliveries_per_second=50_000.0,
        p50=10.0,
        p99=20.0,
        load_cpu=0.5,
        sent=9,
        lost=lost,
        duplicated=0,
        reordered=0,
        problems=[],
        repeat=repeat,
    )


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_small_room_is_measured_and_no_message_is_lost() -> None:
    environment = os.environ | {"QUICK": "1"}
    command = [sys.executable, "-m", "bench"]
    measured = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)

    assert measured.returncode == 0, measured.stdout + measured.stderr
    [row] = re.findall(
        r"^\| W50 \| Confab \| ([\d.]+) .*\| (\d+) / (\d+) / (\d+) \|$",
        measured.stdout,
        re.MULTILINE,
    )
    assert float(row[0]) > 0
    assert row[1:] == ("0", "0", "0")


def broadcasts_of(fault: str, rev: int, receiver: int) -> list[int]:
    """Return the numbers that a faulty server sends to a receiver instead of `rev`."""
    if (rev, receiver) != (3, 2):
        return [rev]
    faulty: dict[str, list[int]] = {
        "none": [rev],
        "lost": [],
        "doubled": [rev, rev],
        "disordered": [1],
    }
    return faulty[fault]


class FaultyServer(ThreadingTCPServer):
    """A chat server with just enough Socket.IO, which sends one broadcast wrongly."""

    daemon_threads = True

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.members: list[Connection] = []
        self.rev = 0
        self.lock = Lock()
        super().__init__(("127.0.0.1", 0), Connection)


class Connection(StreamRequestHandler):
    """The WebSocket of one client."""

    server: FaultyServer

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        self.send('0{"sid":"somebody"}')
        while head := self.rfile.read(2):
            size = head[1] & 127
            if size == 126:
                size = int.from_bytes(self.rfile.read(2))
            mask = self.rfile.read(4)
            masked = self.rfile.read(size)
            unmasked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
            self.on_packet(unmasked.decode())

    def on_packet(self, packet: str) -> None:
        """Handle one Engine.IO packet."""
        with self.server.lock:
            if packet == "40":
                self.server.members.append(self)
                self.send('40{"sid":"somebody"}')
                return
            number, _, event = packet.removeprefix("42").partition("[")
            self.send(f'43{number}[{{"ok":true}}]')
            if event.startswith('"chat"'):
                self.broadcast(json.loads(f"[{event}")[1])

    def broadcast(self, message: dict[str, object]) -> None:
        """Send a message to all clients, with the fault."""
        self.server.rev += 1
        for index, member in enumerate(self.server.members):
            for rev in broadcasts_of(self.server.fault, self.server.rev, index):
                payload = {"rev": rev} | message
                member.send("42" + json.dumps(["chat", payload], separators=(",", ":")))

    def send(self, text: str) -> None:
        """Send one text frame."""
        if len(text) < 126:
            size = bytes([len(text)])
        else:
            size = b"\x7e" + len(text).to_bytes(2)
        self.wfile.write(b"\x81" + size + text.encode())


COUNTERS = ("lost", "doubled", "disordered")


@pytest.mark.servers
@pytest.mark.parametrize("fault", ["none", *COUNTERS])
def test_the_load_generator_detects_wrong_deliveries(fault: str) -> None:
    build()
    with FaultyServer(fault) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        options = {
            "port": server.server_address[1],
            "people": 3,
            "senders": 3,
            "outstanding": 3,
            "seconds": 0.1,
            "drain": 3,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        load = subprocess.run([LOAD_PROGRAM, *words], capture_output=True, text=True, check=True)
        server.shutdown()

    report = json.loads(load.stdout.splitlines()[-1])
    assert report["said"] >= 3
    detected = {name: report[name] for name in COUNTERS if report[name]}
    assert detected == ({} if fault == "none" else {fault: 1})


def test_costs_are_ratios_to_node_and_missed_targets_are_marked() -> None:
    runs = [run(CONFAB, "W1000", cost) for cost in (8.0, 9.0, 30.0)]
    runs.append(run(REFERENCE, "W1000", 10.0))

    table = ratio_table(Results(runs))

    assert re.search(r"^\| W1000: .* \| 0\.80 \| 0\.90 \(missed\) \|", table, re.MULTILINE)


def test_metrics_in_which_confab_is_slower_are_listed() -> None:
    results = Results([run(CONFAB, "B", 15.0), run(REFERENCE, "B", 10.0)])

    description = SCENARIOS["B"].description
    assert slower_list(results) == f"- B: {description}: 1.50 times Node's."


def test_a_lost_message_is_a_failed_check() -> None:
    assert failed_checks(run(CONFAB, "B", 1.0, lost=2)) == ["B: 2 lost"]
    assert failed_checks(run(CONFAB, "B", 1.0)) == []


def test_this_tree_is_checked_in_its_second_role_too_and_other_commits_are_not() -> None:
    assert failed_checks(run(AGAIN, "B", 1.0, lost=2)) == ["B: 2 lost"]
    assert failed_checks(run(BEFORE, "B", 1.0, lost=2)) == []


def pairs_of(*costs: tuple[float, float, float]) -> Results:
    """Return runs of this tree, of another commit and of this tree again, for each repeat."""
    before = THIS_TREE.peer(BEFORE, "Confab at 1234567")
    runs = [
        run(peer, "B", cost, repeat=repeat)
        for repeat, three in enumerate(costs)
        for peer, cost in zip((CONFAB, BEFORE, AGAIN), three, strict=True)
    ]
    return Results(runs, [PEERS[CONFAB], before, CONTROL])


def test_a_pair_consists_of_two_runs_of_one_repeat() -> None:
    results = pairs_of((10.0, 5.0, 10.0), (900.0, 450.0, 900.0), (11.0, 5.5, 11.0))
    results.runs.reverse()

    compared = compare(results, CONFAB, BEFORE, "B", "cost")

    assert compared == Comparison((2.0, 2.0, 2.0))


def test_a_repeat_with_a_failed_run_is_not_a_pair() -> None:
    results = pairs_of((10.0, 5.0, 10.0), (12.0, 4.0, 12.0))
    results.runs = [each for each in results.runs if (each.peer, each.repeat) != (BEFORE, 0)]

    assert compare(results, CONFAB, BEFORE, "B", "cost") == Comparison((3.0,))
    assert compare(results, CONFAB, BEFORE, "W1000", "cost") is None


def test_a_run_in_which_memory_did_not_grow_is_not_a_pair() -> None:
    results = pairs_of((10.0, 5.0, 10.0), (12.0, 4.0, 12.0))
    results.runs[1].idle_kib = -0.5

    compared = compare(results, CONFAB, BEFORE, "B", "idle_kib")

    assert compared == Comparison((1.0,))


@pytest.mark.parametrize(
    ("now_before", "now_now", "expected"),
    [
        (1.02, 1.0, "2.0 % worse: within 5 % + 0.0 %"),
        (1.07, 1.0, "7.0 % worse: beyond 5 % + 0.0 %"),
        (1.07, 1.03, "7.0 % worse: within 5 % + 3.0 %"),
        (1.07, 0.97, "7.0 % worse: within 5 % + 3.0 %"),
        (0.90, 1.0, "10.0 % better: within 5 % + 0.0 %"),
    ],
)
def test_the_spread_of_the_tree_against_itself_is_added_to_the_limit(
    now_before: float, now_now: float, expected: str
) -> None:
    assert verdict(Comparison((now_before,)), Comparison((now_now,))) == expected


def test_the_table_of_pairs_has_the_median_and_quartiles_of_both_figures() -> None:
    results = pairs_of(*((10.0 + number, 10.0, 10.0 + number) for number in range(5)))

    figures = "1.200 (1.050 to 1.350) | 1.000 (1.000 to 1.000)"
    row = f"| B | CPU | 5 | {figures} | 20.0 % worse: beyond 5 % + 0.0 % |"
    assert row in table_against_before(results)
    assert row in tables(results, 5)
    assert "before is Confab at 1234567" in tables(results, 5)


def test_without_another_commit_the_tree_is_compared_only_with_itself() -> None:
    results = pairs_of((10.0, 5.0, 8.0))
    results.runs = [each for each in results.runs if each.peer != BEFORE]

    assert "| B | 1.250 | 1.000 | 1.000 |" in table_against_itself(results)
    assert table_against_itself(results) in tables(results, 1)
    assert "Verdict" not in tables(results, 1)


@pytest.mark.parametrize("number_of_peers", [3, 5])
def test_of_any_two_peers_each_is_first_equally_often(number_of_peers: int) -> None:
    peers = [*PEERS.values(), CONTROL][:number_of_peers]
    repeats = 2 * number_of_peers
    to_do = turns(peers, [SCENARIOS["B"]], repeats)

    for one, other in combinations(peers, 2):
        order = [turn.peer for turn in to_do if turn.peer in (one, other)]
        assert [turn.repeat for turn in to_do if turn.peer == one] == list(range(repeats))
        assert order[::2].count(one) == order[::2].count(other) == number_of_peers


def test_the_chart_has_a_dot_for_every_peer_and_a_label() -> None:
    chart = plot(Results([run(peer, name, 5.0) for peer in PEERS for name in SCENARIOS]))

    assert chart.count("<circle") == len(PEERS) * (len(SCENARIOS) + 1)
    assert "prefers-color-scheme: dark" in chart
    assert 'aria-label="' in chart


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_documented(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", PAGE.read_text(), re.MULTILINE)


def test_the_documentation_has_a_place_for_the_tables() -> None:
    assert [PAGE.read_text().count(mark) for mark in MARKS] == [1, 1]


def test_the_lock_file_of_the_node_server_has_hashes_and_no_addresses() -> None:
    lock = (ROOT / "bench" / "peers" / "node" / "package-lock.json").read_text()

    assert '"integrity"' in lock
    assert '"resolved"' not in lock


def test_raised_limits_are_on_and_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits_from_environment() == {"LIMITS": "off"}
    monkeypatch.setenv("LIMITS", "raised")

    config = Config.from_environment(limits_from_environment())

    assert config.limits
    assert config.limit_person_messages == Rate(1_000_000, 1_000_000)
    assert config.limit_address_connections == 1_000_000
    assert config.forwarded_allow_ips == ""
