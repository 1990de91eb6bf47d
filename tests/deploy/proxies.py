"""nginx, HAProxy and Caddy with the files of deploy/, on free ports and with own certificates.

Each file is used as it is, except for what an operator replaces (the name, the certificate, the
hosts), the ports, and the folders that a program without root's permissions could not write.
"""

import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path

from tests.servers import ROOT, Program, free_port

DEPLOY = ROOT / "deploy"
NAME = "chat.example.org"
"""The name in the files, which an operator replaces."""

CERTIFICATE_VARIABLES = (
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "WEBSOCKET_CLIENT_CA_BUNDLE",
)
"""By which clients in Node and Python learn what certificate to trust."""

CLIENTS = {"nginx": "127.0.0.2", "haproxy": "127.0.0.3", "caddy": "127.0.0.4"}
"""The address of the clients of each proxy. The tests share a server, which limits addresses."""

FIRST_HOST = re.compile(r"(?:127\.0\.0\.1|10\.0\.0\.1):5000")
SECOND_HOST = re.compile(r"10\.0\.0\.2:5000")
FOR_SEVERAL_HOSTS = re.compile(
    r"^(\s*)# (?=server |use-server |~\^|@\w+ |reverse_proxy )", re.MULTILINE
)
"""The beginning of a line that an operator with several hosts uncomments."""


