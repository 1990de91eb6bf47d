"""Starting the server: plain gunicorn works; other starts fail with one sentence and status 3."""

import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clients import Node
from tests.conftest import Patch
from tests.servers import (
    ROOT,
    START_SECONDS,
    ConfabServer,
    _serving,
    bound_by_permissions,
    flask_run,
    free_port,
    gunicorn,
    wait_until,
)

GUNICORN = (sys.executable, "-m", "gunicorn", "app:app")
FLASK = (sys.executable, "-m", "flask", "--app", "app", "run")
PREFIX = "Confab cannot start: "

servers = pytest.mark.servers


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return a minimal environment, with an instance folder of its own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "INSTANCE": str(tmp_path / "instance"),
        "ENV_FILE": os.devnull,
        "FLASK_SKIP_DOTENV": "1",
    }


def output(words: tuple[str, ...], environment: dict[str, str], status: int = 3) -> str:
    """Return what a start that has to fail prints."""
    try:
        ended = subprocess.run(
            words,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"{words} still runs: {error.stderr!r}")
    printed = ended.stdout + ended.stderr
    assert "Traceback" not in printed, printed
    assert ended.returncode == status, printed
    return printed


def sentence(words: tuple[str, ...], environment: dict[str, str]) -> str:
    """Return the one sentence that a start which fails prints."""
    printed = output(words, environment)
    sentences = [line for line in printed.splitlines() if line.startswith(PREFIX)]
    assert len(sentences) == 1, printed
    assert sentences[0].endswith("."), printed
    return sentences[0].removeprefix(PREFIX)


# Starts that work


@servers
def test_plain_gunicorn_delivers_messages(tmp_path: Path) -> None:
    server = ConfabServer(tmp_path, lambda port: [*GUNICORN, "-b", f"127.0.0.1:{port}"])
    with _serving(server), Node() as node:
        server.room("kitchen")
        ada, ben = node.person(server.url), node.person(server.url)
        ada.join("kitchen")
        ben.join("kitchen")

        ada.post("hello")

        assert [message["message"] for message in ben.hear(1)] == ["hello"]
        assert server.page("/healthz")


@servers
def test_plain_gunicorn_uses_host_port_and_workers(tmp_path: Path) -> None:
    port = str(free_port())
    with started(tmp_path, HOST="127.0.0.2", PORT=port, WORKERS="2") as server:
        wait_until(lambda: f"Listening at: http://127.0.0.2:{port} " in server.log())
        wait_until(lambda: server.log().count("Booting worker") == 2, what="two workers")


@servers
def test_a_host_that_is_not_an_address_is_ignored_and_reported_once(tmp_path: Path) -> None:
    port = str(free_port())
    with started(tmp_path, HOST="x86_64-pc-linux-gnu", PORT=port) as server:
        wait_until(lambda: f"Listening at: http://0.0.0.0:{port} " in server.log())
        reported = re.findall(r"HOST=x86_64-pc-linux-gnu is not an IP address.*", server.log())
        assert len(reported) == 1


@servers
@pytest.mark.parametrize(
    "serve", [flask_run, partial(gunicorn, workers=2)], ids=["flask", "gunicorn"]
)
def test_a_name_that_is_no_setting_is_reported_once(
    tmp_path: Path, serve: Callable[..., AbstractContextManager[ConfabServer]]
) -> None:
    with serve(tmp_path, CONFAB_REDIS_URI="redis://localhost") as server:
        report = (
            "CONFAB_REDIS_URI is not a setting and has no effect: did you mean CONFAB_REDIS_URL?"
        )
        wait_until(lambda: report in server.log())
        assert server.log().count("CONFAB_REDIS_URI") == 1


@contextmanager
def started(folder: Path, **environment: str) -> Iterator[ConfabServer]:
    """Start a plain gunicorn, whose address is given only by its environment."""
    server = ConfabServer(folder, lambda _port: list(GUNICORN), **environment)
    server._answers = lambda: "Listening at" in server.log()
    with _serving(server):
        yield server


