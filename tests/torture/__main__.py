"""`make torture`: the evenings one after the other, then the table. SEED=1, ONLY=F4,F9, REPEAT=3, FULL=1, SOAK=30."""

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.servers import HERE
from tests.services import Postgres, postgres
from tests.torture.scenarios import FAULTS
from tests.torture.stage import Fault, Outcome, play, staged

COLUMNS = "Fault", "Acknowledged", "Lost", "Doubled", "Out of order", "Worst delay", "Until whole"


def say(text: str) -> None:
    """Tell whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def evening(
    fault: Fault, database: str, seed: int, elephant: Postgres | None, full: bool, tree: Path = HERE
) -> Outcome:
    """One evening and its outcome; whatever stops it is a complaint."""
    outcome = Outcome(fault, database, seed)
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"confab-{fault.number}-"))
    try:
        with staged(folder, outcome, full, elephant, tree) as stage:
            play(stage)
    except Exception as error:  # noqa: BLE001  # the table is not to be lost with one evening
        outcome.complaints.append(f"{type(error).__name__}: {error}")
    outcome.seconds = time.monotonic() - begun
    if outcome.broken:
        outcome.complaints.append(f"what is left of it is in {folder}")
    else:
        _tidy(folder)
    return outcome


def _tidy(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()


def table(outcomes: list[Outcome]) -> str:
    """What came of it, as Markdown."""
    rows = [COLUMNS, tuple("-" * len(name) for name in COLUMNS), *map(_row, outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def _row(outcome: Outcome) -> tuple[str, ...]:
    verdict, fault = outcome.verdict, outcome.fault
    where = "" if outcome.database == "SQLite" else f", {outcome.database}"
    numbers = verdict.acknowledged, verdict.lost, verdict.doubled, verdict.disordered
    times = (f"{milliseconds / 1000:.1f} s" for milliseconds in (verdict.worst(), verdict.whole_ms))
    return (f"{fault.number} {fault.sentence}{where}", *map(str, numbers), *times)


def report(outcome: Outcome) -> None:
    """One line for an evening, and what was wrong."""
    how = "not as promised" if outcome.broken else "as promised"
    fault = outcome.fault
    say(f"{fault.number:4}{fault.sentence}, {outcome.database}, SEED={outcome.seed}: {how} ({outcome.seconds:.0f} s)")
    for line in [*outcome.broken, *outcome.verdict.spelled] if outcome.broken else []:
        say(f"     {line}")
    if os.environ.get("NUMBERS"):
        for what, value, limit in outcome.limits:
            say(f"     {what}: {value:,.0f} of {limit:,.0f}")


def main() -> int:
    """Everything that was asked for."""
    seed = int(os.environ.get("SEED") or time.time())
    only = set(filter(None, os.environ.get("ONLY", "").split(",")))
    unknown = only - {fault.number for fault in FAULTS}
    if unknown:
        say(f"There is no {', '.join(sorted(unknown))}: choose from {', '.join(fault.number for fault in FAULTS)}.")
        return 2
    outcomes = []
    with ExitStack() as stack:
        elephant = stack.enter_context(postgres())
        for repeat in range(int(os.environ.get("REPEAT") or 1)):
            for fault in FAULTS:
                for database in fault.databases if not only or fault.number in only else ():
                    outcomes.append(evening(fault, database, seed + repeat, elephant, bool(os.environ.get("FULL"))))
                    report(outcomes[-1])
    say(f"\n{table(outcomes)}")
    return 1 if any(outcome.broken for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
