"""The services beside Confab, started from their binaries: Redis, PostgreSQL and nginx."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg2
import redis as redis_client

from tests.servers import ROOT, Program, free_port

POSTGRES_USER = "postgres"  # initdb refuses to run as root


class Redis(Program):
    """A Redis server that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        words = redis_command(folder, "--port", str(self.port), "--bind", "127.0.0.1")
        super().__init__(folder, words, self.is_ready)

    def pause(self) -> None:
        """Stop the process with its connections open."""
        os.kill(self.processes()[0], signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue a paused process."""
        os.kill(self.processes()[0], signal.SIGCONT)

    def ask(self, *command: str | bytes) -> object:
        """Send a command; return the reply."""
        with redis_client.Redis.from_url(self.url, socket_timeout=2) as client:
            return client.execute_command(*command)

    @contextmanager
    def recording(self, channel: bytes) -> Iterator[Callable[[], list[bytes]]]:
        """Record what is published on a channel: the value returns all of it until now."""
        recorded: list[bytes] = []
        with redis_client.Redis.from_url(self.url, socket_timeout=2) as client:
            pubsub = client.pubsub()
            pubsub.subscribe(channel)

            def read() -> list[bytes]:
                while (message := pubsub.get_message(timeout=0.1)) is not None:
                    if message["type"] == "message":
                        recorded.append(message["data"])
                return list(recorded)

            yield read

    def is_ready(self) -> bool:
        """Return whether the server answers PING."""
        try:
            return bool(self.ask("PING"))
        except redis_client.RedisError:
            return False


class UnixRedis(Redis):
    """A Redis server that listens on a Unix socket only, with a password."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        path = folder / "redis.sock"
        self.url = f"unix://{path}?db=1&password=secret"
        self.words = redis_command(
            folder, "--port", "0", "--unixsocket", str(path), "--requirepass", "secret"
        )


def redis_command(folder: Path, *options: str) -> list[str]:
    """Return the command line of a Redis server that keeps nothing on disk."""
    return ["redis-server", "--save", "", "--dir", str(folder), *options]


class Postgres(Program):
    """A PostgreSQL server with a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        binaries = _newest_postgres_binaries()
        data = folder / "data"
        folder.chmod(0o755)
        user_words = _words_for_postgres_user(folder)
        init_options = ["-U", "confab", "-A", "trust", "-N", "-E", "UTF8", "-D", str(data)]
        subprocess.run(
            [*user_words, str(binaries / "initdb"), *init_options],
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
        words = [*user_words, str(binaries / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        super().__init__(folder, words, self.is_ready)

    def stop(self) -> None:
        """End the server without waiting for its clients: SIGINT is a "fast shutdown"."""
        self._end(signal.SIGINT)

    def database(self) -> str:
        """Create an empty database; return its URL."""
        name = f"db_{uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name}")
        return f"postgresql://confab@127.0.0.1:{self.port}/{name}"

    def run(self, sql: str) -> None:
        """Run a statement outside a transaction."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="confab", dbname="postgres", connect_timeout=2
        )
        try:
            connection.autocommit = True
            connection.cursor().execute(sql)
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Return whether the server runs statements."""
        try:
            self.run("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True


def _newest_postgres_binaries() -> Path:
    """Return the folder of the newest PostgreSQL's programs, such as /usr/lib/postgresql/15/bin."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    return max(folders, key=lambda path: int(path.parent.name))


def _words_for_postgres_user(folder: Path) -> list[str]:
    """As root, give the folder to the user `postgres`; return words that run a command as it."""
    if os.geteuid() != 0:
        return []
    owner = pwd.getpwnam(POSTGRES_USER)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    identity = ["--reuid", POSTGRES_USER, "--regid", POSTGRES_USER]
    return ["setpriv", *identity, "--clear-groups"]


class Nginx(Program):
    """An nginx that proxies to a Unix socket, with the `location` of docs/deployment.md."""

    def __init__(self, folder: Path, port: int, upstream: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._port = port
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
                    {_documented_location(upstream)}
                }}
            }}
        """)
        binary = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert binary, "these tests need nginx: make deps"
        options = ["-e", "stderr", "-p", str(folder), "-c", str(configuration)]
        super().__init__(folder, [binary, *options], self.is_ready)

    def is_ready(self) -> bool:
        """Return whether nginx accepts connections."""
        try:
            socket.create_connection(("127.0.0.1", self._port)).close()
        except OSError:
            return False
        return True


def _documented_location(upstream: Path) -> str:
    """Return the `location` block of docs/deployment.md, with another upstream."""
    location = re.search(
        r"^location / \{\n.*?^\}",
        (ROOT / "docs/deployment.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert location
    return re.sub(r"proxy_pass .*;", f"proxy_pass http://unix:{upstream};", location[0])


@contextmanager
def nginx(folder: Path, port: int, upstream: Path) -> Iterator[Nginx]:
    """Start an nginx, and stop it in the end."""
    service = Nginx(folder, port, upstream)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def redis(folder: Path, kind: type[Redis] = Redis) -> Iterator[Redis]:
    """Start a Redis server, and stop it in the end."""
    service = kind(folder)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a PostgreSQL server in a temporary folder; stop it and delete the folder in the end."""
    folder = Path(tempfile.mkdtemp(prefix="confab-postgres-"))
    service = Postgres(folder)
    try:
        service.start()
        yield service
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)
