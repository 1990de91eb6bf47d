"""The make commands. Each failure is reported in one sentence that states what to do."""

import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.servers import ROOT, free_port, with_default_signals

pytestmark = pytest.mark.servers

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
PACKAGES_OF_BROWSERS = ("firefox-esr", "webkit2gtk-driver", "xvfb")
TOOLS = ("awk", "basename", "cat", "cmp", "cp", "dirname", "grep", "id", "mkdir", "rm", "sed", "sh")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the project in which nothing has been installed."""
    ignored = shutil.ignore_patterns(*NOT_COPIED)
    return Path(shutil.copytree(ROOT, tmp_path / "confab", ignore=ignored))


@pytest.fixture
def installed_tree(tree: Path) -> Path:
    """A copy of the project with an installed .venv: it uses the packages these tests run with."""
    venv = tree / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "lib").symlink_to(Path(sys.prefix, "lib"))
    shutil.copy(Path(sys.prefix, "pyvenv.cfg"), venv)
    shutil.copy(tree / "requirements" / "run.txt", venv / "installed-run.txt")
    return tree


@pytest.fixture
def minimal_path(tmp_path: Path) -> Path:
    """A folder for PATH that holds only a few tools; tests add programs to it.

    Its `id` reports that the user is not root.
    """
    folder = tmp_path / "machine"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(str(shutil.which(tool)))
    write_script(folder / "id", "echo 1000")
    return folder


def write_script(path: Path, script: str) -> None:
    """Write an executable shell script."""
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def start(tree: Path, *words: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a command without a terminal, with a minimal environment, in a new process group."""
    # The PATH of the environment may lack the command itself, such as `make`.
    program = str(shutil.which(words[0]) or words[0])
    minimal = {"PATH": os.environ["PATH"], "HOME": str(tree.parent), "LANG": "C.UTF-8"}
    return subprocess.Popen(
        with_default_signals([program, *words[1:]]),
        cwd=tree,
        env=minimal | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def failure_of(tree: Path, *words: str, **environment: str) -> str:
    """Run a command that fails; return the one sentence it reports."""
    with start(tree, *words, **environment) as started:
        out, err = started.communicate()
    lines = [line for line in err.splitlines() if not line.startswith("make")]
    assert started.returncode != 0, out
    assert "Traceback" not in out + err
    assert len(lines) == 1, err
    assert lines[0].endswith(".")
    return lines[0]


@contextmanager
def serving(tree: Path, *words: str, **environment: str) -> Iterator[tuple[str, str]]:
    """Run a server; yield its URL, and what it has logged until it listens."""
    with start(tree, *words, **environment) as started:
        try:
            yield wait_for_url(started)
        finally:
            os.killpg(started.pid, signal.SIGTERM)
            started.communicate()


def wait_for_url(server: "subprocess.Popen[str]") -> tuple[str, str]:
    """Wait until a server listens; return its URL, and what it has logged until then."""
    assert server.stderr is not None
    log = ""
    for line in server.stderr:
        log += line
        found = re.search(r"(?:Running on|Listening at:) (http://[0-9.:]+)", line)
        if found:
            return found[1], log
    pytest.fail(f"the server ended: {log}")


def is_healthy(url: str) -> bool:
    """Return whether Confab answers; wait for gunicorn's worker, which starts after it listens."""
    with urllib.request.urlopen(f"{url}/healthz", timeout=30) as response:
        return bool(response.status == 200)


@pytest.fixture
def used_port() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_make_without_a_target_lists_the_commands(tree: Path) -> None:
    with start(tree, "make") as make:
        help_text, _ = make.communicate()

    listed = set(re.findall(r"^  make ([a-z]+)", help_text, re.MULTILINE))
    assert listed >= {"help", "run", "serve", "test", "browsers", "torture", "bench"}
    assert listed >= {"check", "deps", "lock", "clean"}


def test_a_second_start_installs_nothing_and_uses_less_than_ten_seconds_of_cpu(
    installed_tree: Path,
) -> None:
    used_before = cpu_seconds_of_children()

    with serving(installed_tree, "make", "run", f"PORT={free_port()}") as (url, log):
        assert is_healthy(url)

    # CPU time: the elapsed time depends on what else the machine does.
    assert cpu_seconds_of_children() - used_before < 10
    assert "Installing" not in log
    assert (installed_tree / "instance").is_dir()


def cpu_seconds_of_children() -> float:
    """Return the CPU time that processes started by the tests have used until they ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_server_started_in_the_background_ends_on_a_signal(
    installed_tree: Path, in_background: None, name: str
) -> None:
    with start(installed_tree, "make", "run", f"PORT={free_port()}") as run:
        assert run.stderr is not None
        try:
            assert any("Running on" in line for line in run.stderr)
            os.killpg(run.pid, signal.Signals[name])
            run.communicate(timeout=15)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)


def test_run_uses_the_next_free_port_when_its_own_is_in_use_and_reports_it(
    installed_tree: Path, used_port: int
) -> None:
    with serving(installed_tree, "make", "run", PORT=str(used_port)) as (url, log):
        assert is_healthy(url)

    port = int(url.rpartition(":")[2])
    assert port > used_port
    assert f"Port {used_port} is in use, so Confab is served on port {port}: {url}\n" in log


def test_serve_uses_the_given_host_port_and_workers(installed_tree: Path) -> None:
    port = free_port()
    options = ["HOST=127.0.0.2", f"PORT={port}", "WORKERS=1"]

    with serving(installed_tree, "make", "serve", *options) as (url, _):
        assert url == f"http://127.0.0.2:{port}"
        assert is_healthy(url)


def test_serve_listens_on_the_loopback_address_by_default(installed_tree: Path) -> None:
    port = free_port()

    with serving(installed_tree, "make", "serve", f"PORT={port}") as (url, _):
        assert url == f"http://127.0.0.1:{port}"


def test_serve_resolves_the_name_of_a_host(installed_tree: Path) -> None:
    port = free_port()

    with serving(installed_tree, "make", "serve", "HOST=localhost", PORT=str(port)) as (url, _):
        assert url == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("workers", ["many", "0", "-1"])
def test_an_invalid_number_of_workers_is_refused(installed_tree: Path, workers: str) -> None:
    failure = failure_of(
        installed_tree, "make", "serve", f"PORT={free_port()}", f"WORKERS={workers}"
    )

    reason = f"WORKERS={workers} is not a number of workers: give 1 or more."
    assert failure == f"Confab cannot start: {reason}"


@pytest.mark.parametrize("script", ["bin/run", "bin/serve"])
def test_an_invalid_setting_ends_with_exit_status_3(installed_tree: Path, script: str) -> None:
    with start(installed_tree, str(installed_tree / script), PORT="http") as started:
        started.communicate()

    assert started.returncode == 3


def test_serve_refuses_a_port_that_is_in_use(installed_tree: Path, used_port: int) -> None:
    failure = failure_of(installed_tree, "make", "serve", f"PORT={used_port}")

    remedy = "stop the program that uses it, or choose another port, as in PORT=8000."
    assert failure == f"Port {used_port} is in use: {remedy}"


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "5000 5001", "\u0665\u0660"])
def test_an_invalid_port_is_refused(installed_tree: Path, port: str) -> None:
    assert "is not a valid port" in failure_of(installed_tree, "make", "run", PORT=port)


def test_an_address_of_another_machine_is_refused(installed_tree: Path) -> None:
    failure = failure_of(installed_tree, "make", "run", HOST="192.0.2.1")

    assert "is not an address of this machine" in failure


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu", "a" * 70, "no such host"])
@pytest.mark.parametrize("target", ["run", "serve"])
def test_a_host_that_is_no_address_is_ignored(installed_tree: Path, target: str, host: str) -> None:
    port = free_port()

    with serving(installed_tree, "make", target, HOST=host, PORT=str(port)) as (url, log):
        assert url == f"http://127.0.0.1:{port}"
    assert f"HOST={host} is not an address and is ignored.\n" in log


@pytest.mark.parametrize("workers", ["x", "-1", "1.5", ""])
def test_serve_refuses_an_invalid_web_concurrency(installed_tree: Path, workers: str) -> None:
    port = str(free_port())

    failure = failure_of(installed_tree, "make", "serve", PORT=port, WEB_CONCURRENCY=workers)

    assert failure.startswith(f"WEB_CONCURRENCY={workers} is not a number of workers")


def test_run_starts_whatever_web_concurrency_is(installed_tree: Path) -> None:
    port = free_port()

    with serving(installed_tree, "make", "run", PORT=str(port), WEB_CONCURRENCY="x") as (url, _):
        assert url == f"http://127.0.0.1:{port}"


def test_an_unwritable_instance_folder_is_named_with_its_setting(
    installed_tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("")
    instance = str(tmp_path / "a file" / "instance")

    failure = failure_of(installed_tree, "make", "run", INSTANCE=instance)

    assert instance in failure
    assert "INSTANCE" in failure


def test_a_database_of_a_newer_release_is_refused(installed_tree: Path, tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "newer.db")
    database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    database.execute("INSERT INTO alembic_version VALUES ('fedcba987654')")
    database.commit()
    database.close()

    url = f"sqlite:///{tmp_path / 'newer.db'}"
    failure = failure_of(installed_tree, "make", "run", DATABASE_URL=url)

    assert "newer" in failure
    assert "update" in failure


def test_gunicorn_reports_a_failed_start_once_and_does_not_retry(
    installed_tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("")
    instance = str(tmp_path / "a file" / "instance")

    with start(installed_tree, "make", "serve", f"PORT={free_port()}", INSTANCE=instance) as serve:
        _, log = serve.communicate(timeout=30)

    assert serve.returncode != 0
    assert "Traceback" not in log
    assert log.count("cannot be written") == 1


def test_too_old_a_python_is_refused_with_its_version(tree: Path, minimal_path: Path) -> None:
    write_script(
        minimal_path / "python3",
        'case "$2" in *version_info*) exit 1 ;; *) echo found only 3.9.2 ;; esac',
    )

    failure = failure_of(tree, "make", "run", PATH=str(minimal_path))

    assert failure.startswith("Confab needs Python 3.11 or newer and found only 3.9.2: ")
    assert "PYTHON=" in failure


def test_a_missing_python_is_reported(tree: Path, minimal_path: Path) -> None:
    assert "found none" in failure_of(tree, "make", "run", PATH=str(minimal_path))


def test_a_newer_python_is_preferred_to_one_that_is_too_old(tree: Path, minimal_path: Path) -> None:
    write_script(minimal_path / "python3", "exit 1")
    write_script(minimal_path / "python3.13", 'case "$*" in "-m venv"*) exit 1 ;; esac')

    failure = failure_of(tree, "make", "run", PATH=str(minimal_path))

    assert failure.startswith("python3.13 could not make .venv: ")


def test_another_version_of_pyenv_is_used_if_it_does_not_have_that_of_heroku(
    tree: Path, minimal_path: Path, tmp_path: Path
) -> None:
    of_pyenv = tmp_path / "versions" / "3.12.1" / "bin"
    of_pyenv.mkdir(parents=True)
    write_script(of_pyenv / "python3", 'case "$*" in "-m venv"*) exit 1 ;; esac')
    for name in ("python3", "python3.12"):
        write_script(minimal_path / name, "exit 127")  # pyenv: version `3.13' is not installed
    (minimal_path / "sort").symlink_to(str(shutil.which("sort")))
    write_script(
        minimal_path / "pyenv",
        f'case "$1" in versions) echo 3.9.2; echo 3.12.1 ;; root) echo {tmp_path} ;; esac',
    )

    failure = failure_of(tree, "make", "run", PATH=str(minimal_path))

    assert failure.startswith(f"{of_pyenv}/python3 could not make .venv: ")


def test_a_missing_program_in_the_setting_python_is_refused(tree: Path) -> None:
    failure = failure_of(tree, "make", "run", "PYTHON=/no/python")

    assert "PYTHON=/no/python is not a Python 3.11" in failure


def test_a_missing_venv_module_is_reported_with_the_apt_command(
    tree: Path, minimal_path: Path
) -> None:
    write_script(minimal_path / "python3", 'case "$*" in *ensurepip*) exit 1 ;; esac')
    write_script(minimal_path / "apt-get", "touch called")

    failure = failure_of(tree, "make", "run", PATH=str(minimal_path))

    remedy = "run 'sudo apt-get install python3-venv', then run this command again."
    assert failure == f"python3 has no venv module: {remedy}"
    assert not (tree / "called").exists()


def test_a_missing_venv_module_is_installed_for_root(tree: Path, minimal_path: Path) -> None:
    write_script(minimal_path / "id", "echo 0")
    write_script(
        minimal_path / "python3",
        'case "$*" in *ensurepip*) [ -e installed ] ;; "-m venv"*) exit 1 ;; esac',
    )
    write_script(
        minimal_path / "apt-get",
        '[ "$*" != "install -y --no-install-recommends python3-venv" ] || echo > installed',
    )

    failure = failure_of(tree, "make", "run", PATH=str(minimal_path))

    assert (tree / "installed").exists()
    assert failure.startswith("python3 could not make .venv: ")


def test_a_first_start_without_a_network_is_reported(tree: Path) -> None:
    unreachable_index = f"http://127.0.0.1:{free_port()}/simple"

    failure = failure_of(
        tree,
        "make",
        "run",
        PYTHON=sys.executable,
        PIP_INDEX_URL=unreachable_index,
        PIP_CONFIG_FILE=os.devnull,
    )

    assert failure.startswith(
        "Python packages could not be downloaded: connect this machine to the internet"
    )
    assert "Connection refused" in (tree / ".make" / "pip.log").read_text()


def test_an_unwritable_project_folder_is_named(tree: Path) -> None:
    (tree / ".make").write_text("")

    failure = failure_of(tree, "make", "run")

    remedy = "clone Confab into a folder that you own."
    assert failure == f"You cannot write to {tree}: {remedy}"


def test_deps_prints_nothing_when_no_package_is_missing(tree: Path, minimal_path: Path) -> None:
    path = f"{minimal_path}:{os.environ['PATH']}"

    with start(tree, "make", "deps", PATH=path) as deps:
        assert deps.communicate() == ("", "")

    assert deps.returncode == 0


def test_deps_without_a_terminal_names_the_command_and_fails(
    tree: Path, minimal_path: Path
) -> None:
    write_script(minimal_path / "apt-get", "touch called")

    failure = failure_of(tree, "make", "deps", PATH=str(minimal_path))

    needed = re.fullmatch(
        r"The tests need (.*): run 'sudo make deps', then run this command again\.", failure
    )
    assert needed
    assert set(needed[1].split()) >= {"redis-server", "chromium", *PACKAGES_OF_BROWSERS}
    assert not (tree / "called").exists()


def test_deps_uses_sudo_without_a_password_prompt_in_ci(tree: Path, minimal_path: Path) -> None:
    write_script(minimal_path / "apt-get", "")
    write_script(minimal_path / "sudo", 'echo "$*"')

    with start(tree, "make", "deps", PATH=str(minimal_path), CI="1") as deps:
        assert deps.communicate() == ("-n bin/deps\n", "")


@pytest.mark.parametrize(
    "path",
    [
        "requirements/run.txt",
        "requirements/dev.txt",
        "requirements/node.txt",
        "bench/peers/channels/requirements.txt",
    ],
)
def test_lock_files_pin_every_package_by_hash_without_addresses_or_paths(path: str) -> None:
    lock = (ROOT / path).read_text()
    pinned = re.findall(r"^[a-z0-9.-]+==[^\\]+\\\n    --hash=sha256:", lock, re.MULTILINE)

    assert len(pinned) == len(re.findall(r"^[a-z]", lock, re.MULTILINE))
    assert "://" not in lock
    assert not re.search(r"(^|\s)/", lock)


def test_tests_run_with_the_versions_that_confab_runs_with() -> None:
    assert pinned_versions("run.txt") <= pinned_versions("dev.txt")


def pinned_versions(name: str) -> set[str]:
    lock = (ROOT / "requirements" / name).read_text()
    return set(re.findall(r"^[a-z0-9.-]+==\S+", lock, re.MULTILINE))
