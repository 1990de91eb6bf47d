"""`make torture`: the evenings one after the other, then the table. SEED=1, ONLY=F4,F9, FULL=1, SOAK=30, ENGINE=off."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.servers import ROOT
from tests.services import Postgres, postgres
from tests.torture.mutations import MUTATIONS
from tests.torture.report import Run, checked_out, not_publishable, not_repeatable, publish, table
from tests.torture.scenarios import FAULTS
from tests.torture.soak import SOAK, soak
from tests.torture.stage import Fault, Outcome, Scenario, play, staged


def say(text: str) -> None:
    """Tell whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def scenario(
    fault: Fault,
    database: str,
    seed: int,
    postgres_server: Postgres | None,
    full: bool = False,
    tree: Path = ROOT,
    do: Callable[[Scenario], None] = play,
) -> Outcome:
    """One evening and its outcome; whatever stops it is a complaint."""
    outcome = Outcome(fault, database, seed)
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"confab-{fault.number}-"))
    try:
        with staged(folder, outcome, full, postgres_server, tree) as stage:
            do(stage)
        if database == "SQLite":
            stage.look_into_the_files()
    except Exception as error:  # noqa: BLE001  # the table is not to be lost with one evening
        outcome.complaints.append(f"{type(error).__name__}: {error}")
    outcome.seconds = time.monotonic() - begun
    if outcome.broken and tree == ROOT:
        outcome.complaints.append(f"what is left of it is in {folder}")
    else:
        shutil.rmtree(folder)
    return outcome


def report(outcome: Outcome) -> None:
    """One line for an evening, and what was wrong."""
    how = "not as promised" if outcome.broken else "as promised"
    fault = outcome.fault
    say(
        f"{fault.number:4}{fault.sentence}, {outcome.database}, SEED={outcome.seed}: {how} ({outcome.seconds:.0f} s)"
    )
    for line in [*outcome.broken, *outcome.verdict.spelled] if outcome.broken else []:
        say(f"     {line}")
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if outcome.broken and load > processors:
        say(
            f"     The load is {load:.1f} on {processors} processors: what is late may only have waited for those."
        )
    if os.environ.get("NUMBERS"):
        for what, value, limit in outcome.limits:
            say(f"     {what}: {value:,.0f} of {limit:,.0f}")


def main() -> int:
    """Everything that was asked for."""
    seed = int(os.environ.get("SEED") or time.time())
    only = set(filter(None, os.environ.get("ONLY", "").split(",")))
    known = {fault.number for fault in FAULTS} | {"mutations"}
    if only - known:
        say(
            f"There is no {', '.join(sorted(only - known))}: choose from {', '.join(sorted(known))}."
        )
        return 2
    full = bool(os.environ.get("FULL"))
    commit = checked_out()
    if full and (reasons := not_repeatable(commit)):
        say(f"docs/delivery.md will not be written: {', and '.join(reasons)}.")
    outcomes = []
    with ExitStack() as stack:
        postgres_server = stack.enter_context(postgres())
        for outcome in _outcomes(seed, only or known, postgres_server):
            outcomes.append(outcome)
            report(outcome)
        checked = "mutations" in only or (full and not only)
        found_out = not checked or _mutations(seed, postgres_server)
    say(f"\n{table(outcomes)}" if outcomes else "")
    if full:
        _publish(Run(seed, commit, outcomes, found_out))
    return 0 if found_out and not any(outcome.broken for outcome in outcomes) else 1


def _publish(run: Run) -> None:
    if reasons := not_publishable(run):
        say(f"docs/delivery.md is not written: {', and '.join(reasons)}.")
        return
    publish(run)
    say("docs/delivery.md and the line in README.md are written.")


def _outcomes(seed: int, only: set[str], postgres_server: Postgres) -> Iterator[Outcome]:
    full = bool(os.environ.get("FULL"))
    if minutes := float(os.environ.get("SOAK") or 0):
        yield scenario(SOAK, "SQLite", seed, None, do=lambda stage: soak(stage, minutes))
        return
    for repeat in range(int(os.environ.get("REPEAT") or 1)):
        for fault in FAULTS:
            for database in fault.databases if fault.number in only else ():
                yield scenario(fault, database, seed + repeat, postgres_server, full)


def _mutations(seed: int, postgres_server: Postgres) -> bool:
    """The checker's own test, aloud."""
    found_out = 0
    for mutation in MUTATIONS:
        with tempfile.TemporaryDirectory(prefix="confab-mutation-") as folder:
            tree = mutation.plant(Path(folder))
            outcome = scenario(mutation.fault, mutation.database, seed, postgres_server, tree=tree)
        found = mutation.is_found(outcome.broken)
        found_out += found
        name, why = mutation.patch.replace("_", " "), "; ".join(outcome.broken)
        say(f"{'found out' if found else 'MISSED':9} {name}: {why[:200]}")
    say(f"{found_out} of {len(MUTATIONS)} programs that were broken on purpose were found out.")
    return found_out == len(MUTATIONS)


if __name__ == "__main__":
    sys.exit(main())
