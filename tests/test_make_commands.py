"""The commands on good days and bad: each bad day ends in one sentence that says what to do."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.servers import with_default_signals

pytestmark = pytest.mark.servers

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = (
    ".git",
    ".venv",
    ".make",
    "node_modules",
    "instance",
    "tests",
    "__pycache__",
    ".*_cache",
)
TOOLS = ("awk", "basename", "cat", "cmp", "cp", "dirname", "grep", "id", "mkdir", "rm", "sed", "sh")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clone in which nothing has been installed."""
    return Path(
        shutil.copytree(ROOT, tmp_path / "confab", ignore=shutil.ignore_patterns(*NOT_COPIED))
    )


@pytest.fixture
def ready(tree: Path) -> Path:
    """A clone that has been started before: it borrows the packages these tests run with."""
    venv = tree / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "lib").symlink_to(Path(sys.prefix, "lib"))
    shutil.copy(Path(sys.prefix, "pyvenv.cfg"), venv)
    shutil.copy(tree / "requirements" / "run.txt", venv / "installed-run.txt")
    return tree


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with little on it; a test adds what its machine has."""
    folder = tmp_path / "machine"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(str(shutil.which(tool)))
    program(folder / "id", "echo 1000")  # nobody is root here
    return folder


def program(path: Path, script: str) -> None:
    """Put a small program on a machine."""
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def command(tree: Path, *words: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a command with a bare environment and no terminal, in a process group of its own."""
    return subprocess.Popen(
        with_default_signals([str(shutil.which(words[0]) or words[0]), *words[1:]]),
        cwd=tree,
        env={"PATH": os.environ["PATH"], "HOME": str(tree.parent), "LANG": "C.UTF-8"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def ending(tree: Path, *words: str, **environment: str) -> str:
    """The one sentence with which a command fails."""
    with command(tree, *words, **environment) as started:
        out, err = started.communicate()
    said = [line for line in err.splitlines() if not line.startswith("make")]
    assert started.returncode != 0, out
    assert "Traceback" not in out + err
    assert len(said) == 1, err
    assert said[0].endswith(".")
    return said[0]


@contextmanager
def serving(tree: Path, *words: str, **environment: str) -> Iterator[tuple[str, str]]:
    """A server that answers: its address, and what it has said until then."""
    with command(tree, *words, **environment) as started:
        said = ""
        try:
            assert started.stderr
            for line in started.stderr:
                said += line
                if found := re.search(r"(?:Running on|Listening at:) (http://[0-9.:]+)", line):
                    yield found[1], said
                    break
            else:
                pytest.fail(f"{words} ended: {said}")
        finally:
            os.killpg(started.pid, signal.SIGTERM)
            started.communicate()


def answers(address: str) -> bool:
    """Whether it is Confab that answers there; a gunicorn that listens may still be waiting for its worker."""
    with urllib.request.urlopen(f"{address}/healthz", timeout=30) as response:
        return bool(response.status == 200)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_make_alone_lists_the_commands(tree: Path) -> None:
    with command(tree, "make") as make:
        listed, _ = make.communicate()

    names = re.findall(r"^  make ([a-z]+)", listed, re.MULTILINE)
    assert {
        "help",
        "run",
        "serve",
        "test",
        "torture",
        "bench",
        "check",
        "deps",
        "lock",
        "clean",
    } <= set(names)


def test_a_second_start_installs_nothing_and_answers_within_seconds(ready: Path) -> None:
    begun = time.monotonic()

    with serving(ready, "make", "run", f"PORT={free()}") as (address, said):
        assert answers(address)

    assert time.monotonic() - begun < 10
    assert "Installing" not in said
    assert (ready / "instance").is_dir()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_server_that_was_started_in_the_background_ends_by_a_signal(
    ready: Path, in_background: None, name: str
) -> None:
    with command(ready, "make", "run", f"PORT={free()}") as run:
        assert run.stderr is not None
        try:
            assert any("Running on" in line for line in run.stderr)
            os.killpg(run.pid, signal.Signals[name])
            run.communicate(timeout=15)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)


def test_run_goes_to_the_next_port_when_its_own_is_taken_and_says_so(
    ready: Path, taken: int
) -> None:
    with serving(ready, "make", "run", PORT=str(taken)) as (address, said):
        assert answers(address)

    port = int(address.rpartition(":")[2])
    assert port > taken
    assert f"Port {taken} is taken, so this is on port {port}: {address}\n" in said


def test_serve_honours_host_port_and_workers(ready: Path) -> None:
    port = free()

    with serving(ready, "make", "serve", "HOST=127.0.0.2", f"PORT={port}", "WORKERS=1") as (
        address,
        _,
    ):
        assert address == f"http://127.0.0.2:{port}"
        assert answers(address)


def test_serve_with_a_port_alone_is_not_reached_from_outside(ready: Path) -> None:
    port = free()

    with serving(ready, "make", "serve", f"PORT={port}") as (address, _):
        assert address == f"http://127.0.0.1:{port}"


def test_serve_finds_the_address_of_a_host_by_its_name(ready: Path) -> None:
    port = free()

    with serving(ready, "make", "serve", "HOST=localhost", PORT=str(port)) as (address, _):
        assert address == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("workers", ["many", "0", "-1"])
def test_a_number_of_workers_that_is_none_is_refused(ready: Path, workers: str) -> None:
    said = ending(ready, "make", "serve", f"PORT={free()}", f"WORKERS={workers}")

    assert (
        said
        == f"Confab cannot start: WORKERS={workers} is not a number of workers: give 1 or more."
    )


@pytest.mark.parametrize("script", ["bin/run", "bin/serve"])
def test_a_wrong_setting_ends_with_exit_status_3(ready: Path, script: str) -> None:
    with command(ready, str(ready / script), PORT="http") as started:
        started.communicate()

    assert started.returncode == 3


def test_serve_never_takes_another_port_by_itself(ready: Path, taken: int) -> None:
    assert ending(ready, "make", "serve", f"PORT={taken}") == (
        f"Port {taken} is taken: stop what uses it, or choose another with PORT=."
    )


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "5000 5001", "\u0665\u0660"])
def test_a_port_that_is_none_is_refused(ready: Path, port: str) -> None:
    assert "is not a port" in ending(ready, "make", "run", PORT=port)


