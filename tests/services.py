"""The services beside Confab, started from their binaries: Redis, PostgreSQL and nginx."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from uuid import uuid4

import psycopg2
import redis as redis_client

from tests.servers import ROOT, Program, free_port, wait_until

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

    def room_channels(self) -> list[bytes]:
        """Return the channels of rooms that a worker of Confab receives."""
        found = self.ask("PUBSUB", "SHARDCHANNELS", "confab:*:room:*")
        assert isinstance(found, list)
        return found

    def shared_channels(self) -> list[bytes]:
        """Return the channels that all workers of Confab receive, one for each installation."""
        found = self.ask("PUBSUB", "CHANNELS", "confab:*:all")
        assert isinstance(found, list)
        return found

    def publish(self, channel: bytes, message: str | bytes) -> None:
        """Publish a message on a channel of Confab."""
        self.ask("SPUBLISH" if b":room:" in channel else "PUBLISH", channel, message)

    @contextmanager
    def recording(
        self, channels: Sequence[bytes]
    ) -> Iterator[Callable[[], list[tuple[bytes, bytes]]]]:
        """Record what is published on channels of Confab.

        The value returns all of it until now, each with its channel.
        """
        recorded: list[tuple[bytes, bytes]] = []
        with redis_client.Redis.from_url(self.url, socket_timeout=2) as client:
            pubsub = client.pubsub()
            for channel in channels:
                if b":room:" in channel:
                    pubsub.ssubscribe(channel)
                else:
                    pubsub.subscribe(channel)

            def read() -> list[tuple[bytes, bytes]]:
                while (message := pubsub.get_message(timeout=0.1)) is not None:
                    if message["type"] in ("message", "smessage"):
                        recorded.append((message["channel"], message["data"]))
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


class PasswordRedis(Redis):
    """A Redis server with a password, in which some characters have a meaning in URLs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"redis://:p%40ss%2Fword@127.0.0.1:{self.port}/1"
        self.words += ["--requirepass", "p@ss/word"]


class UserRedis(Redis):
    """A Redis server with a user who is allowed what docs/scaling.md lists, and nothing else.

    `url` is that of the user, who may not manage the server.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._url_of_manager = f"redis://:managers@127.0.0.1:{self.port}/0"
        self.url = f"redis://confab:secret@127.0.0.1:{self.port}/0"
        page = (ROOT / "docs/scaling.md").read_text()
        documented = re.search(r"^user confab .*", page, re.MULTILINE)
        assert documented
        rules = documented[0].split()[1:]
        self.words += ["--requirepass", "managers", "--user", *rules]

    def ask(self, *command: str | bytes) -> object:
        """Send a command as the manager; return the reply."""
        with redis_client.Redis.from_url(self._url_of_manager, socket_timeout=2) as client:
            return client.execute_command(*command)

    def refused(self) -> list[object]:
        """Return what the server has refused to users."""
        found = self.ask("ACL", "LOG")
        assert isinstance(found, list)
        return found


class OldRedis(Redis):
    """A Redis server without sharded channels, as before Redis 7."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for command in ("SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE"):
            self.words += ["--rename-command", command, ""]


class ClusterRedis(Redis):
    """A node of a Redis Cluster."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.words += ["--cluster-enabled", "yes"]


class TlsRedis(Redis):
    """A Redis server that accepts only TLS, with a certificate of an authority of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"rediss://127.0.0.1:{self.port}/0"
        self.authority = folder / "authority.pem"
        folder.mkdir(parents=True, exist_ok=True)
        make_certificates(folder)
        self.words = redis_command(folder, "--port", "0", "--tls-port", str(self.port))
        self.words += ["--bind", "127.0.0.1", "--tls-auth-clients", "no"]
        self.words += ["--tls-ca-cert-file", str(self.authority)]
        self.words += ["--tls-cert-file", str(folder / "server.pem")]
        self.words += ["--tls-key-file", str(folder / "server.key")]

    def ask(self, *command: str | bytes) -> object:
        """Send a command; return the reply."""
        with redis_client.Redis.from_url(
            self.url, socket_timeout=2, ssl_ca_certs=str(self.authority)
        ) as client:
            return client.execute_command(*command)


def make_certificates(folder: Path) -> None:
    """Make `authority.pem` and, issued by it for 127.0.0.1, `server.pem` with `server.key`.

    They have the extensions that Python 3.13 requires (`ssl.VERIFY_X509_STRICT`).
    """
    extensions = folder / "extensions"
    extensions.write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost\n"
        "subjectKeyIdentifier=hash\n"
        "authorityKeyIdentifier=keyid\n"
    )
    new_key = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    of_authority = "-CA authority.pem -CAkey authority.key -CAcreateserial -days 2"
    commands = (
        f"{new_key} -x509 -subj /CN=authority -keyout authority.key -out authority.pem -days 2"
        " -addext keyUsage=critical,keyCertSign,cRLSign",
        f"{new_key} -subj /CN=server -keyout server.key -out request",
        f"x509 -req -in request {of_authority} -extfile extensions -out server.pem",
    )
    for command in commands:
        subprocess.run(["openssl", *command.split()], check=True, cwd=folder, capture_output=True)


