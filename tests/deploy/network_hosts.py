"""Hosts with a network of their own: a network namespace each, linked to this machine. Needs root.

They share the files of this machine, and so its Unix sockets.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import ConfabServer


@dataclass(frozen=True)
class NetworkHost:
    """A host by its number, from 1 to 254."""

    number: int

    @property
    def namespace(self) -> str:
        """The name of its network namespace, different in each run of the tests."""
        return f"confab-{os.getpid()}-{self.number}"

    @property
    def link(self) -> str:
        """The interface of this machine that leads to the host; at most 15 characters."""
        return f"cf{os.getpid()}-{self.number}"

    @property
    def address(self) -> str:
        """The address of the host."""
        return f"10.213.{self.number}.2"

    @property
    def neighbour(self) -> str:
        """The address of this machine, as the host sees it."""
        return f"10.213.{self.number}.1"

    def connect(self) -> None:
        """Create the host and its link."""
        _ip(f"netns add {self.namespace}")
        _ip(f"link add {self.link} type veth peer name eth0 netns {self.namespace}")
        _ip(f"address add {self.neighbour}/24 dev {self.link}")
        _ip(f"link set {self.link} up")
        _ip(f"-n {self.namespace} address add {self.address}/24 dev eth0")
        _ip(f"-n {self.namespace} link set eth0 up")
        _ip(f"-n {self.namespace} link set lo up")

    def remove(self) -> None:
        """Remove the host and its link."""
        _ip(f"link delete {self.link}")  # that of a namespace would go some time later
        _ip(f"netns delete {self.namespace}")


class HostServer(ConfabServer):
    """gunicorn with two eventlet workers on such a host, behind a proxy on this machine."""

    def __init__(self, host: NetworkHost, folder: Path, **settings: Any) -> None:
        self._host = host
        settings = settings | {"FORWARDED_ALLOW_IPS": host.neighbour, "ALLOWED_HOSTS": "*"}
        super().__init__(folder, self._command, **settings)

    @property
    def address(self) -> str:
        """The address and port for a proxy."""
        return f"{self._host.address}:{self.port}"

    @property
    def url(self) -> str:
        """The server's URL, without a slash at the end."""
        return f"http://{self.address}"

    def _command(self, port: int) -> list[str]:
        on_host = ["ip", "netns", "exec", self._host.namespace]
        options = ["-k", "eventlet", "-w", "2", "-b", f"{self._host.address}:{port}"]
        return [*on_host, sys.executable, "-m", "gunicorn", *options, "app:app"]


@contextmanager
def host_server(number: int, folder: Path, **settings: Any) -> Iterator[HostServer]:
    """Create a host and run Confab on it; stop and remove both in the end."""
    assert os.geteuid() == 0, "a network namespace needs root: run with sudo or in CI"
    host = NetworkHost(number)
    with ExitStack() as stack:
        host.connect()
        stack.callback(host.remove)
        server = HostServer(host, folder, **settings)
        stack.callback(server.stop)
        server.start()
        yield server
        assert "Traceback" not in server.log(), server.log()


def _ip(words: str) -> None:
    """Run `ip` of iproute2."""
    subprocess.run(["ip", *words.split()], check=True)