@pytest.mark.parametrize("host", ["192.0.2.1", "a" * 70])
def test_a_host_that_is_not_this_machine_is_refused(ready: Path, host: str) -> None:
    assert "is no address of this machine" in ending(ready, "make", "run", HOST=host)


def test_an_instance_folder_that_cannot_be_written_is_named(ready: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")

    said = ending(ready, "make", "run", INSTANCE=str(tmp_path / "a file" / "instance"))

    assert str(tmp_path / "a file" / "instance") in said
    assert "INSTANCE" in said


def test_a_database_newer_than_the_program_is_left_alone(ready: Path, tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "newer.db")
    database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    database.execute("INSERT INTO alembic_version VALUES ('fedcba987654')")
    database.commit()
    database.close()

    said = ending(ready, "make", "run", DATABASE_URL=f"sqlite:///{tmp_path / 'newer.db'}")

    assert "newer" in said
    assert "update" in said


def test_gunicorn_says_the_sentence_too_and_does_not_try_again(ready: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")

    with command(
        ready, "make", "serve", f"PORT={free()}", INSTANCE=str(tmp_path / "a file" / "instance")
    ) as serve:
        _, said = serve.communicate(timeout=30)

    assert serve.returncode != 0
    assert "Traceback" not in said
    assert said.count("cannot be written") == 1


def test_an_older_python_is_named_and_what_to_do_about_it(tree: Path, machine: Path) -> None:
    program(
        machine / "python3",
        'case "$2" in *version_info*) exit 1 ;; *) echo found only 3.9.2 ;; esac',
    )

    said = ending(tree, "make", "run", PATH=str(machine))

    assert said.startswith("Confab needs Python 3.11 or newer and found only 3.9.2: ")
    assert "PYTHON=" in said


def test_a_machine_without_python_is_told_so(tree: Path, machine: Path) -> None:
    assert "found none" in ending(tree, "make", "run", PATH=str(machine))


def test_a_newer_python_beside_an_old_one_is_found(tree: Path, machine: Path) -> None:
    program(machine / "python3", "exit 1")
    program(machine / "python3.13", 'case "$*" in "-m venv"*) exit 1 ;; esac')

    assert ending(tree, "make", "run", PATH=str(machine)).startswith(
        "python3.13 could not make .venv: "
    )


def test_a_python_named_in_vain_is_refused(tree: Path) -> None:
    assert "PYTHON=/no/python is not a Python 3.11" in ending(
        tree, "make", "run", "PYTHON=/no/python"
    )


def test_without_the_venv_module_the_one_apt_line_is_printed(tree: Path, machine: Path) -> None:
    program(machine / "python3", 'case "$*" in *ensurepip*) exit 1 ;; esac')
    program(machine / "apt-get", "touch called")

    said = ending(tree, "make", "run", PATH=str(machine))

    assert (
        said
        == "python3 has no venv module: run 'sudo apt-get install python3-venv' and then this again."
    )
    assert not (tree / "called").exists()


def test_root_gets_the_venv_module_installed(tree: Path, machine: Path) -> None:
    program(machine / "id", "echo 0")
    program(
        machine / "python3",
        'case "$*" in *ensurepip*) [ -e installed ] ;; "-m venv"*) exit 1 ;; esac',
    )
    program(
        machine / "apt-get",
        '[ "$*" != "install -y --no-install-recommends python3-venv" ] || echo > installed',
    )

    said = ending(tree, "make", "run", PATH=str(machine))

    assert (tree / "installed").exists()
    assert said.startswith("python3 could not make .venv: ")


def test_a_first_start_without_a_network_says_so(tree: Path) -> None:
    nobody = f"http://127.0.0.1:{free()}/simple"

    said = ending(
        tree, "make", "run", PYTHON=sys.executable, PIP_INDEX_URL=nobody, PIP_CONFIG_FILE=os.devnull
    )

    assert said.startswith(
        "Python packages could not be downloaded: connect this machine to the internet"
    )
    assert "Connection refused" in (tree / ".make" / "pip.log").read_text()


def test_a_clone_that_cannot_be_written_is_named(tree: Path) -> None:
    (tree / ".make").write_text("")

    assert (
        ending(tree, "make", "run")
        == f"{tree} is not writable for you: clone Confab into a folder of your own."
    )


def test_nothing_is_asked_and_nothing_said_when_the_tests_have_all_they_need(
    tree: Path, machine: Path
) -> None:
    path = f"{machine}:{os.environ['PATH']}"

    with command(tree, "make", "deps", PATH=path) as deps:
        assert deps.communicate() == ("", "")

    assert deps.returncode == 0


def test_without_a_terminal_deps_names_the_command_and_fails(tree: Path, machine: Path) -> None:
    program(machine / "apt-get", "touch called")

    said = ending(tree, "make", "deps", PATH=str(machine))

    assert re.fullmatch(
        r"The tests need .*redis-server.*: run 'sudo make deps' and then this again\.", said
    )
    assert not (tree / "called").exists()


def test_in_ci_deps_uses_sudo_without_asking(tree: Path, machine: Path) -> None:
    program(machine / "apt-get", "")
    program(machine / "sudo", 'echo "$*"')

    with command(tree, "make", "deps", PATH=str(machine), CI="1") as deps:
        assert deps.communicate() == ("-n bin/deps\n", "")


@pytest.mark.parametrize("name", ["run.txt", "dev.txt", "node.txt"])
def test_lock_files_pin_everything_by_hash_and_name_no_machine(name: str) -> None:
    lock = (ROOT / "requirements" / name).read_text()
    pinned = re.findall(r"^[a-z0-9.-]+==[^\\]+\\\n    --hash=sha256:", lock, re.MULTILINE)

    assert len(pinned) == len(re.findall(r"^[a-z]", lock, re.MULTILINE))
    assert "://" not in lock
    assert not re.search(r"(^|\s)/", lock)


def test_what_the_tests_run_with_is_what_confab_runs_with() -> None:
    run, dev = (
        set(
            re.findall(
                r"^[a-z0-9.-]+==\S+", (ROOT / "requirements" / name).read_text(), re.MULTILINE
            )
        )
        for name in ("run.txt", "dev.txt")
    )

    assert run <= dev
