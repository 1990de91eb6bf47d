"""`make bench`: the same work for every peer, in turns, then tables and a picture. ONLY=, PEERS=, REPS=1, QUICK=1."""

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
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from bench import measure, report
from bench.measure import Run
from bench.peers import CONFAB, PEERS, Peer
from bench.plot import plot
from bench.report import Results
from bench.scenarios import QUICK, SCENARIOS, Scenario
from tests.servers import HERE

RESULTS = measure.BUILT.parent
PAGE = HERE / "docs" / "performance.md"
PICTURE = HERE / "docs" / "performance.svg"
REPS = 5
LONGEST_MINUTES = 40
RETRIES = 5
T = TypeVar("T")
Turn = tuple[Scenario, Peer]
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


def turns(peers: list[Peer], scenarios: list[Scenario], reps: int) -> list[Turn]:
    """Every peer does every scenario, so many times; by turns, for whatever else the machine does hits all alike."""
    return [
        (scenario, peers[(number + rep) % len(peers)])
        for rep in range(reps)
        for scenario in scenarios
        for number in range(len(peers))
    ]


def run_all(to_do: list[Turn], failed: list[str]) -> Iterator[Run]:
    """One after the other; what fails is noted, and tried once more at the end."""
    until = time.monotonic() + LONGEST_MINUTES * 60
    with tempfile.TemporaryDirectory(prefix="confab-bench-") as folder:
        for number, (scenario, peer) in enumerate(to_do, 1):
            if time.monotonic() > until:
                failed.append(f"after {LONGEST_MINUTES} minutes, {len(to_do) - number + 1} runs were left")
                return
            place = Path(folder) / f"{number}-{peer.name}-{scenario.name}"
            try:
                run = measure.measure(peer, scenario, place)
                shutil.rmtree(place)
            except (AssertionError, RuntimeError, OSError) as error:
                failed.append(f"{scenario.name} of {peer.title} failed: {error}")
                say(failed[-1])
                if len(failed) <= RETRIES:
                    to_do.append((scenario, peer))
            else:
                say(f"{number:3}/{len(to_do)} {_line(run)}")
                yield run


def _line(run: Run) -> str:
    checks = f"lost {run.lost} doubled {run.doubled} disordered {run.disordered} {' '.join(run.wrong)}"
    return (
        f"{run.scenario:6} {run.peer:10} {run.cost:8.2f} µs {run.messages_per_second:7.0f} msg/s p99 {run.p99:6.1f} ms "
        f"connect {run.connect_ms:5.2f} ms idle {run.idle_kib:5.1f} KiB load {run.load_cpu:4.0%} {checks}"
    )


def machine() -> str:
    """What it was measured on."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
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
    parts.append(report.checks(results))
    parts += ["CPU of the servers for a delivery, in B for a message:", report.numbers(results)]
    return "\n\n".join([*parts, "One person who does nothing else:", report.people(results)])


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


def main() -> int:
    """Run what was asked for; 1 when Confab lost, doubled or disordered something."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is stopped
    quick = bool(os.environ.get("QUICK"))
    scenarios = [QUICK] if quick else chosen("ONLY", SCENARIOS)
    peers = [PEERS[CONFAB]] if quick else chosen("PEERS", PEERS)
    reps = 1 if quick else int(os.environ.get("REPS") or REPS)
    measure.build()
    for peer in peers:
        peer.install()
    measure.stay_out_of_the_way()
    begun = time.monotonic()
    to_do, wrong = turns(peers, scenarios, reps), list[str]()
    asked = len(to_do)
    results = Results(run_all(to_do, wrong))
    write(results, reps, whole=len(results.runs) == asked == reps * len(PEERS) * len(SCENARIOS) and reps >= REPS)
    say(f"That took {(time.monotonic() - begun) / 60:.1f} minutes.")
    wrong += [f"Confab, {each}" for run in results.runs for each in measure.complaints(run)]
    for each in wrong:
        say(f"Wrong: {each}.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
