"""`make bench BEFORE=`: another commit is checked out, gets its packages, and is removed again."""

import base64
import os
import re
import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from bench.checkout import CheckoutError, describe, full_hash, python_for, worktree
from bench.environments import InstallError
from tests.servers import ROOT

NOT_COPIED = (
    ".git",
    ".venv",
    ".make",
    "node_modules",
    "instance",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
)
AN_EXTRA_MIGRATION = '''"""A table that only this commit has."""

import sqlalchemy as sa
from alembic import op

revision = "only_before"
down_revision = "{head}"


def upgrade() -> None:
    """Create it."""
    op.create_table("only_before", sa.Column("id", sa.Integer, primary_key=True))
'''


def git(folder: Path, *arguments: str) -> str:
    """Run git in a repository; return what it prints."""
    author = (
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=ada@example.com",
        "-c",
        "commit.gpgsign=false",
    )
    done = subprocess.run(
        ["git", *author, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    """Commit everything; return the hash."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Create a repository with two commits that pin the same packages."""
    folder = tmp_path / "repository"
    (folder / "requirements").mkdir(parents=True)
    (folder / "requirements" / "run.txt").write_text("flask==1.0\n")
    (folder / ".gitignore").write_text(".make/\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    for text in ("old", "new"):
        (folder / "app.py").write_text(text)
        commit(folder, text)
    git(folder, "tag", "v1", "HEAD~1")
    return folder


def worktrees(repository: Path) -> int:
    """Return the number of worktrees besides the repository's own."""
    return git(repository, "worktree", "list", "--porcelain").count("worktree ") - 1


@pytest.mark.parametrize("name", ["HEAD~1", "v1", "main~1"])
def test_a_commit_is_found_by_any_of_its_names(repository: Path, name: str) -> None:
    assert full_hash(name, repository) == git(repository, "rev-parse", "HEAD~1")
    assert full_hash(git(repository, "rev-parse", "--short", "HEAD~1"), repository) == full_hash(
        name, repository
    )


@pytest.mark.parametrize(
    "name", ["no-such-branch", "HEAD~9", "0" * 40, "--all", "HEAD^{tree}", "HEAD:app.py", "a b"]
)
def test_a_name_that_is_not_a_commit_is_refused(repository: Path, name: str) -> None:
    with pytest.raises(CheckoutError) as refused:
        full_hash(name, repository)

    assert (
        str(refused.value)
        == f"BEFORE={name} is not a commit of this repository: give a hash, a tag or a branch."
    )


def test_a_folder_that_is_not_a_clone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "unpacked"
    folder.mkdir()

    with pytest.raises(CheckoutError, match="needs a git clone of Confab"):
        full_hash("HEAD", folder)


def test_uncommitted_changes_are_reported(repository: Path) -> None:
    short = git(repository, "rev-parse", "--short", "HEAD")
    assert describe(repository) == short

    (repository / "app.py").write_text("changed")

    assert describe(repository) == f"{short} with uncommitted changes"


def test_the_worktree_has_the_files_of_the_commit_and_is_removed(
    repository: Path,
) -> None:
    with worktree(full_hash("v1", repository), repository) as tree:
        assert (tree / "app.py").read_text() == "old"
        assert (repository / "app.py").read_text() == "new"
        (tree / "instance").mkdir()
        (tree / "instance" / "confab.db").write_text("written by a server")
        assert worktrees(repository) == 1

    assert not tree.exists()
    assert worktrees(repository) == 0
    assert git(repository, "status", "--porcelain") == ""


def test_the_worktree_is_removed_after_an_error(repository: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        worktree(full_hash("v1", repository), repository) as tree,
    ):
        raise KeyboardInterrupt

    assert not tree.exists()
    assert worktrees(repository) == 0


@pytest.mark.parametrize("left", ["the worktree", "only the files", "only the record"])
def test_leftovers_of_a_killed_benchmark_are_removed_by_the_next(
    repository: Path, left: str
) -> None:
    old = full_hash("v1", repository)
    for commit_left in (old, full_hash("main", repository)):
        tree = repository / ".make" / "bench" / "before" / commit_left[:12]
        if left == "only the files":
            tree.mkdir(parents=True)
            (tree / "app.py").write_text("from an older attempt")
            continue
        git(repository, "worktree", "add", "--detach", str(tree), commit_left)
        if left == "only the record":
            shutil.rmtree(tree)

    with worktree(old, repository) as tree:
        assert (tree / "app.py").read_text() == "old"

    assert [path.name for path in tree.parent.iterdir()] == ["lock"]


def test_two_benchmarks_of_one_tree_cannot_run_at_once(repository: Path) -> None:
    old = full_hash("v1", repository)
    with worktree(old, repository) as tree:
        with pytest.raises(CheckoutError, match="running here"), worktree(old, repository):
            pass
        assert (tree / "app.py").exists()


def test_a_commit_with_the_same_packages_uses_the_same_python(repository: Path) -> None:
    with worktree(full_hash("v1", repository), repository) as tree:
        assert python_for(tree, repository) == sys.executable


def test_a_commit_without_a_lock_file_is_refused(repository: Path) -> None:
    with worktree(full_hash("v1", repository), repository) as tree:
        (tree / "requirements" / "run.txt").unlink()
        with pytest.raises(
            CheckoutError, match=r"has no requirements/run\.txt: choose a newer commit\."
        ):
            python_for(tree, repository)


def wheel(folder: Path) -> str:
    """Create a package that can be installed without a network; return its hash."""
    record = base64.urlsafe_b64encode(sha256(b"").digest()).decode().rstrip("=")
    files = {
        "tiny/__init__.py": "",
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        "tiny-1.0.dist-info/RECORD": f"tiny/__init__.py,sha256={record},0\n",
    }
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_other_packages_are_installed_once_for_all_commits_that_pin_them(
    repository: Path, tmp_path: Path
) -> None:
    trees = [tmp_path / "first", tmp_path / "second"]
    pinned = f"--no-index\n--find-links {tmp_path}\ntiny==1.0 --hash=sha256:{wheel(tmp_path)}\n"
    for tree in trees:
        (tree / "requirements").mkdir(parents=True)
        (tree / "requirements" / "run.txt").write_text(pinned)

    python = python_for(trees[0], repository)
    assert Path(python) != Path(sys.executable)
    assert subprocess.run([python, "-c", "import tiny"]).returncode == 0
    assert subprocess.run([python, "-c", "import flask"], capture_output=True).returncode != 0

    (tmp_path / "tiny-1.0-py3-none-any.whl").unlink()  # so it cannot be installed again
    assert python_for(trees[1], repository) == python


@pytest.mark.slow
def test_packages_with_a_wrong_hash_are_refused_and_tried_again(
    repository: Path, tmp_path: Path
) -> None:
    wheel(tmp_path)
    lock = tmp_path / "tree" / "requirements" / "run.txt"
    lock.parent.mkdir(parents=True)
    lock.write_text(f"--no-index\n--find-links {tmp_path}\ntiny==1.0 --hash=sha256:{'0' * 64}\n")

    for _ in range(2):
        with pytest.raises(
            InstallError, match=r"could not be installed: see the end of .*pip\.log\."
        ):
            python_for(lock.parent.parent, repository)
    assert "DO NOT MATCH" in (repository / ".make" / "bench" / "pip.log").read_text()


def bench(tree: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run the benchmark of a tree with the packages of these tests."""
    command = [sys.executable, "-m", "bench"]
    environment = {**os.environ, **settings}
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"BEFORE": "no-such-branch"},
            "BEFORE=no-such-branch is not a commit of this repository: ",
        ),
        ({"PAIRS": "5"}, "PAIRS= needs BEFORE=: "),
        ({"BEFORE": "HEAD", "REPS": "5"}, "With BEFORE=, use PAIRS= instead of REPS=."),
        ({"REPS": "many"}, "REPS=many is not a number of repeats: "),
        (
            {"PEERS": "channels,confab-gevent", "ONLY": "A1000,BQ"},
            "The servers in PEERS= run only W1000,B,BL: ",
        ),
        ({"REPS": "0"}, "REPS=0 is not a number of repeats: "),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(
    settings: dict[str, str], sentence: str
) -> None:
    done = bench(ROOT, **settings)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def rearrange(tree: Path) -> None:
    """Give a tree of Confab another structure (a renamed package) and schema (one more table)."""
    (tree / "chat").rename(tree / "talk")
    for path in [*tree.glob("*.py"), *tree.glob("talk/**/*.py"), *tree.glob("migrations/**/*.py")]:
        path.write_text(re.sub(r"\b(from|import) chat\b", r"\1 talk", path.read_text()))
    server = tree / "gunicorn.conf.py"  # runs files of the package by their paths
    server.write_text(server.read_text().replace('"chat"', '"talk"'))
    versions = tree / "migrations" / "versions"
    sources = [path.read_text() for path in versions.glob("*.py")]
    revisions = {
        found
        for text in sources
        for found in re.findall(r'^revision.*= "(\w+)"', text, re.MULTILINE)
    }
    parents = {
        found
        for text in sources
        for found in re.findall(r'^down_revision.*= "(\w+)"', text, re.MULTILINE)
    }
    [head] = revisions - parents
    (versions / "only_before.py").write_text(AN_EXTRA_MIGRATION.format(head=head))


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_commit_with_another_structure_and_schema_is_measured(
    tmp_path: Path,
) -> None:
    tree, original = tmp_path / "confab", tmp_path / "original"
    ignored = shutil.ignore_patterns(*NOT_COPIED)
    shutil.copytree(ROOT, original, ignore=ignored)
    shutil.copytree(ROOT, tree, ignore=ignored)
    rearrange(tree)
    git(tree, "init", "--quiet")
    before = commit(tree, "another structure")
    shutil.rmtree(tree / "talk")
    shutil.copytree(original, tree, dirs_exist_ok=True)
    (tree / "migrations" / "versions" / "only_before.py").unlink()
    commit(tree, "this structure")

    done = bench(tree, BEFORE="HEAD~1", QUICK="1")

    assert done.returncode == 0, done.stdout + done.stderr
    titles = ("Confab", f"Confab at {before[:7]}", "Confab again")
    for title in titles:
        assert re.search(
            rf"^\| W50 \| {title} \| .* \| 0 / 0 / 0 \|$", done.stdout, re.MULTILINE
        ), title
    assert f"Confab at {before[:7]}, in 1 runs: " in done.stdout
    assert done.stdout.count("as many stored as sent") == 2
    verdict = r"[\d.]+ % (worse|better): (within|beyond) 5 % \+ [\d.]+ %"
    for what in ("CPU", "connect and join", "memory of an idle connection"):
        row = rf"^\| W50 \| {what} \| 1 \| [\d.]+ \| [\d.]+ \| {verdict} \|$"
        assert re.search(row, done.stdout, re.MULTILINE), what
    assert worktrees(tree) == 0
