"""The benchmark: the load generator, its checks, the tables, and pairs of runs."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock, Thread

import pytest

from bench.__main__ import MARKS, Plan, tables, turns
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
    ALL_PEERS,
    BEFORE,
    CONFAB,
    CONTROL,
    ENGINE_OFF,
    GEVENT,
    ON_GEVENT,
    PEERS,
    PEERS_WITH_POSTGRES,
    REFERENCE,
    THIS_TREE,
    TUNED,
    WITHOUT_ENGINE,
    limits_from_environment,
)
from bench.plot import plot
from bench.report import Results, number_table, ratio_table, slower_list, target_rows
from bench.scenarios import SCENARIOS
from chat.text.skeletons import skeleton
from config import Config, Rate
from tests.servers import ROOT

PAGE = ROOT / "docs" / "performance.md"
BENCH_PAGE = ROOT / "bench" / "README.md"
STACKS = ("plain", ENGINE_OFF, GEVENT, "channels")
STACK_SCENARIOS = ["W1000", "B", "BL"]


def run(peer: str, scenario: str, cost: float, lost: int = 0, repeat: int = 0) -> Run:
    """Return a run with this cost and plausible other numbers."""
    return Run(
        peer=peer,
        scenario=scenario,
        cost=cost,
        redis_cost=0.0,
        postgres_cost=0.0,
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


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_messages_are_stored_in_postgresql_with_its_cost_in_a_column_of_its_own() -> None:
    environment = os.environ | {"QUICK": "1", "DATABASE": "postgresql"}
    command = [sys.executable, "-m", "bench"]
    measured = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)

    assert measured.returncode == 0, measured.stdout + measured.stderr
    assert "| of Redis | of PostgreSQL |" in measured.stdout
    [row] = re.findall(
        r"^\| W50 \| Confab \| ([\d.]+) .*\|  \| ([\d.,]+) \| .* \| 0 / 0 / 0 \|$",
        measured.stdout,
        re.MULTILINE,
    )
    assert all(float(cost.replace(",", "")) > 0 for cost in row)
    assert "sent, " not in measured.stdout  # as many messages are stored as were sent


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"DATABASE": "mysql"}, "DATABASE=mysql is unknown: choose from sqlite,postgresql."),
        (
            {"DATABASE": "postgresql", "PEERS": "confab,channels"},
            "PEERS=channels is unknown: choose from confab,node,node-tuned.",
        ),
    ],
)
def test_a_database_that_cannot_be_measured_is_refused(
    settings: dict[str, str], sentence: str
) -> None:
    measured = subprocess.run(
        [sys.executable, "-m", "bench"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | settings,
    )

    assert measured.returncode == 1
    assert measured.stderr.strip() == sentence


def test_the_tables_list_only_the_servers_that_can_use_the_database() -> None:
    results = Results([run(peer, "B", 1.0) for peer in PEERS], PEERS_WITH_POSTGRES.values())

    titles = [cell.strip() for cell in ratio_table(results).splitlines()[0].split("|")[1:-1]]
    assert titles == ["", "Target", "Confab", "Node, tuned"]
    assert "of PostgreSQL" not in number_table(results)


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(600)  # the packages of Django Channels may have to be installed first
def test_other_stacks_deliver_every_message_of_a_small_room() -> None:
    environment = os.environ | {"QUICK": "1", "PEERS": ",".join(STACKS)}
    command = [sys.executable, "-m", "bench"]
    measured = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)

    # A run in which nothing is delivered in time, on a busy machine, is repeated.
    row = r"^\| W50 \| (.+?) \| [\d.,]+ .* \| (\d+ / \d+ / \d+) \|$"
    rows = re.findall(row, measured.stdout, re.MULTILINE)
    assert rows == [(PEERS[name].title, "0 / 0 / 0") for name in STACKS], (
        measured.stdout + measured.stderr
    )
    assert "sent, " not in measured.stdout  # as many messages are stored as were sent


def test_the_variants_of_confab_differ_in_their_engine_and_their_worker_class(
    tmp_path: Path,
) -> None:
    default = THIS_TREE.server(tmp_path, tmp_path, "0")
    without_engine = WITHOUT_ENGINE.server(tmp_path, tmp_path, "0")
    on_gevent = ON_GEVENT.server(tmp_path, tmp_path, "0")

    assert without_engine.environment["ENGINE"] == "off"
    assert default.environment.get("ENGINE") == os.environ.get("ENGINE")
    worker_classes = [
        server.words[server.words.index("-k") + 1]
        for server in (default, without_engine, on_gevent)
    ]
    assert worker_classes == ["eventlet", "eventlet", "gevent"]


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
    """A chat server with just enough Socket.IO, which has one fault.

    Broadcasts are sent when `batch` of them are waiting.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fault: str, batch: int = 1) -> None:
        self.fault = fault
        self.batch = batch
        self.members: list[Connection] = []
        self.waiting: list[dict[str, object]] = []
        self.handles: list[str] = []
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
            number, _, rest = packet.removeprefix("42").partition("[")
            event, payload = json.loads(f"[{rest}")
            if event == "chat" and self.server.fault == "refused":
                self.send(f'43{number}[{{"ok":false,"code":"name_taken"}}]')
                return
            self.send(f'43{number}[{{"ok":true}}]')
            if event == "chat":
                self.post(payload)

    def post(self, message: dict[str, object]) -> None:
        """Broadcast all waiting messages if there are enough of them."""
        self.server.handles.append(str(message["handle"]))
        self.server.waiting.append(message)
        if len(self.server.waiting) < self.server.batch:
            return
        for waiting in self.server.waiting:
            self.broadcast(waiting)
        self.server.waiting.clear()

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


