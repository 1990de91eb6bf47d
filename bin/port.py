"""Find where to serve: prints the address and the port, or says in one sentence why there is none."""

import argparse
import errno
import socket
import sys

NOT_NOW = 1  # exit status: another start may work
WRONG_SETTING = 3  # exit status: every start would fail


def main() -> int:
    """Print the address of the host and the port asked for, or with --next the first free port from there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--next", action="store_true")
    parser.add_argument("host")
    parser.add_argument("port")
    asked = parser.parse_args()
    if not (asked.port.isascii() and asked.port.isdigit() and 0 < int(asked.port) < 65536):
        return refuse(
            f"PORT={asked.port} is not a port: give a number from 1 to 65535.", WRONG_SETTING
        )
    wanted = int(asked.port)
    last = min(wanted + 100, 65535) if asked.next else wanted
    for port in range(wanted, last + 1):
        try:
            address = bind(asked.host, port)
        except (OSError, UnicodeError) as error:
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                continue
            return refuse(why(error, asked.host, port))
        if port != wanted:
            print(
                f"Port {wanted} is taken, so this is on port {port}: http://{at(asked.host)}:{port}",
                file=sys.stderr,
            )
        print(address, port)
        return 0
    if asked.next:
        return refuse(f"The ports {wanted} to {last} are all taken: choose another with PORT=.")
    return refuse(f"Port {wanted} is taken: stop what uses it, or choose another with PORT=.")


def bind(host: str, port: int) -> str:
    """Take the port for a moment, the way the servers do; the IP address of the host."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()
    return str(address[0])


def why(error: Exception, host: str, port: int) -> str:
    """What to do about a port that cannot be had for another reason than being taken."""
    if isinstance(error, PermissionError):
        return f"Port {port} is only for root: choose one from 1024 up with PORT=."
    return f"HOST={host} is no address of this machine: use 127.0.0.1, or 0.0.0.0 to be reached from outside."


def at(host: str) -> str:
    """The host as a URL spells it."""
    return f"[{host}]" if ":" in host else host


def refuse(sentence: str, status: int = NOT_NOW) -> int:
    """Print why not; the exit status."""
    print(sentence, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