class SentinelRedis:
    """A master, a replica and a Sentinel that promotes the replica when the master has ended."""

    NAME = "kitchens"

    def __init__(self, folder: Path) -> None:
        password = ("--requirepass", "secret", "--masterauth", "secret")
        self.master = Redis(folder / "master")
        self.replica = Redis(folder / "replica")
        for server in (self.master, self.replica):
            server.url = server.url.replace("//", "//:secret@")
            server.words += [*password, "--repl-diskless-sync-delay", "0"]
        self.replica.words += ["--replicaof", "127.0.0.1", str(self.master.port)]
        self._sentinel = Redis(folder / "sentinel")
        configuration = folder / "sentinel" / "sentinel.conf"
        configuration.write_text(f"""
            port {self._sentinel.port}
            bind 127.0.0.1
            sentinel monitor {self.NAME} 127.0.0.1 {self.master.port} 1
            sentinel auth-pass {self.NAME} secret
            sentinel down-after-milliseconds {self.NAME} 500
            sentinel failover-timeout {self.NAME} 2000
        """)
        self._sentinel.words = ["redis-server", str(configuration), "--sentinel"]
        nobody = free_port()  # the first Sentinel of the URL cannot be reached
        addresses = f"127.0.0.1:{nobody},127.0.0.1:{self._sentinel.port}"
        self.url = f"redis+sentinel://:secret@{addresses}/0/{self.NAME}"

    def __enter__(self) -> Self:
        try:
            for server in (self.master, self.replica):
                server.start()
            wait_until(self._is_in_sync, 30, "the replica is in sync")
            self._sentinel.start()
            wait_until(self._knows_replica, 30, "the Sentinel knows the replica")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all three."""
        for server in (self._sentinel, self.replica, self.master):
            server.stop()

    def fail_over(self) -> None:
        """Kill the master; return when the replica is the master."""
        self.master.kill()
        # A Sentinel that was stopped for two seconds does nothing for half a minute.
        wait_until(lambda: self._role(self.replica) == b"master", 45, "a new master")

    def _knows_replica(self) -> bool:
        replicas = self._sentinel.ask("SENTINEL", "REPLICAS", self.NAME)
        return bool(replicas) and self._is_in_sync()

    def _is_in_sync(self) -> bool:
        role = self._ask(self.replica, "ROLE")
        return isinstance(role, list) and role[0] == b"slave" and role[3] == b"connected"

    def subscribers(self, channel: bytes) -> object:
        """Return how many workers receive a channel of a room from the new master."""
        answer = self._ask(self.replica, "PUBSUB", "SHARDNUMSUB", channel)
        return answer[1] if isinstance(answer, list) else 0

    def _role(self, server: Redis) -> object:
        role = self._ask(server, "ROLE")
        return role[0] if isinstance(role, list) else None

    def _ask(self, server: Redis, *command: str | bytes) -> object:
        """Return a reply; None if the Sentinel has closed the connection, as it does to all."""
        with suppress(redis_client.RedisError):
            return server.ask(*command)
        return None


def redis_command(folder: Path, *options: str) -> list[str]:
    """Return the command line of a Redis server that keeps nothing on disk."""
    return ["redis-server", "--save", "", "--dir", str(folder), *options]


class Postgres(Program):
    """A PostgreSQL server with a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        binaries = _newest_postgres_binaries()
        data = folder / "data"
        self._data = data
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

    def pause(self) -> None:
        """Stop all processes with their connections open."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue all processes."""
        self._signal_all(signal.SIGCONT)

    def waiting_connections(self) -> int:
        """Return how many connections have sent what the server has not read yet."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        port = f":{self.port:04X}"
        # The local address and the sizes of the queues, see proc_pid_net(5).
        return sum(row[1].endswith(port) and not row[4].endswith(":00000000") for row in rows)

    def database(self) -> str:
        """Create an empty database; return its URL."""
        name = f"db_{uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name}")
        return f"postgresql://confab@127.0.0.1:{self.port}/{name}"

    def dump(self, url: str) -> str:
        """Return what pg_dump writes about a database."""
        words = [str(_newest_postgres_binaries() / "pg_dump"), "--inserts", url]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def table_files_with(self, url: str, wanted: str) -> list[str]:
        """Return the files of a database's tables and indexes that contain a text."""
        with psycopg2.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
            (oid,) = cursor.fetchone() or (None,)
        connection.close()
        folder = self._data / "base" / str(oid)
        return [path.name for path in folder.iterdir() if wanted.encode() in path.read_bytes()]

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

    def all_processes(self) -> list[int]:
        """Return the ids of the server and its children, each of which has its own group."""
        first = self.processes()[0]
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self.all_processes():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, number)

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
    """An nginx with some `server` blocks; it is ready when `port` accepts connections."""

    def __init__(self, folder: Path, port: int, servers: str) -> None:
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
                {servers}
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


def documented_location(upstream: str, path: str = "/") -> str:
    """Return the `location` block for a path in docs/proxies.md, with another upstream."""
    location = re.search(
        rf"^location {path} \{{\n.*?^\}}",
        (ROOT / "docs/proxies.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert location
    return re.sub(r"proxy_pass .*;", f"proxy_pass {upstream};", location[0])


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine that it signs itself; return its file and its key's."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = (folder / "cert.pem", folder / "key.pem")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subject = ["-subj", "/CN=localhost", "-addext", names]
    words = ["openssl", "req", "-x509", *options, *subject, *files]
    subprocess.run(words, check=True, capture_output=True)
    return paths


@contextmanager
def nginx(folder: Path, port: int, upstream: Path) -> Iterator[Nginx]:
    """Start an nginx in front of a Unix socket, and stop it in the end."""
    location = documented_location(f"http://unix:{upstream}")
    with nginx_with(folder, port, f"server {{ listen 127.0.0.1:{port}; {location} }}") as service:
        yield service


@contextmanager
def nginx_with(folder: Path, port: int, servers: str) -> Iterator[Nginx]:
    """Start an nginx with `server` blocks, one of which listens at a port; stop it in the end."""
    service = Nginx(folder, port, servers)
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
