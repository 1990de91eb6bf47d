"""Finds an address and a port to serve on; prints both, or one sentence that says why not."""

import argparse
import errno
import socket
import sys

TEMPORARY_FAILURE_STATUS = 1
"""A later start may succeed."""

WRONG_SETTING_STATUS = 3
"""Every start with these settings would fail."""

MAX_PORT = 65535

NUMBER_OF_TRIES = 100
"""How many of the following ports --next tries."""


def main() -> int:
    """Print the address and the port, with --next the first free one; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--next", action="store_true")
    parser.add_argument("host")
    parser.add_argument("port")
    arguments = parser.parse_args()
    if not is_port(arguments.port):
        sentence = f"PORT={arguments.port} is not a port: give a number from 1 to {MAX_PORT}."
        return fail(sentence, WRONG_SETTING_STATUS)
    first = int(arguments.port)
    last = min(first + NUMBER_OF_TRIES, MAX_PORT) if arguments.next else first
    for port in range(first, last + 1):
        try:
            address = bind(arguments.host, port)
        except (OSError, UnicodeError) as error:
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                continue
            return fail(explain(error, arguments.host, port))
        if port != first:
            url = f"http://{url_host(arguments.host)}:{port}"
            print(f"Port {first} is taken, so this is on port {port}: {url}", file=sys.stderr)
        print(address, port)
        return 0
    if arguments.next:
        return fail(f"The ports {first} to {last} are all taken: choose another with PORT=.")
    return fail(f"Port {first} is taken: stop what uses it, or choose another with PORT=.")


def is_port(text: str) -> bool:
    """Return whether a text is the number of a port."""
    return text.isascii() and text.isdigit() and 0 < int(text) <= MAX_PORT


def bind(host: str, port: int) -> str:
    """Bind to the port briefly, as the servers do; return the IP address. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()
    return str(address[0])


def explain(error: Exception, host: str, port: int) -> str:
    """Return a sentence on why a port that is not in use cannot be bound."""
    if isinstance(error, PermissionError):
        return f"Port {port} is only for root: choose one from 1024 up with PORT=."
    return (
        f"HOST={host} is no address of this machine: use 127.0.0.1, or 0.0.0.0 to be reached "
        "from outside."
    )


def url_host(host: str) -> str:
    """Return the host in the form for a URL."""
    return f"[{host}]" if ":" in host else host


def fail(sentence: str, status: int = TEMPORARY_FAILURE_STATUS) -> int:
    """Print a sentence; return the exit status."""
    print(sentence, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
