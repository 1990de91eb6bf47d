"""PostgreSQL through PgBouncer, configured as docs/deploy.md describes it."""

import os
import pwd
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest

from tests.clients import Node
from tests.servers import ROOT, Program, free_port, gunicorn
from tests.services import POSTGRES_USER, Postgres

pytestmark = pytest.mark.servers

PAGE = (ROOT / "docs" / "deploy.md").read_text()
MIN_POOL_SIZE = re.search(r"`default_pool_size` must be at least (\d+)", PAGE)


class PgBouncer(Program):
    """A PgBouncer with the settings of the page, in front of one database."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        documented = re.search(r"^```ini\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        assert documented
        assert MIN_POOL_SIZE
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(f"""
[databases]
* = host=127.0.0.1 port={postgres.port} user=confab
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
default_pool_size = {MIN_POOL_SIZE[1]}
{documented[1]}
""")
        binary = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert binary, "these tests need pgbouncer: make deps"
        words = [binary, str(configuration)]
        if os.geteuid() == 0:  # as which it refuses to run
            user = pwd.getpwnam(POSTGRES_USER)
            os.chown(folder, user.pw_uid, user.pw_gid)
            for parent in folder.parents[:4]:
                parent.chmod(0o755)
            words = [binary, "-u", POSTGRES_USER, str(configuration)]
        super().__init__(folder, words, self.is_ready)

    def is_ready(self) -> bool:
        """Return whether it answers."""
        try:
            with closing(psycopg2.connect(port=self.port, **CONNECTION)):
                return True
        except psycopg2.OperationalError:
            return False


CONNECTION: dict[str, Any] = {"host": "127.0.0.1", "user": "confab", "dbname": "postgres"}


@contextmanager
def pgbouncer(folder: Path, postgres: Postgres) -> Iterator[PgBouncer]:
    """Start a PgBouncer, and stop it in the end."""
    service = PgBouncer(folder, postgres)
    service.start()
    try:
        yield service
    finally:
        service.stop()


def test_hosts_migrate_and_chat_through_pgbouncer(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    name = urlsplit(postgres_server.database()).path
    with pgbouncer(tmp_path / "pgbouncer", postgres_server) as service, Node() as node:
        settings: dict[str, Any] = {
            "DATABASE_URL": f"postgresql://confab@127.0.0.1:{service.port}{name}",
            "SECRET_KEY": "the key of both hosts",
        }
        # The second one starts when the first has held the lock of migrations.
        with (
            gunicorn(tmp_path / "one", **settings) as one,
            gunicorn(tmp_path / "two", **settings) as two,
        ):
            one.room("kitchen")
            ada = node.person(one.url)
            ben = node.person(two.url)
            ada.join("kitchen")
            ben.join("kitchen")

            ada.post("Hello")

            assert [message["message"] for message in ben.hear(1)] == ["Hello"]
