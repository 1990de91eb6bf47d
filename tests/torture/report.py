"""The table of a run, and what is published of a full one: docs/delivery.md, and the line that the README quotes."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.__main__ import machine
from tests.servers import ROOT
from tests.torture.scenarios import FAULTS
from tests.torture.stage import Fault, Outcome

PAGE = Path("docs") / "delivery.md"
README = Path("README.md")
MARKS = (
    "<!-- from here: written by make torture FULL=1 -->",
    "<!-- to here: written by make torture FULL=1 -->",
)
COLUMNS = "Fault", "Acknowledged", "Lost", "Doubled", "Out of order", "Worst delay", "Until whole"


@dataclass(frozen=True)
class Commit:
    """What is checked out, and whether the working tree holds nothing else."""

    name: str
    is_clean: bool


@dataclass(frozen=True)
class Run:
    """A run of `make torture FULL=1`, and what came of it."""

    seed: int
    commit: Commit | None  # at the start
    outcomes: Sequence[Outcome]
    mutations_found: bool


def title(fault: Fault, database: str) -> str:
    """How the table calls an evening."""
    return f"{fault.number} {fault.sentence}" + ("" if database == "SQLite" else f", {database}")


def table(outcomes: Sequence[Outcome]) -> str:
    """What came of it, as Markdown."""
    rows = [COLUMNS, tuple("-" * len(name) for name in COLUMNS), *map(_row, outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )


def _row(outcome: Outcome) -> tuple[str, ...]:
    verdict = outcome.verdict
    numbers = verdict.acknowledged, verdict.lost, verdict.doubled, verdict.disordered
    times = (f"{milliseconds / 1000:.1f} s" for milliseconds in (verdict.worst(), verdict.whole_ms))
    return (title(outcome.fault, outcome.database), *map(str, numbers), *times)


def checked_out(tree: Path = ROOT) -> Commit | None:
    """The commit of a working tree; None outside of a repository."""
    try:
        return Commit(
            _git(tree, "rev-parse", "--short=10", "HEAD"), not _git(tree, "status", "--porcelain")
        )
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(tree: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=tree, capture_output=True, text=True, check=True
    ).stdout.strip()


def not_repeatable(commit: Commit | None) -> list[str]:
    """Why nobody could run the same again: known before the run."""
    reasons = []
    if commit is None:
        reasons.append("this is not a git repository")
    elif not commit.is_clean:
        reasons.append("there are uncommitted changes")
    if os.environ.get("ENGINE", "on") != "on":
        reasons.append("ENGINE is set")
    return reasons


def not_publishable(run: Run, tree: Path = ROOT) -> list[str]:
    """Why a run is not published: nobody could repeat it, or it was not whole, or not everything was as promised."""
    reasons = not_repeatable(run.commit)
    expected = [title(fault, database) for fault in FAULTS for database in fault.databases]
    if not reasons and checked_out(tree) != run.commit:
        reasons.append("the working tree has changed since the start")
    if [title(outcome.fault, outcome.database) for outcome in run.outcomes] != expected:
        reasons.append("not every scenario was run once")
    if any(outcome.broken for outcome in run.outcomes):
        reasons.append("not everything was as promised")
    if not run.mutations_found:
        reasons.append("a program broken on purpose was not found out")
    return reasons


def publish(run: Run, tree: Path = ROOT) -> None:
    """Write the table to docs/delivery.md, and its sum to the README."""
    assert run.commit is not None
    acknowledged = sum(outcome.verdict.acknowledged for outcome in run.outcomes)
    summary = (
        f"> {len(run.outcomes)} fault scenarios, {acknowledged:,} messages and changes acknowledged: "
        "0 lost, 0 doubled, 0 out of order."
    )
    minutes = sum(outcome.seconds for outcome in run.outcomes) / 60
    origin = (
        f"`make torture FULL=1 SEED={run.seed}`, commit `{run.commit.name}`, {datetime.now(UTC):%Y-%m-%d}, "
        f"on: {machine()}. The scenarios took {minutes:.0f} minutes, each within the delays that are promised."
    )
    _replace_between_marks(tree / README, summary)
    _replace_between_marks(tree / PAGE, f"{summary}\n\n{origin}\n\n{table(run.outcomes)}")


def _replace_between_marks(page: Path, text: str) -> None:
    before, rest = page.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    page.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}")