@pytest.mark.parametrize(
    ("environment", "bind"),
    [
        ({}, "127.0.0.1:5000"),
        ({"HOST": "", "PORT": ""}, "127.0.0.1:5000"),
        ({"PORT": "8000"}, "0.0.0.0:8000"),
        ({"HOST": "10.0.0.1"}, "10.0.0.1:5000"),
        ({"HOST": "10.0.0.1", "PORT": "8000"}, "10.0.0.1:8000"),
        ({"HOST": "::1"}, "[::1]:5000"),
        ({"HOST": "[::]", "PORT": "8000"}, "[::]:8000"),
        ({"HOST": "localhost", "PORT": "8000"}, "127.0.0.1:8000"),
        ({"HOST": "adas-laptop", "PORT": "8000"}, "0.0.0.0:8000"),
        ({"HOST": "adas-laptop"}, "127.0.0.1:5000"),
        ({"HOST": "10.0.0.256"}, "127.0.0.1:5000"),
    ],
)
def test_gunicorn_binds_to_host_and_port(
    environment: dict[str, str], bind: str, settings: Callable[..., dict[str, Any]]
) -> None:
    assert settings(**environment)["bind"] == bind


@pytest.mark.parametrize(
    "words", [("-b", "127.0.0.1:8000"), ("--bind=127.0.0.1:8000",), ("-b127.0.0.1:8000",)]
)
def test_a_bind_on_the_command_line_takes_precedence(
    words: tuple[str, ...], settings: Callable[..., dict[str, Any]]
) -> None:
    read = settings(*words, HOST="adas-laptop", PORT="no port")
    assert "bind" not in read
    assert read["startup_warnings"] == []
    assert "bind" not in settings(GUNICORN_CMD_ARGS=" ".join(words), PORT="no port")


def test_workers_on_the_command_line_take_precedence(
    settings: Callable[..., dict[str, Any]],
) -> None:
    assert settings(WORKERS="3")["workers"] == 3
    assert "workers" not in settings(WEB_CONCURRENCY="3")  # which gunicorn reads itself
    assert "workers" not in settings("-w", "2", WORKERS="3")
    assert "workers" not in settings(GUNICORN_CMD_ARGS="--workers=2", WORKERS="many")


@pytest.fixture
def settings(monkeypatch: Patch) -> Callable[..., dict[str, Any]]:
    """Return a function that reads gunicorn.conf.py with a command line and an environment."""

    def read(*words: str, **environment: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["gunicorn", *words, "app:app"])
        for name in ("HOST", "PORT", "WORKERS", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        try:
            return runpy.run_path(str(ROOT / "gunicorn.conf.py"))
        finally:
            # The worker's module patches this process as soon as somebody looks into it.
            sys.modules.pop("confab_gunicorn_worker", None)

    return read


# Starts that fail


@servers
@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ("-k sync", "leave -k out"),
        ("-k gthread --threads 4", "leave -k out"),
        ("-k tornado", "leave -k out"),
        ("-k evenlet", "leave -k out"),
        ("-k gunicorn.workers.sync.SyncWorker -w 2", "leave -k out"),
        ("-c /dev/null", "gunicorn.conf.py"),
        ("--preload", "leave --preload out"),
        ("-k gevent --preload", "leave --preload out"),
        ("-w 0", "1 or more"),
    ],
)
def test_a_start_command_that_cannot_work_is_refused(
    options: str, remedy: str, environment: dict[str, str], tmp_path: Path
) -> None:
    if "/dev/null" in options:
        (tmp_path / "empty.py").write_text("")
        options = options.replace("/dev/null", str(tmp_path / "empty.py"))
    port = f"127.0.0.1:{free_port()}"

    assert remedy in sentence((*GUNICORN, "-b", port, *options.split()), environment)


