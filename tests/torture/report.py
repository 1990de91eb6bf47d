"""Formats the table of a run, and publishes a full run in docs/delivery.md and README.md."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.__main__ import machine
from tests.servers import ROOT
from tests.torture.harness import Outcome, Scenario
from tests.torture.scenarios import SCENARIOS

PAGE = Path("docs") / "delivery.md"
README = Path("README.md")
BEGIN_MARK = "<!-- from here: written by make torture FULL=1 -->"
END_MARK = "<!-- to here: written by make torture FULL=1 -->"
COLUMNS = (
    "Scenario",
    "Acknowledged",
    "Lost",
    "Duplicated",
    "Out of order",
    "Worst delay",
    "Recovery time",
)


@dataclass(frozen=True)
class Commit:
    """The commit that is checked out, and whether the working tree is unchanged since."""

    name: str
    is_clean: bool


@dataclass(frozen=True)
class FullRun:
    """The result of `make torture FULL=1`."""

    seed: int
    commit: Commit | None
    """At the start; None outside of a repository."""
    outcomes: Sequence[Outcome]
    mutations_detected: bool


def title(scenario: Scenario, database: str) -> str:
    """Return the name of a scenario in the table."""
    name = f"{scenario.number} {scenario.title}"
    return name if database == "SQLite" else f"{name}, {database}"


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a Markdown table of the outcomes."""
    dashes = tuple("-" * len(name) for name in COLUMNS)
    rows = [COLUMNS, dashes, *(_table_row(outcome) for outcome in outcomes)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _table_row(outcome: Outcome) -> tuple[str, ...]:
    verdict = outcome.verdict
    return (
        title(outcome.scenario, outcome.database),
        str(verdict.acknowledged),
        str(verdict.lost),
        str(verdict.duplicated),
        str(verdict.reordered),
        f"{verdict.worst_delay_ms() / 1000:.1f} s",
        f"{verdict.recovery_ms / 1000:.1f} s",
    )


def current_commit(tree: Path = ROOT) -> Commit | None:
    """Return the commit of a working tree; None outside of a repository."""
    try:
        name = _git(tree, "rev-parse", "--short=10", "HEAD")
        changes = _git(tree, "status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return None
    return Commit(name, is_clean=changes == "")


def _git(tree: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    result = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def reasons_not_repeatable(commit: Commit | None) -> list[str]:
    """Return why a run could not be repeated by others; known before it starts."""
    reasons = []
    if commit is None:
        reasons.append("this is not a git repository")
    elif not commit.is_clean:
        reasons.append("there are uncommitted changes")
    if os.environ.get("ENGINE", "on") != "on":
        reasons.append("ENGINE is set")
    if os.environ.get("TRANSPORTS"):
        reasons.append("TRANSPORTS is set")
    return reasons


def reasons_not_publishable(run: FullRun, tree: Path = ROOT) -> list[str]:
    """Return why a run is not published: it is not repeatable, incomplete, or has failures."""
    reasons = reasons_not_repeatable(run.commit)
    if not reasons and current_commit(tree) != run.commit:
        reasons.append("the working tree has changed since the start")
    expected = [
        title(scenario, database) for scenario in SCENARIOS for database in scenario.databases
    ]
    if [title(outcome.scenario, outcome.database) for outcome in run.outcomes] != expected:
        reasons.append("not every scenario was run exactly once")
    if any(outcome.failures for outcome in run.outcomes):
        reasons.append("a scenario failed")
    if not run.mutations_detected:
        reasons.append("a mutation was not detected")
    return reasons


def publish(run: FullRun, tree: Path = ROOT) -> None:
    """Write the table to docs/delivery.md, and its summary to the README too."""
    assert run.commit is not None
    acknowledged = sum(outcome.verdict.acknowledged for outcome in run.outcomes)
    summary = (
        f"> {len(run.outcomes)} fault scenarios, "
        f"{acknowledged:,} messages and changes acknowledged: "
        "0 lost, 0 duplicated, 0 out of order."
    )
    minutes = sum(outcome.seconds for outcome in run.outcomes) / 60
    origin = (
        f"`make torture FULL=1 SEED={run.seed}`, commit `{run.commit.name}`, "
        f"{datetime.now(UTC):%Y-%m-%d}, on: {machine()}. "
        f"The scenarios took {minutes:.0f} minutes. All delays were within their limits."
    )
    _replace_between_marks(tree / README, summary)
    _replace_between_marks(tree / PAGE, f"{summary}\n\n{origin}\n\n{table(run.outcomes)}")


def _replace_between_marks(page: Path, text: str) -> None:
    before, rest = page.read_text().split(BEGIN_MARK)
    after = rest.split(END_MARK)[1]
    page.write_text(f"{before}{BEGIN_MARK}\n\n{text}\n\n{END_MARK}{after}")
