"""`make upgrade` and `make install`: a running gunicorn gets the new version, or keeps the old."""

import http.client
import json
import runpy
import shutil
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_servers import CONFAB
from tests.servers import ROOT, ConfabServer, Program
from tests.services import certificate
from tests.storage.schema import HEAD, NEWER, add_migration
from tests.test_make_commands import failure_of, installed_tree, start, tree

__all__ = ["installed_tree", "tree"]

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

UPGRADE = runpy.run_path(str(ROOT / "bin" / "upgrade.py"))
ADDITION = "op.add_column('rooms', sa.Column('topic', sa.Text()))"


class GunicornOfTree(ConfabServer):
    """A gunicorn with one worker that serves the program in a tree, with a database there."""

    def __init__(self, tree: Path, folder: Path) -> None:
        def command_line(port: int) -> list[str]:
            options = ["-k", "eventlet", "-w", "1", "-b", f"127.0.0.1:{port}"]
            return [str(tree / ".venv/bin/python"), "-m", "gunicorn", *options, "app:app"]

        super().__init__(folder, command_line, INSTANCE=str(folder / "instance"))
        self.where = tree


@pytest.fixture
def server(installed_tree: Path, tmp_path: Path) -> Iterator[GunicornOfTree]:
    # With what Python has compiled, so that the server starts faster.
    shutil.copytree(ROOT / "chat", installed_tree / "chat", dirs_exist_ok=True)
    running = GunicornOfTree(installed_tree, tmp_path / "server")
    try:
        running.start()
        yield running
    finally:
        running.stop()


def release(tree: Path, version: str, before: str = "0.1.0") -> None:
    """Make the program in a tree another release."""
    module = tree / "chat/web/version.py"
    module.write_text(module.read_text().replace(f'"{before}"', f'"{version}"'))


def run_make(tree: Path, target: str) -> str:
    """Run a make command that succeeds; return what it prints."""
    with start(tree, "make", target) as make:
        out, err = make.communicate(timeout=90)
    assert make.returncode == 0, out + err
    return out


def version(server: ConfabServer) -> Any:
    """Return what `/version` answers."""
    with urllib.request.urlopen(f"{server.url}/version", timeout=30) as response:
        return json.load(response)


def test_the_running_gunicorn_gets_the_new_version_or_keeps_the_old_one(
    installed_tree: Path, server: GunicornOfTree
) -> None:
    server.room("kitchen")
    master, *workers = server.processes()
    release(installed_tree, "9.9.10")
    add_migration(installed_tree / "migrations", upgrade="raise RuntimeError('not today')")

    failure = failure_of(installed_tree, "make", "upgrade")

    assert failure == (
        "The database was not upgraded: not today. The running server was not reloaded."
    )
    assert server.processes() == [master, *workers]
    assert (version(server)["version"], version(server)["schema"]) == ("0.1.0", HEAD)

    add_migration(installed_tree / "migrations", upgrade=ADDITION)
    printed = run_make(installed_tree, "upgrade").splitlines()

    assert printed == [
        f"Upgraded the database from schema {HEAD} to {NEWER}.",
        f"Reloading gunicorn ({master}).",
        f"gunicorn ({master}) serves the new version.",
    ]
    assert server.processes()[0] == master
    assert not set(server.processes()[1:]) & set(workers)
    assert (version(server)["version"], version(server)["schema"]) == ("9.9.10", NEWER)
    assert server.head("kitchen") == 0

    go_back(installed_tree, server)

    assert (version(server)["version"], version(server)["schema"]) == ("0.1.0", HEAD)
    assert server.head("kitchen") == 0


def go_back(tree: Path, server: GunicornOfTree) -> None:
    """Return to the older release and its schema, as docs/upgrade.md describes."""
    server.stop()
    subprocess.run(
        [*CONFAB, "schema", "--downgrade", HEAD, "--yes"],
        cwd=tree,
        env=server.environment,
        check=True,
        capture_output=True,
        timeout=60,
    )
    release(tree, "0.1.0", before="9.9.10")
    (tree / "migrations" / "versions" / f"{NEWER}_newer.py").unlink()
    server.start()


def test_a_release_that_cannot_be_imported_is_not_loaded(
    installed_tree: Path, server: GunicornOfTree
) -> None:
    processes = server.processes()
    (installed_tree / "chat/web/version.py").write_text("def:\n")

    failure = failure_of(installed_tree, "make", "upgrade")

    assert "SyntaxError" in failure
    assert server.processes() == processes
    assert server.is_ready()


@contextmanager
def on_unix_socket_with_tls(tree: Path, folder: Path) -> Iterator[Path]:
    """Run a gunicorn of a tree on a Unix socket with TLS; yield the path of the socket."""
    path = folder / "confab.sock"
    certificate_path, key_path = certificate(folder)
    options = [
        "-b",
        f"unix:{path}",
        "--certfile",
        str(certificate_path),
        "--keyfile",
        str(key_path),
    ]
    words = [str(tree / ".venv/bin/python"), "-m", "gunicorn", *options, "app:app"]
    program = Program(folder, words, lambda: is_ready(path), INSTANCE=str(folder / "instance"))
    program.where = tree
    try:
        program.start()
        yield path
    finally:
        program.stop()


def is_ready(path: Path) -> bool:
    """Return whether a server on a Unix socket with TLS answers."""
    client = http.client.HTTPConnection("localhost")
    try:
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(5)
            plain.connect(str(path))
            client.sock = ssl._create_unverified_context().wrap_socket(plain)
            client.request("GET", "/readyz")
            return client.getresponse().status == 200
    except OSError:
        return False
    finally:
        client.close()


def test_a_gunicorn_on_a_unix_socket_with_tls_is_found_too(
    installed_tree: Path, tmp_path: Path
) -> None:
    with on_unix_socket_with_tls(installed_tree, tmp_path / "server") as path:
        printed = run_make(installed_tree, "upgrade")

        assert f"Nothing to do: the database has schema {HEAD}." in printed
        assert "serves the new version." in printed
        assert is_ready(path)


def test_without_a_running_server_the_database_is_only_migrated(installed_tree: Path) -> None:
    assert run_make(installed_tree, "install") == ""
    assert not (installed_tree / "instance").exists()

    printed = run_make(installed_tree, "upgrade").splitlines()

    assert printed == [
        f"Created the tables with schema {HEAD}.",
        UPGRADE["NONE_RUNNING"],
    ]


def test_a_gunicorn_that_has_ended_is_not_ready() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()

    assert not UPGRADE["Gunicorn"](ended.pid, uid=0, gid=0).is_ready()


def test_a_setting_that_is_not_valid_is_named(installed_tree: Path) -> None:
    failure = failure_of(installed_tree, "make", "upgrade", DATABASE_URL="mysql://host/name")

    assert failure.startswith("The database was not upgraded: DATABASE_URL names mysql")
