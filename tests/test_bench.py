"""The benchmark works: it is built, people talk, nothing is lost, and the tables say what came of it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock, Thread

import pytest

from bench.__main__ import MARKS
from bench.measure import BUILT, Run, build, complaints
from bench.peers import CONFAB, PEERS, REFERENCE
from bench.plot import plot
from bench.report import Results, ratios, slower
from bench.scenarios import SCENARIOS
from tests.servers import HERE

PAGE = HERE / "docs" / "performance.md"


def run(peer: str, scenario: str, cost: float, **else_: int) -> Run:
    checks = {"said": 9, "lost": 0, "doubled": 0, "disordered": 0} | else_
    return Run(peer, scenario, cost, 0.0, 1.0, 20.0, 50.0, 50_000.0, 10.0, 20.0, 0.5, wrong=[], **checks)


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_small_room_is_measured_and_nobody_misses_a_message() -> None:
    quick = os.environ | {"QUICK": "1"}
    measured = subprocess.run([sys.executable, "-m", "bench"], cwd=HERE, capture_output=True, text=True, env=quick)

    assert measured.returncode == 0, measured.stdout + measured.stderr
    [row] = re.findall(r"^\| W50 \| Confab \| ([\d.]+) .*\| (\d+) / (\d+) / (\d+) \|$", measured.stdout, re.MULTILINE)
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
            self.hear(bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(size))).decode())

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
        plan = {"port": chat.server_address[1], "people": 3, "senders": 3, "outstanding": 3, "seconds": 0.1, "drain": 3}
        words = [f"--{name}={value}" for name, value in plan.items()]
        people = subprocess.run([BUILT, *words], capture_output=True, text=True, check=True)
        chat.shutdown()

    report = json.loads(people.stdout.splitlines()[-1])
    assert report["said"] >= 3
    assert {name: report[name] for name in FAULTS if report.get(name)} == ({} if fault == "nothing" else {fault: 1})


def test_costs_are_told_as_parts_of_nodes_and_a_missed_bound_is_called_one() -> None:
    runs = [run(CONFAB, "W1000", cost) for cost in (8.0, 9.0, 30.0)] + [run(REFERENCE, "W1000", 10.0)]

    table = ratios(Results(runs))

    assert re.search(r"^\| W1000: .* \| 0\.80 \| 0\.90 \(missed\) \|", table, re.MULTILINE)


def test_where_confab_is_slower_is_said() -> None:
    told = slower(Results([run(CONFAB, "B", 15.0), run(REFERENCE, "B", 10.0)]))

    assert told == "- B: 200 rooms of 5, everybody talks: 1.50 of Node's."


def test_a_lost_message_is_a_complaint() -> None:
    assert complaints(run(CONFAB, "B", 1.0, lost=2)) == ["B: 2 lost"]
    assert complaints(run(CONFAB, "B", 1.0)) == []


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
    lock = (HERE / "bench" / "peers" / "node" / "package-lock.json").read_text()

    assert '"integrity"' in lock
    assert '"resolved"' not in lock
