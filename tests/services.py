"""The services beside a Confab, for the tests: Redis, PostgreSQL and nginx, started from their binaries."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg2
import redis as redis_client

from tests.servers import ROOT, Program, free_port

POSTGRES_USER = "postgres"  # initdb refuses root


class Redis(Program):
    """A Redis without memory of its own: what was published is gone with it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        super().__init__(
            folder,
            redis_command(folder, "--port", str(self.port), "--bind", "127.0.0.1"),
            self._is_well,
        )

    def pause(self) -> None:
        """Let it stand still, with its connections open."""
        os.kill(self.processes()[0], signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        os.kill(self.processes()[0], signal.SIGCONT)

    def ask(self, *command: str | bytes) -> object:
        """Send it a command; the answer."""
        with redis_client.Redis.from_url(self.url, socket_timeout=2) as client:
            return client.execute_command(*command)

    def _is_well(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis_client.RedisError:
            return False


class UnixRedis(Redis):
    """A Redis that listens on a Unix socket only, with a password."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        socket = folder / "redis.sock"
        self.url = f"unix://{socket}?db=1&password=secret"
        self.words = redis_command(
            folder, "--port", "0", "--unixsocket", str(socket), "--requirepass", "secret"
        )


def redis_command(folder: Path, *options: str) -> list[str]:
    """The command that starts a Redis which keeps nothing on disk."""
    return ["redis-server", "--save", "", "--dir", str(folder), *options]


class Postgres(Program):
    """A PostgreSQL of its own. Each call of `database` makes an empty one in it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        binaries = max(
            Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
        )
        data = folder / "data"
        folder.chmod(0o755)
        as_user: list[str] = []
        if os.geteuid() == 0:
            owner = pwd.getpwnam(POSTGRES_USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            as_user = [
                "setpriv",
                "--reuid",
                POSTGRES_USER,
                "--regid",
                POSTGRES_USER,
                "--clear-groups",
            ]
        init = [
            *as_user,
            str(binaries / "initdb"),
            "-U",
            "confab",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
            "-D",
            str(data),
        ]
        subprocess.run(
            init,
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": str(self.port),
            "max_connections": "200",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        super().__init__(
            folder, [*as_user, str(binaries / "postgres"), "-D", str(data), *options], self._is_well
        )

    def stop(self) -> None:
        """End without waiting for those who are connected."""
        self._end(signal.SIGINT)

    def database(self) -> str:
        """Make an empty database; its address."""
        name = f"db_{uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name}")
        return f"postgresql://confab@127.0.0.1:{self.port}/{name}"

    def run(self, sql: str) -> None:
        """Run a statement outside of any transaction."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="confab", dbname="postgres", connect_timeout=2
        )
        try:
            connection.autocommit = True
            connection.cursor().execute(sql)
        finally:
            connection.close()

    def _is_well(self) -> bool:
        try:
            self.run("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True


class Nginx(Program):
    """An nginx that passes every request on to a Unix socket, configured as docs/deployment.md shows."""

    def __init__(self, folder: Path, port: int, upstream: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._port = port
        location = re.search(
            r"^location / \{\n.*?^\}",
            (ROOT / "docs/deployment.md").read_text(),
            re.DOTALL | re.MULTILINE,
        )
        assert location
        proxied = re.sub(r"proxy_pass .*;", f"proxy_pass http://unix:{upstream};", location[0])
        configuration = folder / "nginx.conf"
        configuration.write_text(f"""
            daemon off;
            user {pwd.getpwuid(os.geteuid()).pw_name};
            pid {folder}/pid;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path {folder}/body;
                proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/fastcgi;
                uwsgi_temp_path {folder}/uwsgi;
                scgi_temp_path {folder}/scgi;
                server {{
                    listen 127.0.0.1:{port};
                    {proxied}
                }}
            }}
        """)
        binary = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert binary, "these tests need nginx: make deps"
        super().__init__(
            folder,
            [binary, "-e", "stderr", "-p", str(folder), "-c", str(configuration)],
            self._is_well,
        )

    def _is_well(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port)).close()
        except OSError:
            return False
        return True


@contextmanager
def nginx(folder: Path, port: int, upstream: Path) -> Iterator[Nginx]:
    """An nginx from its start to its end."""
    service = Nginx(folder, port, upstream)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def redis(folder: Path, kind: type[Redis] = Redis) -> Iterator[Redis]:
    """A Redis from its start to its end."""
    service = kind(folder)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL from its start to its end."""
    folder = Path(tempfile.mkdtemp(prefix="confab-postgres-"))
    service = Postgres(folder)
    try:
        service.start()
        yield service
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)
