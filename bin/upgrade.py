"""Migrates the database and reloads the gunicorn that runs in this folder, for `make upgrade`.

The new program migrates the database in a separate process, with the settings of the running
gunicorn. If that fails, gunicorn is not reloaded, and its workers go on with the previous version.
"""

import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
PROC = Path("/proc")
MIGRATE = (str(PYTHON), "-m", "flask", "--app", "app", "confab", "schema", "--upgrade")

READY_SECONDS = 60.0
POLL_SECONDS = 0.2
REQUEST_SECONDS = 5.0

LISTENING = "0A"
"""The state of a socket in /proc/net/tcp, see proc(5)."""

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nothing is bound
"""Where to connect to a socket that listens at every address."""

NONE_RUNNING = (
    "Nothing was reloaded: no gunicorn is running in this folder, or none that this user can see. "
    "If one is, run this as root or as its user."
)

Connect = Callable[[], socket.socket]


class UpgradeError(Exception):
    """The upgrade has failed; the sentence says why, and what is running now."""


@dataclass(frozen=True)
class Gunicorn:
    """The master process of a gunicorn, its user and group."""

    pid: int
    uid: int
    gid: int

    def environment(self) -> dict[str, str]:
        """Return the environment with which it was started. Raises OSError."""
        variables = os.fsdecode((PROC / str(self.pid) / "environ").read_bytes()).split("\0")
        return dict(each.split("=", 1) for each in variables if "=" in each)

    def workers(self) -> set[int]:
        """Return the process ids of its workers."""
        return {pid for pid in all_pids() if parent_of(pid) == self.pid}

    def is_running(self) -> bool:
        """Return whether the process exists."""
        return (PROC / str(self.pid)).exists()

    def is_ready(self) -> bool:
        """Return whether it can store messages, as one of its workers says."""
        try:
            addresses = listeners(self.pid)
        except OSError:  # it has ended
            return False
        return any(answers_ready(connect) for connect in addresses)


def main() -> int:
    """Migrate and reload; return the exit status."""
    try:
        running = find_gunicorns()
        for gunicorn in running:
            migrate(gunicorn.environment(), gunicorn)
        if not running:
            migrate(dict(os.environ), None)
            print(NONE_RUNNING)
        for gunicorn in running:
            reload(gunicorn)
    except UpgradeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def find_gunicorns() -> list[Gunicorn]:
    """Return the gunicorns that serve Confab from this folder, as far as this user may see them."""
    found = {pid for pid in all_pids() if serves_this_folder(pid)}
    masters = sorted(pid for pid in found if parent_of(pid) not in found)
    owners = {pid: (PROC / str(pid)).stat() for pid in masters}
    return [Gunicorn(pid, owner.st_uid, owner.st_gid) for pid, owner in owners.items()]


def serves_this_folder(pid: int) -> bool:
    """Return whether a process is a gunicorn, or a worker of one, with the app of this folder."""
    try:
        words = (PROC / str(pid) / "cmdline").read_text(errors="replace").split("\0")
        folder = (PROC / str(pid) / "cwd").readlink()
    except OSError:  # it has ended, or belongs to somebody else
        return False
    is_gunicorn = any(Path(word).name == "gunicorn" for word in words)
    return is_gunicorn and "app:app" in words and folder == ROOT


def all_pids() -> list[int]:
    """Return the ids of all processes; none where there is no /proc."""
    if not PROC.is_dir():
        return []
    return [int(path.name) for path in PROC.iterdir() if path.name.isdecimal()]


def parent_of(pid: int) -> int | None:
    """Return the parent of a process; None when it has ended."""
    try:
        after_name = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2]
    except OSError:
        return None
    return int(after_name.split()[1])


def migrate(environment: dict[str, str], owner: Gunicorn | None) -> None:
    """Migrate the database with the new program, as the user of `owner`. Raises UpgradeError."""
    # Files that root would create in the instance folder could not be opened by the workers.
    other = owner if owner is not None and os.geteuid() == 0 and owner.uid != 0 else None
    ended = subprocess.run(  # noqa: S603  # the command is our own
        MIGRATE,
        cwd=ROOT,
        env={**environment, "FLASK_SKIP_DOTENV": "1"},
        capture_output=True,
        text=True,
        check=False,
        user=None if other is None else other.uid,
        group=None if other is None else other.gid,
        extra_groups=None if other is None else [],
    )
    if ended.returncode != 0:
        server = "" if owner is None else " The running server was not reloaded."
        raise UpgradeError(
            f"The database was not upgraded: {reason_of_failure(ended.stderr)}.{server}"
        )
    print(ended.stdout.strip())