@servers
def test_options_in_gunicorn_cmd_args_are_checked_too(environment: dict[str, str]) -> None:
    environment["GUNICORN_CMD_ARGS"] = f"-k sync -b 127.0.0.1:{free_port()}"

    assert sentence(GUNICORN, environment).startswith("The worker class sync ")


@servers
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "\u0665\u0660"),
        ("WORKERS", "many"),
        ("WORKERS", "0"),
        ("WORKERS", "-1"),
        ("SECRET_KEY", "short"),
    ],
)
def test_gunicorn_refuses_an_invalid_setting(
    name: str, value: str, environment: dict[str, str]
) -> None:
    environment |= {"PORT": str(free_port()), name: value}

    assert sentence(GUNICORN, environment).startswith(name)


@servers
def test_only_one_of_several_workers_reports_that_it_cannot_start(
    environment: dict[str, str],
) -> None:
    environment |= {"PORT": str(free_port()), "WORKERS": "4", "SECRET_KEY": "short"}

    assert sentence(GUNICORN, environment).startswith("SECRET_KEY")


@servers
def test_an_added_worker_that_cannot_start_leaves_the_others_serving(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server:
        secret_key = next(tmp_path.rglob("secret_key"))
        key = secret_key.read_bytes()
        secret_key.write_bytes(b"\xff")
        master, first = server.processes()
        os.kill(master, signal.SIGTTIN)
        wait_until(lambda: "Confab cannot start" in server.log(), START_SECONDS, "the report")
        assert server.is_ready()

        secret_key.write_bytes(key)
        wait_until(
            lambda: server.log().count("Booting worker") >= 3, START_SECONDS, "another attempt"
        )
        assert first in server.processes()
        assert server.is_ready()


@servers
def test_flask_refuses_an_invalid_number_of_workers(environment: dict[str, str]) -> None:
    assert sentence(FLASK, environment | {"CONFAB_WORKERS": "x"}).startswith("CONFAB_WORKERS=x ")


@servers
@pytest.mark.parametrize("words", [FLASK, GUNICORN], ids=["flask", "gunicorn"])
def test_a_secret_key_that_cannot_be_read_is_named(
    words: tuple[str, ...], environment: dict[str, str]
) -> None:
    path = Path(environment["INSTANCE"], "secret_key")
    path.parent.mkdir()
    path.write_text("a secret that another user owns")
    path.chmod(0)
    environment["PORT"] = str(free_port())

    assert str(path) in sentence((*bound_by_permissions(), *words), environment)


@servers
def test_a_database_that_cannot_be_opened_is_named(environment: dict[str, str]) -> None:
    path = Path(environment["INSTANCE"], "confab.db")
    path.parent.mkdir()
    for content in (b"", b"not a database" * 1000):
        path.write_bytes(content)
        path.chmod(0o600 if content else 0)

        assert str(path) in sentence((*bound_by_permissions(), *FLASK), environment)


# Missing packages


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Return a folder with links to all installed packages, of which a test removes one.

    `python -S` finds them by PYTHONPATH.
    """
    installed = next(Path(folder) for folder in sys.path if folder.endswith("site-packages"))
    folder = tmp_path / "packages"
    folder.mkdir()
    for package in installed.iterdir():
        (folder / package.name).symlink_to(package)
    return folder


def without_site(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the same command, with no packages but those in PYTHONPATH."""
    return (words[0], "-S", *words[1:])


@servers
@pytest.mark.parametrize(("options", "package"), [((), "eventlet"), (("-k", "gevent"), "gevent")])
def test_a_missing_package_is_named(
    packages: Path, environment: dict[str, str], options: tuple[str, ...], package: str
) -> None:
    (packages / package).unlink()
    environment |= {"PYTHONPATH": str(packages), "PORT": str(free_port())}

    assert package in sentence((*without_site(GUNICORN), *options), environment)
