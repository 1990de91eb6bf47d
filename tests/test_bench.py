"""The benchmark works: it is built, people talk, nothing is lost, and the tables say what came of it."""

import os
import re
import subprocess
import sys

import pytest

from bench.measure import Run, complaints
from bench.peers import CONFAB, PEERS, REFERENCE
from bench.plot import plot
from bench.report import Results, ratios, slower
from bench.scenarios import SCENARIOS
from tests.servers import HERE

PAGE = HERE / "docs" / "performance.md"


def run(peer: str, scenario: str, cost: float, **else_: int) -> Run:
    checks = {"lost": 0, "doubled": 0, "disordered": 0} | else_
    return Run(peer, scenario, cost, 0.0, 1.0, 20.0, 50.0, 50_000.0, 10.0, 20.0, 0.5, wrong=[], **checks)


@pytest.mark.servers
@pytest.mark.slow
def test_a_small_room_is_measured_and_nobody_misses_a_message() -> None:
    quick = os.environ | {"QUICK": "1"}
    measured = subprocess.run([sys.executable, "-m", "bench"], cwd=HERE, capture_output=True, text=True, env=quick)

    assert measured.returncode == 0, measured.stdout + measured.stderr
    [row] = re.findall(r"^\| W50 \| Confab \| ([\d.]+) .*\| (\d+) / (\d+) / (\d+) \|$", measured.stdout, re.MULTILINE)
    assert float(row[0]) > 0
    assert row[1:] == ("0", "0", "0")


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


def test_the_lock_of_the_other_chat_names_no_registry() -> None:
    lock = (HERE / "bench" / "peers" / "node" / "package-lock.json").read_text()

    assert '"integrity"' in lock
    assert '"resolved"' not in lock
