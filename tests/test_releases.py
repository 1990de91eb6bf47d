"""An old release and a newer one on the same database.

The old one serves as long as the newer schema allows it; otherwise it refuses to start.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask_migrate import upgrade
from sqlalchemy import text

from config import Config
from tests.clients import Node
from tests.servers import ROOT, ConfabServer, _serving, free_port, wait_until
from tests.services import Redis
from tests.storage.schema import NEWER, add_migration, newer_migrations, schema_tools
from tests.test_make_commands import NOT_COPIED

pytestmark = pytest.mark.servers

ADDITIONS = (
    "op.add_column('messages', sa.Column('colour', sa.Text()));"
    " op.add_column('rooms', sa.Column('topic', sa.Text(), nullable=False, server_default='none'))"
)

HOOKS_OF_0_1_0 = f"""
import runpy

# Only for the worker class, which gunicorn 25 had.
runpy.run_path({str(ROOT / "gunicorn.conf.py")!r})
worker_class = "eventlet"


def post_worker_init(worker):
    from chat.engine.worker import ready

    ready(worker)
"""


@pytest.fixture
def shared(tmp_path: Path, database: dict[str, str]) -> dict[str, str]:
    """The settings of both releases: one instance folder, so one secret key and one database."""
    return {"INSTANCE": str(tmp_path / "instance")} | database


@pytest.fixture
def newer_tree(tmp_path: Path) -> Path:
    """The source of a newer release, whose migration only adds: this release can use its schema."""
    ignored = shutil.ignore_patterns(*NOT_COPIED)
    tree = Path(shutil.copytree(ROOT, tmp_path / "newer tree", ignore=ignored))
    add_migration(tree / "migrations", upgrade=ADDITIONS)
    return tree


def gunicorn_command(port: int) -> list[str]:
    options = ["-k", "eventlet", "-w", "1", "-b", f"127.0.0.1:{port}"]
    return [sys.executable, "-m", "gunicorn", *options, "app:app"]


@contextmanager
def release(tree: Path, folder: Path, **settings: str) -> Iterator[ConfabServer]:
    """Run a release from its source, with one gunicorn worker."""
    server = ConfabServer(folder, gunicorn_command, **settings)
    server.where = tree
    with _serving(server):
        yield server


def revision_of_database(server: ConfabServer) -> str | None:
    with server.database() as engine, engine.connect() as connection:
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return revision


def restart_worker(server: ConfabServer) -> None:
    """Kill the worker of a gunicorn; return when another one serves."""
    master, worker = server.processes()
    os.kill(worker, signal.SIGKILL)

    def has_new_worker() -> bool:
        processes = server.processes()
        return len(processes) == 2 and processes != [master, worker]

    wait_until(has_new_worker, what="a new worker")
    wait_until(server.is_ready, what="the new worker answers")


def test_a_worker_of_the_old_release_can_restart_after_a_newer_one_has_migrated(
    tmp_path: Path, shared: dict[str, str], newer_tree: Path, redis_server: Redis
) -> None:
    shared["REDIS_URL"] = redis_server.url
    with release(ROOT, tmp_path / "old", **shared) as old, Node() as node:
        old.room("kitchen")
        with release(newer_tree, tmp_path / "newer", **shared) as newer:
            assert revision_of_database(old) == NEWER
            restart_worker(old)
            check_exchange_of_messages(node, old, newer)
            old.room("made-by-the-old-release")

        assert revision_of_database(old) == NEWER
        with old.database() as engine, engine.connect() as connection:
            topics = connection.execute(text("SELECT topic FROM rooms")).scalars().all()
        assert topics == ["none", "none"]
        assert f"the schema of a newer Confab ({NEWER}), which this release can use" in old.log()
        assert "cannot start" not in old.log()


def test_a_gunicorn_that_has_read_the_hooks_of_0_1_0_can_replace_a_worker(tmp_path: Path) -> None:
    hooks = tmp_path / "gunicorn.conf.py"
    hooks.write_text(HOOKS_OF_0_1_0)

    def command(port: int) -> list[str]:
        return [*gunicorn_command(port), "-c", str(hooks)]

    server = ConfabServer(tmp_path / "server", command)
    with _serving(server), Node() as node:
        server.room("kitchen")
        restart_worker(server)
        check_exchange_of_messages(node, server, server)


def check_exchange_of_messages(node: Node, old: ConfabServer, newer: ConfabServer) -> None:
    """Check that clients of the two releases receive each other's messages and changes."""
    ada = node.person(old.url)
    ben = node.person(newer.url)
    ada.join("kitchen")
    ben.join("kitchen")

    ada.post("from the old release")
    assert [message["message"] for message in ben.hear(1)] == ["from the old release"]

    ben.post("from the newer one")
    received = [message["message"] for message in ada.hear(2)]
    assert received == ["from the old release", "from the newer one"]

    assert ada.ask("edit", {"seq": 1, "message": "edited by the old release"})["ok"]
    [change] = ben.hear(1, "change")
    assert change["message"] == "edited by the old release"


def test_a_release_that_cannot_use_the_newer_schema_refuses_to_start(
    tmp_path: Path, shared: dict[str, str]
) -> None:
    config = Config(instance=Path(shared["INSTANCE"]), database_url=shared.get("DATABASE_URL"))
    config.instance.mkdir()
    with schema_tools(config):
        upgrade(directory=newer_migrations(tmp_path, compatible_from=NEWER))

    ended = subprocess.run(
        gunicorn_command(free_port()),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **shared},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    output = ended.stdout + ended.stderr
    reason = f"This database was made by a newer Confab (schema {NEWER}): update the program"
    assert ended.returncode == 3
    assert output.count(f"Confab cannot start: {reason}") == 1
    assert "Traceback" not in output