class HttpsProxy(Program):
    """A proxy in front of one or two hosts, which listen at these ports of this machine."""

    binary: str

    def __init__(self, folder: Path, hosts: Sequence[str]) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.http_port = free_port()
        self.https_port = free_port()
        path = shutil.which(self.binary, path=f"{os.environ['PATH']}:/usr/sbin")
        assert path, f"these tests need {self.binary}: make deps"
        super().__init__(folder, [path, *self.configure(list(hosts))], self.is_ready)

    @property
    def url(self) -> str:
        """The address for browsers."""
        return f"https://localhost:{self.https_port}"

    @property
    def certificate(self) -> Path:
        """The file with the certificate that clients have to trust."""
        return self.folder / "certificate.pem"

    @abstractmethod
    def configure(self, hosts: list[str]) -> list[str]:
        """Write the configuration; return the options of the command."""

    def is_ready(self) -> bool:
        """Return whether the proxy passes requests on."""
        return self.certificate.exists() and self.status("/healthz") == 200

    def status(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> int:
        """Request a path, without following a redirect; return the status, or 0 without answer."""
        try:
            return self.request(path, body, headers).status
        except (OSError, HTTPException):
            return 0

    def request(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> HTTPResponse:
        """Request a path with https, as a client on another machine; return the answer.

        Its address is no address of a proxy. Raises OSError and HTTPException.
        """
        context = ssl.create_default_context(cafile=self.certificate)
        source = (CLIENTS[self.binary], 0)
        connection = HTTPSConnection(
            "localhost", self.https_port, context=context, timeout=10, source_address=source
        )
        with closing(connection):
            connection.request("GET" if body is None else "POST", path, body, headers or {})
            response = connection.getresponse()
            response.read()
            return response

    def redirect_of(self, path: str) -> str | None:
        """Return where a request without https is redirected."""
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.http_port), timeout=10) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                head = answer.read().decode()
        found = re.search(r"^location: (\S+)", head, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else None

    def text_for(self, hosts: list[str]) -> str:
        """Return the proxy's file of deploy/ with the name and the hosts of this test."""
        text = (DEPLOY / self.file_name()).read_text().replace(NAME, "localhost")
        if len(hosts) > 1:
            text = FOR_SEVERAL_HOSTS.sub(r"\1", text)
            text = SECOND_HOST.sub(hosts[1], text)
        return FIRST_HOST.sub(hosts[0], text)

    @classmethod
    def file_name(cls) -> str:
        """Return the name of the proxy's file in deploy/."""
        return f"{cls.binary}.conf"


class Nginx(HttpsProxy):
    """nginx with deploy/nginx.conf, which Debian includes in the block `http`."""

    binary = "nginx"

    def configure(self, hosts: list[str]) -> list[str]:
        """Write the configuration; return the options of the command."""
        make_certificate(self.folder)
        site = self.text_for(hosts)
        site = re.sub(r"(listen (?:\[::\]:)?)80;", rf"\g<1>{self.http_port};", site)
        site = re.sub(r"(listen (?:\[::\]:)?)443 ", rf"\g<1>{self.https_port} ", site)
        site = site.replace(
            "/etc/letsencrypt/live/localhost/fullchain", f"{self.folder}/certificate"
        )
        site = site.replace("/etc/letsencrypt/live/localhost/privkey", f"{self.folder}/key")
        folders = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "\n".join(f"{each}_temp_path {self.folder}/{each};" for each in folders)
        (self.folder / "site.conf").write_text(site)
        (self.folder / "nginx.conf").write_text(f"""
            daemon off;
            user {pwd.getpwuid(os.geteuid()).pw_name};
            pid {self.folder}/pid;
            events {{ worker_connections 4096; }}
            http {{
                {temporary}
                include {self.folder}/site.conf;
            }}
        """)
        return ["-e", "stderr", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]


class HAProxy(HttpsProxy):
    """HAProxy with deploy/haproxy.cfg."""

    binary = "haproxy"

    def configure(self, hosts: list[str]) -> list[str]:
        """Write the configuration; return the options of the command."""
        make_certificate(self.folder)
        both = (self.folder / "certificate.pem").read_text() + (self.folder / "key.pem").read_text()
        (self.folder / "both.pem").write_text(both)
        text = self.text_for(hosts)
        text = text.replace("bind :::80 ", f"bind :::{self.http_port} ")
        text = text.replace("bind :::443 ", f"bind :::{self.https_port} ")
        text = text.replace("/etc/haproxy/localhost.pem", str(self.folder / "both.pem"))
        if os.geteuid() != 0:  # who may not change to another user
            text = re.sub(r"^    (user|group) haproxy\n", "", text, flags=re.MULTILINE)
        (self.folder / "haproxy.cfg").write_text(text)
        return ["-db", "-f", str(self.folder / "haproxy.cfg")]

    @classmethod
    def file_name(cls) -> str:
        """Return the name of the proxy's file in deploy/."""
        return "haproxy.cfg"


class Caddy(HttpsProxy):
    """Caddy with deploy/Caddyfile. For the name localhost, it makes a certificate itself."""

    binary = "caddy"

    @property
    def certificate(self) -> Path:
        """The file with the certificate of Caddy's own authority."""
        return self.folder / "storage" / "pki" / "authorities" / "local" / "root.crt"

    def configure(self, hosts: list[str]) -> list[str]:
        """Write the configuration; return the options of the command."""
        upstreams = " ".join(hosts)
        text = self.text_for(hosts).replace(f"{{$UPSTREAM:{hosts[0]}}}", upstreams)
        options = f"""{{
            admin off
            skip_install_trust
            http_port {self.http_port}
            https_port {self.https_port}
            storage file_system {self.folder}/storage
        """
        text = re.sub(r"^\{\n", options, text, count=1, flags=re.MULTILINE)
        (self.folder / "Caddyfile").write_text(text)
        return ["run", "--adapter", "caddyfile", "--config", str(self.folder / "Caddyfile")]

    @classmethod
    def file_name(cls) -> str:
        """Return the name of the proxy's file in deploy/."""
        return "Caddyfile"


PROXIES: dict[str, type[HttpsProxy]] = {"nginx": Nginx, "HAProxy": HAProxy, "Caddy": Caddy}


def make_certificate(folder: Path) -> None:
    """Write certificate.pem and key.pem for localhost, signed with the key itself."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )


@contextmanager
def https_proxy(kind: str, folder: Path, *hosts: str) -> Iterator[HttpsProxy]:
    """Start a proxy for hosts, such as `127.0.0.1:8000`, and stop it in the end."""
    proxy = PROXIES[kind](folder, hosts)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.stop()