def reason_of_failure(output: str) -> str:
    """Return the last line of what a command has written, without a period or what precedes it."""
    lines = output.strip().splitlines() or ["it does not say why"]
    return re.sub("^(.* )?Error: ", "", lines[-1]).rstrip(".")


def reload(gunicorn: Gunicorn) -> None:
    """Replace the workers, and wait until the new ones are ready. Raises UpgradeError."""
    old = gunicorn.workers()
    print(f"Reloading gunicorn ({gunicorn.pid}).")
    os.kill(gunicorn.pid, signal.SIGHUP)
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up:
        if not gunicorn.is_running():
            raise UpgradeError(f"gunicorn ({gunicorn.pid}) has ended: its log says why.")
        workers = gunicorn.workers()
        is_replaced = len(workers) >= len(old) and not workers & old
        if is_replaced and gunicorn.is_ready() and gunicorn.workers() == workers:
            print(f"gunicorn ({gunicorn.pid}) serves the new version.")
            return
        time.sleep(POLL_SECONDS)
    raise UpgradeError(
        f"gunicorn ({gunicorn.pid}) was reloaded, but is not ready after {READY_SECONDS:.0f} "
        "seconds: its log says why, and docs/upgrade.md how to go back."
    )


def listeners(pid: int) -> list[Connect]:
    """Return functions that connect to the sockets at which a process listens."""
    inodes = set(socket_inodes(pid))
    net = PROC / str(pid) / "net"
    over_tcp = [
        tcp_connector(fields[1])
        for fields in (*table(net / "tcp"), *table(net / "tcp6"))
        if fields[3] == LISTENING and fields[9] in inodes
    ]
    over_unix = [
        unix_connector(fields[7])
        for fields in table(net / "unix")
        if fields[6] in inodes and len(fields) > 7
    ]
    return over_tcp + over_unix


def socket_inodes(pid: int) -> Iterator[str]:
    """Return the inodes of the sockets that a process has open."""
    for descriptor in (PROC / str(pid) / "fd").iterdir():
        with suppress(OSError):  # it has been closed meanwhile
            kind, _, inode = str(descriptor.readlink()).partition(":")
            if kind == "socket":
                yield inode.strip("[]")


def table(path: Path) -> list[list[str]]:
    """Return the rows of a table in /proc/net, without the headings."""
    if not path.exists():
        return []
    return [line.split() for line in path.read_text(errors="replace").splitlines()[1:]]


def tcp_connector(local: str) -> Connect:
    """Return a function that connects to an address of /proc/net/tcp, such as 0100007F:1388."""
    digits, _, port = local.partition(":")
    words = [digits[start : start + 8] for start in range(0, len(digits), 8)]
    packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    host = socket.inet_ntop(family, packed)
    address = (ANY_ADDRESS.get(host, host), int(port, 16))
    return lambda: socket.create_connection(address, REQUEST_SECONDS)


def unix_connector(path: str) -> Connect:
    """Return a function that connects to a Unix socket."""

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(REQUEST_SECONDS)
        connection.connect(path)
        return connection

    return connect


def answers_ready(connect: Connect) -> bool:
    """Return whether a worker answers that it can store messages, in plain HTTP or with TLS."""
    return requests_readyz(connect) or requests_readyz(lambda: with_tls(connect()))


def with_tls(connection: socket.socket) -> socket.socket:
    """Return a connection with TLS. It is one to this machine, so no certificate is checked."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def requests_readyz(connect: Connect) -> bool:
    """Return whether /readyz is answered with 200."""
    client = http.client.HTTPConnection("localhost")
    try:
        client.sock = connect()
        client.request("GET", "/readyz", headers={"Connection": "close"})
        return client.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main())
