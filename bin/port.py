"""Finds an address and a port to serve on; prints both, or one sentence that says why not."""

import argparse
import errno
import os
import socket
import sys

DEFAULT_HOST = "127.0.0.1"
MAX_PORTS_TRIED = 100
NOT_NOW = 1
"""Exit status: another start may work."""
WRONG_SETTING = 3
"""Exit status: every start would fail."""


class NoAddress(Exception):
    """There is nowhere to serve; the sentence says why."""

    def __init__(self, sentence: str, status: int = NOT_NOW) -> None:
        super().__init__(sentence)
        self.status = status


def main() -> int:
    """Print the address and the port, with --next the first free one; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--next", action="store_true")
    parser.add_argument("host")
    parser.add_argument("port")
    arguments = parser.parse_args()
    try:
        if not arguments.next:
            check_web_concurrency()
        wanted = parse_port(arguments.port)
        host = known_host(arguments.host)
        last = min(wanted + MAX_PORTS_TRIED, 65535) if arguments.next else wanted
        address, port = first_free(host, wanted, last)
    except NoAddress as error:
        print(error, file=sys.stderr)
        return error.status
    if port != wanted:
        url = f"http://{url_host(host)}:{port}"
        print(
            f"Port {wanted} is in use, so Confab is served on port {port}: {url}", file=sys.stderr
        )
    print(address, port)
    return 0


def check_web_concurrency() -> None:
    """Raise NoAddress for a value with which gunicorn would end in a traceback.

    Only gunicorn reads it, and `make serve` does not look for the next port.
    """
    workers = os.environ.get("WEB_CONCURRENCY", "1")
    if not (workers.isascii() and workers.strip().isdigit()):
        raise NoAddress(
            f"WEB_CONCURRENCY={workers} is not a number of workers: give 1 or more.", WRONG_SETTING
        )


def parse_port(text: str) -> int:
    """Return the port as a number. Raises NoAddress."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise NoAddress(
            f"PORT={text} is not a valid port: use a number from 1 to 65535.", WRONG_SETTING
        )
    return int(text)


def known_host(host: str) -> str:
    """Return the host, or 127.0.0.1 for one that is no address: some shells export HOST."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        print(f"HOST={host} is not an address and is ignored.", file=sys.stderr)
        return DEFAULT_HOST
    return host


def first_free(host: str, first: int, last: int) -> tuple[str, int]:
    """Return the IP address of the host and its first free port. Raises NoAddress."""
    for port in range(first, last + 1):
        try:
            return bind(host, port), port
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise NoAddress(reason(error, host, port)) from None
    if first == last:
        raise NoAddress(
            f"Port {first} is in use: stop the program that uses it, "
            "or choose another port, as in PORT=8000."
        )
    raise NoAddress(f"The ports {first} to {last} are all in use: choose another, as in PORT=8000.")


def bind(host: str, port: int) -> str:
    """Bind the port for a moment, as the servers do; return the IP address. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()
    return str(address[0])


def reason(error: OSError, host: str, port: int) -> str:
    """Return what to do about a port that cannot be bound although it is free."""
    if isinstance(error, PermissionError):
        return f"Port {port} requires root: choose 1024 or higher, as in PORT=8000."
    return (
        f"HOST={host} is not an address of this machine: "
        "use 127.0.0.1, or 0.0.0.0 to accept connections from other machines."
    )


def url_host(host: str) -> str:
    """Return the host as a URL spells it."""
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main())
