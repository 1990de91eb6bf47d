"""`make torture`: runs the fault scenarios one after the other and prints a table.

The environment selects what is run: SEED=1, ONLY=F4,F9, REPEAT=3, FULL=1, SOAK=30, ENGINE=off,
NUMBERS=1, TRANSPORTS=all; see docs/delivery.md. HOSTILE=1 runs the hostile clients instead
(docs/development.md).
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest

from tests.services import Postgres, postgres
from tests.torture.harness import Outcome, Scenario
from tests.torture.mutations import Mutation, mutations_in_use
from tests.torture.report import (
    FullRun,
    current_commit,
    publish,
    reasons_not_publishable,
    reasons_not_repeatable,
    table,
)
from tests.torture.runner import run_scenario
from tests.torture.scenarios import SCENARIOS
from tests.torture.soak import SOAK, soak
from tests.torture.transports import TRANSPORT_SCENARIOS

ALL_TRANSPORTS = "all"
MUTATIONS_NAME = "mutations"
HOSTILE_TESTS = "tests/hostile"
MAX_REASON_CHARACTERS = 200
SIGTERM_STATUS = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Options:
    """What to run, as read from the environment."""

    seed: int
    only: frozenset[str]
    """Numbers of scenarios, and `mutations`; empty: all scenarios."""
    repeat: int
    full: bool
    soak_minutes: float
    transports: str
    """`all`: the scenarios in which clients use every transport; empty: those of a full run."""

    @classmethod
    def from_environment(cls) -> "Options":
        """Read the options; without SEED, the seed is the current time."""
        only = os.environ.get("ONLY", "").split(",")
        return cls(
            seed=int(os.environ.get("SEED") or time.time()),
            only=frozenset(name for name in only if name),
            repeat=int(os.environ.get("REPEAT") or 1),
            full=bool(os.environ.get("FULL")),
            soak_minutes=float(os.environ.get("SOAK") or 0),
            transports=os.environ.get("TRANSPORTS", ""),
        )

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios to choose from."""
        return TRANSPORT_SCENARIOS if self.transports else SCENARIOS

    @property
    def runs_mutations(self) -> bool:
        """Whether the checker itself is tested."""
        return MUTATIONS_NAME in self.only or (self.full and not self.only)

    def mistake(self) -> str | None:
        """Return what is wrong with the options, as a sentence."""
        if self.transports not in ("", ALL_TRANSPORTS):
            return f"Unknown TRANSPORTS: {self.transports}. The only choice is {ALL_TRANSPORTS}."
        known = {scenario.number for scenario in self.scenarios} | {MUTATIONS_NAME}
        unknown = self.only - known
        if unknown:
            names = ", ".join(sorted(unknown))
            return f"Unknown in ONLY: {names}. Choose from {', '.join(sorted(known))}."
        return None


def _exit(_number: int, _frame: FrameType | None) -> None:
    """Exit through all context managers, so that all servers are stopped."""
    sys.exit(SIGTERM_STATUS)


def main() -> int:
    """Run what the environment selects; return 1 if anything failed, 2 if an option is wrong."""
    signal.signal(signal.SIGTERM, _exit)
    if os.environ.get("HOSTILE"):
        return pytest.main([HOSTILE_TESTS])
    options = Options.from_environment()
    mistake = options.mistake()
    if mistake is not None:
        _print(mistake)
        return 2
    commit = current_commit()
    if options.full:
        _print_not_written(reasons_not_repeatable(commit))
    outcomes = []
    mutations_detected = True
    with ExitStack() as stack:
        postgres_server = stack.enter_context(postgres())
        for outcome in _run_scenarios(options, postgres_server):
            outcomes.append(outcome)
            _print_outcome(outcome)
        if options.runs_mutations:
            mutations_detected = _run_mutations(options.seed, postgres_server)
    if outcomes:
        _print(f"\n{table(outcomes)}")
    if options.full:
        _publish_if_complete(FullRun(options.seed, commit, outcomes, mutations_detected))
    has_failures = any(outcome.failures for outcome in outcomes)
    return 1 if has_failures or not mutations_detected else 0


def _run_scenarios(options: Options, postgres_server: Postgres) -> Iterator[Outcome]:
    """Run the selected scenarios, and yield each outcome when it is known."""
    if options.soak_minutes:
        yield run_scenario(
            SOAK,
            "SQLite",
            options.seed,
            postgres=None,
            work=lambda run: soak(run, options.soak_minutes),
        )
        return
    selected = [
        scenario
        for scenario in options.scenarios
        if not options.only or scenario.number in options.only
    ]
    for repetition in range(options.repeat):
        seed = options.seed + repetition
        for scenario in selected:
            for database in scenario.databases:
                yield run_scenario(scenario, database, seed, postgres_server, options.full)


def _run_mutations(seed: int, postgres_server: Postgres) -> bool:
    """Run every mutation; return whether the checker detected all of them."""
    detected = [_is_detected(mutation, seed, postgres_server) for mutation in mutations_in_use()]
    _print(f"{sum(detected)} of {len(detected)} mutations were detected.")
    return all(detected)


def _is_detected(mutation: Mutation, seed: int, postgres_server: Postgres) -> bool:
    with tempfile.TemporaryDirectory(prefix="confab-mutation-") as folder:
        tree = mutation.apply(Path(folder))
        outcome = run_scenario(
            mutation.scenario, mutation.database, seed, postgres_server, tree=tree
        )
    is_detected = mutation.is_detected(outcome.failures)
    result = "detected" if is_detected else "MISSED"
    name = mutation.patch.replace("_", " ")
    reason = "; ".join(outcome.failures)[:MAX_REASON_CHARACTERS]
    _print(f"{result:9} {name}: {reason}")
    return is_detected


def _publish_if_complete(run: FullRun) -> None:
    reasons = reasons_not_publishable(run)
    if reasons:
        _print_not_written(reasons)
        return
    publish(run)
    _print("docs/delivery.md and the summary in README.md have been written.")


def _print_not_written(reasons: list[str]) -> None:
    if reasons:
        _print(f"docs/delivery.md will not be written: {', and '.join(reasons)}.")


def _print_outcome(outcome: Outcome) -> None:
    """Print whether a scenario passed, and what failed."""
    scenario = outcome.scenario
    result = "FAILED" if outcome.failures else "passed"
    _print(
        f"{scenario.number:4}{scenario.title}, {outcome.database}, SEED={outcome.seed}: "
        f"{result} ({outcome.seconds:.0f} s)"
    )
    if outcome.failures:
        for failure in [*outcome.failures, *outcome.verdict.details]:
            _print(f"     {failure}")
        _print_load()
    if os.environ.get("NUMBERS"):
        for limited in outcome.limit_checks:
            _print(f"     {limited.name}: {limited.value:,.0f} of {limited.limit:,.0f}")


def _print_load() -> None:
    """Print the load of the machine when it may be the reason for delays."""
    load = os.getloadavg()[0]
    cpu_count = os.cpu_count() or 1
    if load > cpu_count:
        _print(
            f"     The load is {load:.1f} on {cpu_count} CPUs, which may be the reason for delays."
        )


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
