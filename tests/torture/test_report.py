"""What `make torture FULL=1` publishes, and when it publishes nothing."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.torture.harness import Outcome
from tests.torture.report import (
    BEGIN_MARK,
    END_MARK,
    PAGE,
    README,
    FullRun,
    current_commit,
    publish,
    reasons_not_publishable,
)
from tests.torture.scenarios import SCENARIOS
from tests.torture.verdict import Verdict

Spoil = Callable[[FullRun, Path], FullRun]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a committed working tree with the two pages."""
    (tmp_path / "docs").mkdir()
    for page in (README, PAGE):
        (tmp_path / page).write_text(
            f"Before.\n\n{BEGIN_MARK}\n\nThe previous run.\n\n{END_MARK}\n\nAfter.\n"
        )
    ada = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    commands = (
        ["init", "-q"],
        ["add", "."],
        [*ada, "commit", "-q", "-m", "Add the pages"],
    )
    for command in commands:
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


@pytest.fixture
def run(tree: Path, monkeypatch: pytest.MonkeyPatch) -> FullRun:
    """Return a complete run without any failure."""
    monkeypatch.delenv("ENGINE", raising=False)
    monkeypatch.delenv("TRANSPORTS", raising=False)
    verdict = Verdict(acknowledged=100)
    outcomes = [
        Outcome(scenario, database, 4, verdict)
        for scenario in SCENARIOS
        for database in scenario.databases
    ]
    return FullRun(4, current_commit(tree), outcomes, mutations_detected=True)


def test_a_complete_run_is_published_with_its_commit_and_seed(tree: Path, run: FullRun) -> None:
    assert reasons_not_publishable(run, tree) == []

    publish(run, tree)

    page = (tree / PAGE).read_text()
    readme = (tree / README).read_text()
    scenarios = len(run.outcomes)
    summary = (
        f"> {scenarios} fault scenarios, {scenarios * 100:,} messages and changes acknowledged: "
        "0 lost, 0 duplicated, 0 out of order."
    )
    for text in (page, readme):
        assert text.startswith("Before.")
        assert text.endswith("After.\n")
        assert summary in text
        assert "The previous run." not in text
    assert run.commit
    assert f"`make torture FULL=1 SEED=4`, commit `{run.commit.name}`, " in page
    assert page.count("\n| F") == scenarios
    assert page.count("\n| Scenario") == 1


def test_the_next_run_replaces_what_was_published(tree: Path, run: FullRun) -> None:
    publish(run, tree)
    first = (tree / PAGE).read_text()
    publish(run, tree)

    assert (tree / PAGE).read_text() == first


def change_the_tree(run: FullRun, tree: Path) -> FullRun:
    (tree / "new.py").write_text("")
    return run


def begin_with_a_changed_tree(run: FullRun, tree: Path) -> FullRun:
    (tree / "new.py").write_text("")
    return replace(run, commit=current_commit(tree))


def be_outside_of_a_repository(run: FullRun, tree: Path) -> FullRun:
    return replace(run, commit=None)


def omit_a_scenario(run: FullRun, tree: Path) -> FullRun:
    return replace(run, outcomes=run.outcomes[1:])


def repeat_a_scenario(run: FullRun, tree: Path) -> FullRun:
    return replace(run, outcomes=[*run.outcomes, run.outcomes[0]])


def lose_a_message(run: FullRun, tree: Path) -> FullRun:
    run.outcomes[0].verdict.add_finding("I1 lost: acknowledged but not stored", "a message")
    return run


def miss_a_mutation(run: FullRun, tree: Path) -> FullRun:
    return replace(run, mutations_detected=False)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (change_the_tree, "the working tree has changed since the start"),
        (begin_with_a_changed_tree, "there are uncommitted changes"),
        (be_outside_of_a_repository, "this is not a git repository"),
        (omit_a_scenario, "not every scenario was run exactly once"),
        (repeat_a_scenario, "not every scenario was run exactly once"),
        (lose_a_message, "a scenario failed"),
        (miss_a_mutation, "a mutation was not detected"),
    ],
)
def test_a_run_is_not_published_when(spoil: Spoil, reason: str, tree: Path, run: FullRun) -> None:
    assert reasons_not_publishable(spoil(run, tree), tree) == [reason]


def test_a_run_with_the_engine_off_is_not_published(
    tree: Path, run: FullRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE", "off")

    assert reasons_not_publishable(run, tree) == ["ENGINE is set"]
