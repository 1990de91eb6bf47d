"""`make bench`: the same work for every peer, in turns, then tables and a picture; README.md has the settings."""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from bench import measure, pairs, report
from bench.checkout import CheckoutError, describe, full_hash, python_for, worktree
from bench.measure import Run
from bench.peers import AGAIN, ALL_PEERS, BEFORE, CONFAB, CONTROL, PEERS, Installation, Peer
from bench.plot import plot
from bench.report import Results
from bench.scenarios import QUICK, SCENARIOS, Scenario
from tests.servers import ROOT

RESULTS = measure.BUILT.parent
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
REPS = 5
PAIRS = 15
LONGEST_MINUTES = 40
SECONDS_AROUND_A_RUN = 4  # to start the servers, to connect everybody, to be idle and to stop
RETRIES = 5
T = TypeVar("T")
MARKS = "<!-- from here: written by make bench -->", "<!-- to here: written by make bench -->"


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, flush=True)


def chosen(name: str, among: dict[str, T]) -> list[T]:
    """What a variable names, else everything."""
    names = [each for each in os.environ.get(name, "").split(",") if each]
    if unknown := set(names) - set(among):
        sys.exit(f"{name}={','.join(sorted(unknown))} is not there: choose from {','.join(among)}.")
    return [among[each] for each in names] if names else list(among.values())


@dataclass(frozen=True)
class Plan:
    """What is measured: every peer does every scenario, `reps` times."""

    peers: list[Peer]
    scenarios: list[Scenario]
    reps: int
    whole: bool = False  # everything there is, so that the results are worth publishing
    listed: tuple[Peer, ...] = tuple(PEERS.values())  # in the tables of numbers

    def minutes(self) -> float:
        """The expected time for all of it."""
        round_seconds = sum(
            SECONDS_AROUND_A_RUN + each.warm_up + each.seconds for each in self.scenarios
        )
        return round_seconds * len(self.peers) * self.reps / 60


@dataclass(frozen=True)
class Turn:
    """One run that is to be made."""

    scenario: Scenario
    peer: Peer
    repeat: int


def plan(stack: ExitStack) -> Plan:
    """What the environment variables ask for; what has to be undone at the end is left to the stack."""
    quick = bool(os.environ.get("QUICK"))
    scenarios = [QUICK] if quick else chosen("ONLY", SCENARIOS)
    if commit := os.environ.get("BEFORE"):
        return _plan_of_pairs(commit, scenarios, quick, stack)
    if os.environ.get("PAIRS"):
        sys.exit("PAIRS= goes with BEFORE=: name a commit too, or say REPS= instead.")
    peers = [PEERS[CONFAB]] if quick else chosen("PEERS", ALL_PEERS)
    reps = 1 if quick else number_of_repeats("REPS", REPS)
    whole = len(peers) == len(ALL_PEERS) and len(scenarios) == len(SCENARIOS) and reps >= REPS
    return Plan(peers, scenarios, reps, whole)


def _plan_of_pairs(commit: str, scenarios: list[Scenario], quick: bool, stack: ExitStack) -> Plan:
    """This tree, another commit and this tree again; other peers only where PEERS= names them."""
    if os.environ.get("REPS"):
        sys.exit("With BEFORE=, say PAIRS= instead of REPS=.")
    pairs_asked = number_of_repeats("PAIRS", 1 if quick else PAIRS)
    named = chosen("PEERS", ALL_PEERS) if os.environ.get("PEERS") else []
    others = [peer for peer in named if peer not in (PEERS[CONFAB], CONTROL)]
    found = full_hash(commit, ROOT)
    tree = stack.enter_context(worktree(found, ROOT))
    before = Installation(tree, python_for(tree, ROOT)).peer(BEFORE, f"Confab at {found[:7]}")
    peers = [PEERS[CONFAB], before, CONTROL, *others]
    return Plan(peers, scenarios, pairs_asked, listed=tuple(peers))


def number_of_repeats(name: str, default: int) -> int:
    """A number of repeats from an environment variable."""
    text = os.environ.get(name) or str(default)
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        sys.exit(f"{name}={text} is no number of repeats: write a whole number from 1 to 9999.")
    return int(text)


def turns(peers: list[Peer], scenarios: list[Scenario], reps: int) -> list[Turn]:
    """Every peer does every scenario, so many times; by turns, for whatever else the machine does hits all alike."""
    return [
        Turn(scenario, peer, repeat)
        for repeat in range(reps)
        for scenario in scenarios
        for peer in _in_order(peers, repeat)
    ]


def _in_order(peers: list[Peer], repeat: int) -> list[Peer]:
    """The peers in the order of one repeat.

    Another one begins every second time, and the time between is in reverse: of each two, each is first half the time.
    """
    first = repeat // 2 % len(peers)
    rotated = peers[first:] + peers[:first]
    return rotated if repeat % 2 == 0 else rotated[::-1]


