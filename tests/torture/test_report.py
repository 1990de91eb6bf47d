"""What `make torture FULL=1` writes, and when it does not."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.torture.checker import Verdict
from tests.torture.report import MARKS, PAGE, README, Run, checked_out, not_publishable, publish
from tests.torture.scenarios import FAULTS
from tests.torture.stage import Outcome

Spoil = Callable[[Run, Path], Run]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A committed working tree with the two pages."""
    (tmp_path / "docs").mkdir()
    for page in (README, PAGE):
        (tmp_path / page).write_text(
            f"Before.\n\n{MARKS[0]}\n\nThe last time.\n\n{MARKS[1]}\n\nAfter.\n"
        )
    ada = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], [*ada, "commit", "-q", "-m", "The pages"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


@pytest.fixture
def run(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A whole run on which everything was as promised."""
    monkeypatch.delenv("ENGINE", raising=False)
    verdict = Verdict(acknowledged=100)
    outcomes = [
        Outcome(fault, database, 4, verdict) for fault in FAULTS for database in fault.databases
    ]
    return Run(4, checked_out(tree), outcomes, mutations_found=True)


def test_a_whole_run_is_written_with_its_commit_and_seed(tree: Path, run: Run) -> None:
    assert not_publishable(run, tree) == []

    publish(run, tree)

    page, readme = (tree / PAGE).read_text(), (tree / README).read_text()
    summary = f"> {len(run.outcomes)} fault scenarios, {len(run.outcomes) * 100:,} messages and changes acknowledged"
    for text in (page, readme):
        assert text.startswith("Before.")
        assert text.endswith("After.\n")
        assert summary in text
        assert "The last time." not in text
    assert run.commit
    assert f"`make torture FULL=1 SEED=4`, commit `{run.commit.name}`, " in page
    assert page.count("| F") == len(run.outcomes) + 1  # with the heading


def test_what_was_written_is_replaced_by_the_next_run(tree: Path, run: Run) -> None:
    publish(run, tree)
    once = (tree / PAGE).read_text()
    publish(run, tree)

    assert (tree / PAGE).read_text() == once


def change_the_tree(run: Run, tree: Path) -> Run:
    (tree / "new.py").write_text("")
    return run


def begin_with_a_changed_tree(run: Run, tree: Path) -> Run:
    (tree / "new.py").write_text("")
    return replace(run, commit=checked_out(tree))


def be_outside_of_a_repository(run: Run, tree: Path) -> Run:
    return replace(run, commit=None)


def leave_a_scenario_out(run: Run, tree: Path) -> Run:
    return replace(run, outcomes=run.outcomes[1:])


def repeat_a_scenario(run: Run, tree: Path) -> Run:
    return replace(run, outcomes=[*run.outcomes, run.outcomes[0]])


def lose_a_message(run: Run, tree: Path) -> Run:
    run.outcomes[0].verdict.found("I1 lost: acknowledged and not stored", "a message")
    return run


def miss_a_mutation(run: Run, tree: Path) -> Run:
    return replace(run, mutations_found=False)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (change_the_tree, "the working tree has changed since the start"),
        (begin_with_a_changed_tree, "there are uncommitted changes"),
        (be_outside_of_a_repository, "this is not a git repository"),
        (leave_a_scenario_out, "not every scenario was run once"),
        (repeat_a_scenario, "not every scenario was run once"),
        (lose_a_message, "not everything was as promised"),
        (miss_a_mutation, "a program broken on purpose was not found out"),
    ],
)
def test_a_run_is_not_written_when(spoil: Spoil, reason: str, tree: Path, run: Run) -> None:
    assert not_publishable(spoil(run, tree), tree) == [reason]


def test_a_run_with_the_engine_off_is_not_written(
    tree: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE", "off")

    assert not_publishable(run, tree) == ["ENGINE is set"]