def generate_load(server: FaultyServer, **options: float) -> "subprocess.CompletedProcess[str]":
    """Run the load generator with three people who all send, unless the options say otherwise."""
    build()
    settings = {"people": 3, "senders": 3, "outstanding": 3, "seconds": 0.1, "drain": 3} | options
    words = [f"--{name}={value}" for name, value in settings.items()]
    words.append(f"--port={server.server_address[1]}")
    with server:
        Thread(target=server.serve_forever, daemon=True).start()
        load = subprocess.run([LOAD_PROGRAM, *words], capture_output=True, text=True, check=False)
        server.shutdown()
    return load


def report_of(load: "subprocess.CompletedProcess[str]") -> dict[str, float]:
    """Return what the load generator counted. Fails when it did not complete."""
    assert load.returncode == 0, load.stderr
    report: dict[str, float] = json.loads(load.stdout.splitlines()[-1])
    return report


@pytest.mark.servers
@pytest.mark.parametrize("fault", ["none", *COUNTERS])
def test_the_load_generator_detects_wrong_deliveries(fault: str) -> None:
    report = report_of(generate_load(FaultyServer(fault)))

    assert report["said"] >= 3
    detected = {name: report[name] for name in COUNTERS if report[name]}
    assert detected == ({} if fault == "none" else {fault: 1})


@pytest.mark.servers
def test_a_refused_message_ends_the_run_with_its_answer() -> None:
    load = generate_load(FaultyServer("refused"))

    assert load.returncode == 2
    assert "a message was refused: " in load.stderr
    assert "name_taken" in load.stderr
    assert "{" not in load.stdout


@pytest.mark.servers
def test_every_sender_has_a_name_that_looks_like_no_other() -> None:
    server = FaultyServer("none")
    people = 40
    # At a fixed rate, everyone sends in turn.
    report_of(generate_load(server, people=people, senders=people, rate=200, seconds=1))

    messages_of = Counter(server.handles)
    assert len(messages_of) == people
    assert len({skeleton(handle) for handle in messages_of}) == people


@pytest.mark.servers
def test_at_a_fixed_rate_latency_begins_when_a_message_was_due() -> None:
    batch, rate = 10, 100
    server = FaultyServer("none", batch)
    report = report_of(generate_load(server, rate=rate, seconds=1, drain=0.1, **{"warm-up": 0}))

    # Senders do not wait: a batch becomes complete, and its first message is the oldest.
    assert report["measured"] >= 3 * batch
    assert report["p99"] >= (batch - 1) / rate * 1000 - 1
    assert report["p50"] >= (batch / 2 - 1) / rate * 1000 - 1


