"""An old release beside a newer one on the same database: it serves while the schema allows it, else it refuses."""

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
from tests.servers import ConfabServer, _serving, free_port, wait_until
from tests.services import Redis
from tests.storage.schema import NEWER, add_migration, newer_migrations, schema_tools
from tests.test_commands import NOT_COPIED, ROOT

pytestmark = pytest.mark.servers

GUNICORN = [sys.executable, "-m", "gunicorn", "-k", "eventlet", "-w", "1", "app:app", "-b"]
ADDITIONS = (
    "op.add_column('messages', sa.Column('colour', sa.Text()));"
    " op.add_column('rooms', sa.Column('topic', sa.Text(), nullable=False, server_default='none'))"
)


@pytest.fixture
def shared(tmp_path: Path, database: dict[str, str]) -> dict[str, str]:
    """The settings that both releases have: one instance folder, and so one secret and one database."""
    return {"INSTANCE": str(tmp_path / "instance")} | database


@pytest.fixture
def newer_tree(tmp_path: Path) -> Path:
    """The tree of a newer release, whose migration only adds: this program may use its schema."""
    tree = Path(
        shutil.copytree(ROOT, tmp_path / "newer tree", ignore=shutil.ignore_patterns(*NOT_COPIED))
    )
    add_migration(tree / "migrations", upgrade=ADDITIONS)
    return tree


@contextmanager
def release(tree: Path, folder: Path, **settings: str) -> Iterator[ConfabServer]:
    """A release that serves with one gunicorn worker."""
    server = ConfabServer(folder, lambda port: [*GUNICORN, f"127.0.0.1:{port}"], **settings)
    server.where = tree
    with _serving(server):
        yield server


def revision(server: ConfabServer) -> str | None:
    """The revision of the database."""
    with server.database() as engine, engine.connect() as connection:
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found


def kill_worker(server: ConfabServer) -> None:
    """Kill the worker of a gunicorn; another has started, and serves, when this returns."""
    master, worker = server.processes()
    os.kill(worker, signal.SIGKILL)
    wait_until(
        lambda: len(server.processes()) == 2 and server.processes() != [master, worker],
        what="a new worker",
    )
    wait_until(server._is_well, what="the new worker answers")


def test_a_worker_of_the_old_release_restarts_after_a_newer_one_has_migrated(
    tmp_path: Path, shared: dict[str, str], newer_tree: Path, redis_server: Redis
) -> None:
    shared["REDIS_URL"] = redis_server.url
    with release(ROOT, tmp_path / "old", **shared) as old, Node() as node:
        old.room("kitchen")
        with release(newer_tree, tmp_path / "newer", **shared) as newer:
            assert revision(old) == NEWER
            kill_worker(old)
            ada, ben = node.person(old.url), node.person(newer.url)
            ada.join("kitchen")
            ben.join("kitchen")

            ada.post("from the old release")
            assert [said["message"] for said in ben.hear(1)] == ["from the old release"]
            ben.post("from the newer one")
            assert [said["message"] for said in ada.hear(2)] == [
                "from the old release",
                "from the newer one",
            ]
            assert ada.ask("edit", {"seq": 1, "message": "edited by the old release"})["ok"]
            assert [changed["message"] for changed in ben.hear(1, "change")] == [
                "edited by the old release"
            ]
            old.room("made-by-the-old-release")

        assert revision(old) == NEWER
        with old.database() as engine, engine.connect() as connection:
            topics = connection.execute(text("SELECT topic FROM rooms")).scalars().all()
        assert topics == ["none", "none"]
        assert f"the schema of a newer Confab ({NEWER}), which this release can use" in old.log()
        assert "cannot start" not in old.log()


def test_a_release_that_the_newer_schema_does_not_allow_refuses_with_one_sentence(
    tmp_path: Path, shared: dict[str, str]
) -> None:
    config = Config(instance=Path(shared["INSTANCE"]), database_url=shared.get("DATABASE_URL"))
    config.instance.mkdir()
    with schema_tools(config):
        upgrade(directory=newer_migrations(tmp_path, compatible_from=NEWER))

    ended = subprocess.run(
        [*GUNICORN, f"127.0.0.1:{free_port()}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **shared},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    said = ended.stdout + ended.stderr
    sentence = f"Confab cannot start: This database was made by a newer Confab (schema {NEWER}): update the program"
    assert ended.returncode == 3
    assert said.count(sentence) == 1
    assert "Traceback" not in said