def run_all(
    to_do: list[Turn], failed: list[str], longest_minutes: float = LONGEST_MINUTES
) -> Iterator[Run]:
    """One after the other; what fails is noted, and tried once more at the end."""
    wait_until = time.monotonic() + longest_minutes * 60
    with tempfile.TemporaryDirectory(prefix="confab-bench-") as folder:
        for number, turn in enumerate(to_do, 1):
            if time.monotonic() > wait_until:
                failed.append(
                    f"after {longest_minutes:.0f} minutes, {len(to_do) - number + 1} runs were left"
                )
                return
            place = Path(folder) / f"{number}-{turn.peer.name}-{turn.scenario.name}"
            try:
                run = measure.measure(turn.peer, turn.scenario, place, kept=Path(folder))
                shutil.rmtree(place)
            except (AssertionError, RuntimeError, OSError) as error:
                failed.append(f"{turn.scenario.name} of {turn.peer.title} failed: {error}")
                say(failed[-1])
                if len(failed) <= RETRIES:
                    to_do.append(turn)
            else:
                say(f"{number:3}/{len(to_do)} {_line(run)}")
                yield replace(run, repeat=turn.repeat)


def _line(run: Run) -> str:
    checks = (
        f"lost {run.lost} doubled {run.doubled} disordered {run.disordered} {' '.join(run.wrong)}"
    )
    return (
        f"{run.scenario:6} {run.peer:12} {run.cost:8.2f} µs {run.messages_per_second:7.0f} msg/s p99 {run.p99:6.1f} ms "
        f"connect {run.connect_ms:5.2f} ms idle {run.idle_kib:5.1f} KiB load {run.load_cpu:4.0%} {checks}"
    )


def machine() -> str:
    """What it was measured on."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    node = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"{models[0] if models else platform.machine()}, {len(measure.CORES)} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, Node {node}"
    )


def tables(results: Results, reps: int) -> str:
    """Everything that is written about the runs."""
    parts = [f"Medians of {reps}, on: {machine()}."]
    if results.compared():
        parts += ["As parts of what Node socket.io needs:", report.ratios(results)]
        parts += ["Confab is slower than Node here:", report.slower(results)]
    parts += _pairs(results)
    parts += ["CPU of the servers for a delivery, in B for a message:", report.numbers(results)]
    return "\n\n".join([*parts, "One person who does nothing else:", report.people(results)])


def _pairs(results: Results) -> list[str]:
    """What the pairs say, and what became of everything that was sent."""
    runs = {run.peer for run in results.runs}
    parts = [report.checks(results)]
    quartiles = "the median of the ratios of all pairs of runs, and in brackets their lower and upper quartile"
    if {CONFAB, AGAIN, BEFORE} <= runs:
        [title] = [peer.title for peer in results.peers if peer.name == BEFORE]
        about = f"Now is {describe(ROOT)}, before is {title}."
        parts += [report.checks(results, title, [BEFORE]), f"{about} Each figure is {quartiles}:"]
        parts += [pairs.against_before(results)]
    elif {CONFAB, AGAIN} <= runs:
        parts += [f"Confab against itself, {quartiles}:", pairs.against_itself(results)]
    return parts


def write(results: Results, reps: int, whole: bool) -> None:
    """Keep the results in .make/bench/; those of a whole benchmark also in docs/performance.md."""
    text, picture = tables(results, reps), plot(results)
    (RESULTS / "runs.json").write_text(json.dumps([asdict(run) for run in results.runs], indent=1))
    (RESULTS / "results.md").write_text(f"{text}\n")
    (RESULTS / "performance.svg").write_text(picture)
    say(f"\n{text}\n")
    if whole:
        before, rest = PAGE.read_text().split(MARKS[0])
        PAGE.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}")
        PICTURE.write_text(picture)
        say("docs/performance.md and docs/performance.svg are written.")


def run_plan(asked: Plan) -> int:
    """Run a plan and write its results; 1 when a run failed, or Confab lost, doubled or disordered something."""
    measure.build()
    for peer in asked.peers:
        peer.install()
    measure.stay_out_of_the_way()
    to_do = turns(asked.peers, asked.scenarios, asked.reps)
    wrong: list[str] = []
    number_asked = len(to_do)
    say(
        f"Number of runs: {number_asked}. Expected time: {max(1, asked.minutes()):.0f} min; ONLY= chooses scenarios."
    )
    begun = time.monotonic()
    longest_minutes = max(LONGEST_MINUTES, 2 * asked.minutes())
    results = Results(run_all(to_do, wrong, longest_minutes), asked.listed)
    write(results, asked.reps, whole=asked.whole and len(results.runs) == number_asked)
    say(f"That took {(time.monotonic() - begun) / 60:.1f} minutes.")
    wrong += [f"Confab, {each}" for run in results.runs for each in measure.complaints(run)]
    for each in wrong:
        say(f"Wrong: {each}.")
    return 1 if wrong else 0


def main() -> int:
    """Run what was asked for; 1 when something was wrong."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is stopped
    try:
        with ExitStack() as stack:
            return run_plan(plan(stack))
    except CheckoutError as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    sys.exit(main())