def test_costs_are_ratios_to_node_and_missed_targets_are_marked() -> None:
    runs = [run(CONFAB, "W1000", cost) for cost in (8.0, 9.0, 30.0)]
    runs.append(run(REFERENCE, "W1000", 10.0))

    table = ratio_table(Results(runs))

    assert re.search(r"^\| W1000: .* \| 0\.80 \| 0\.90 \(missed\) \|", table, re.MULTILINE)


def test_metrics_in_which_confab_is_slower_are_listed() -> None:
    results = Results([run(CONFAB, "B", 15.0), run(REFERENCE, "B", 10.0)])

    description = SCENARIOS["B"].description
    assert slower_list(results) == f"- B: {description}: 1.50 times Node's."


def test_scenarios_with_bounds_of_their_own_are_compared_with_tuned_node() -> None:
    runs = [run(CONFAB, "BL", 15.0), run(REFERENCE, "BL", 12.0), run(TUNED, "BL", 9.0)]
    runs[0].p99, runs[2].p99 = 23.5, 20.0

    table = ratio_table(Results(runs))

    cells = [
        r"BL: .* \| 1\.40 \| 1\.25 \| 0\.75",
        r"BL, with tuned Node as 1 \| 1\.60 \| 1\.67 \(missed\) \| 1\.00",
        r"p99 latency in BL, with tuned Node as 1 \| 3 ms more \| 1\.18 \(missed\) \| 1\.00",
    ]
    for row in cells:
        assert re.search(rf"^\| {row} \|", table, re.MULTILINE), row
    slower = slower_list(Results(runs))
    assert "- BL, with tuned Node as 1: 1.67 times tuned Node's." in slower
    runs[0].p99 = 22.9
    assert "1.15 |" in ratio_table(Results(runs))


@pytest.mark.parametrize(
    ("name", "tuned_bound", "bound"),
    [("BL", 1.6, 1.4), ("BQ", 1.7, 1.5), ("B", 2.0, 1.3), ("A100", 0.5, 0.45)],
)
def test_a_bound_is_missed_when_either_ratio_is_above_its_own(
    name: str, tuned_bound: float, bound: float
) -> None:
    untuned_title = f"{name}: {SCENARIOS[name].description}"
    title = f"{name}, with tuned Node as 1"

    def missed(cost: float, node: float, tuned: float) -> list[str]:
        costs = {CONFAB: cost, REFERENCE: node, TUNED: tuned}
        results = Results([run(peer, name, cost) for peer, cost in costs.items()])
        rows = [row for row in target_rows(results) if row.title in (untuned_title, title)]
        assert [row.title for row in rows] == [untuned_title, title]
        return [row.title for row in rows if not row.is_met]

    assert missed(99.0, 100.0 / bound, 100.0 / tuned_bound) == []
    assert missed(99.0, 100.0 / bound, 98.0 / tuned_bound) == [title]
    assert missed(99.0, 98.0 / bound, 100.0 / tuned_bound) == [untuned_title]


def test_connecting_is_compared_with_tuned_node_too() -> None:
    runs = [run(peer, "W1000", 10.0) for peer in (CONFAB, REFERENCE, TUNED)]
    runs[0].connect_ms, runs[2].connect_ms = 1.0, 0.8

    table = ratio_table(Results(runs))

    assert re.search(r"^\| connect and join \| 1\.00 \| 1\.00 \| 0\.80 \|", table, re.MULTILINE)
    row = r"^\| connect and join, with tuned Node as 1 \| 1\.20 \| 1\.25 \(missed\) \| 1\.00 \|"
    assert re.search(row, table, re.MULTILINE)


@pytest.mark.parametrize("name", ["BL", "BQ"])
def test_at_everyday_load_every_room_is_used_before_the_measurement(name: str) -> None:
    scenario = SCENARIOS[name]

    assert scenario.rate * scenario.warm_up_seconds >= scenario.rooms
    assert scenario.people == scenario.senders == 5 * scenario.rooms
    assert scenario.per_message


def test_a_lost_message_is_a_failed_check() -> None:
    assert failed_checks(run(CONFAB, "B", 1.0, lost=2)) == ["B: 2 lost"]
    assert failed_checks(run(CONFAB, "B", 1.0)) == []


@pytest.mark.parametrize("peer", [AGAIN, ENGINE_OFF, GEVENT])
def test_this_tree_is_checked_however_it_runs(peer: str) -> None:
    assert failed_checks(run(peer, "B", 1.0, lost=2)) == ["B: 2 lost"]


@pytest.mark.parametrize("peer", [BEFORE, REFERENCE, "channels"])
def test_other_commits_and_other_servers_are_not_checked(peer: str) -> None:
    assert failed_checks(run(peer, "B", 1.0, lost=2)) == []


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


@pytest.mark.parametrize("percentile", ["p50", "p99"])
def test_latencies_are_compared_in_pairs(percentile: str) -> None:
    results = pairs_of((10.0, 10.0, 10.0))
    setattr(results.runs[0], percentile, 30.0)
    setattr(results.runs[1], percentile, 20.0)
    setattr(results.runs[2], percentile, 25.0)

    row = f"| B | {percentile} latency | 1 | 1.500 | 1.200 | 50.0 % worse: beyond 5 % + 20.0 % |"
    assert row in table_against_before(results)
    assert "| 1.200 |" in table_against_itself(results)


def test_without_another_commit_the_tree_is_compared_only_with_itself() -> None:
    results = pairs_of((10.0, 5.0, 8.0))
    results.runs = [each for each in results.runs if each.peer != BEFORE]

    assert "| B | 1.250 | 1.000 | 1.000 | 1.000 | 1.000 |" in table_against_itself(results)
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


@pytest.mark.parametrize("name", STACKS)
def test_other_stacks_run_only_some_scenarios(name: str) -> None:
    to_do = turns(list(ALL_PEERS.values()), list(SCENARIOS.values()), 2)

    run_by_stack = [turn.scenario.name for turn in to_do if turn.peer.name == name]
    assert run_by_stack == STACK_SCENARIOS * 2
    for scenario in SCENARIOS:
        peers = {turn.peer.name for turn in to_do if turn.scenario.name == scenario}
        left_out = set() if scenario in STACK_SCENARIOS else set(STACKS)
        assert peers == set(ALL_PEERS) - left_out


def test_what_a_server_does_not_run_takes_no_time() -> None:
    with_stacks = Plan([PEERS[CONFAB], PEERS["channels"]], [SCENARIOS["BQ"]], 1)

    assert with_stacks.minutes() == Plan([PEERS[CONFAB]], [SCENARIOS["BQ"]], 1).minutes() > 0


@pytest.mark.parametrize("name", ALL_PEERS)
def test_every_server_is_documented(name: str) -> None:
    assert f"`{name}`" in BENCH_PAGE.read_text()
    if name in PEERS:
        assert re.search(rf"^\| {PEERS[name].title} \|", PAGE.read_text(), re.MULTILINE)


def test_the_chart_has_a_dot_for_every_peer_and_a_label() -> None:
    chart = plot(Results([run(peer, name, 5.0) for peer in PEERS for name in SCENARIOS]))

    assert chart.count("<circle") == len(PEERS) * (len(SCENARIOS) + 1)
    assert "prefers-color-scheme: dark" in chart
    assert 'aria-label="' in chart
    for peer in PEERS:
        # In light and in dark colors.
        assert chart.count(f".{peer} {{ fill: ") == 2


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_documented(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", PAGE.read_text(), re.MULTILINE)


def test_the_documentation_has_a_place_for_the_tables_of_each_database() -> None:
    page = PAGE.read_text()
    places = [page.find(mark) for marks in MARKS.values() for mark in marks]
    assert places == sorted(places)
    assert all(page.count(mark) == 1 for marks in MARKS.values() for mark in marks)


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
