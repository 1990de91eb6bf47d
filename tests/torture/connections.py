"""Counts the TCP connections of servers, from /proc."""

from pathlib import Path

ESTABLISHED = "01"
CLOSE_WAIT = "08"  # the client has closed, and the server has not yet


def count_connections(port: int) -> int:
    """Return how many connections a server holds on its port."""
    return len(_connections(port))


def open_client_ports(port: int) -> set[int]:
    """Return the ports of the clients whose connections a server holds on its port."""
    return {int(client.partition(":")[2], 16) for client, _ in _connections(port)}


def count_connections_of(pid: int, port: int) -> int:
    """Return how many of them one process holds."""
    held = {
        str(descriptor.readlink())
        for descriptor in Path(f"/proc/{pid}/fd").iterdir()
        if descriptor.is_symlink()
    }
    return sum(f"socket:[{inode}]" in held for _, inode in _connections(port))


def _connections(port: int) -> list[tuple[str, str]]:
    """Return the client's address and the inode of each socket on the server's side."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local_port = int(fields[1].partition(":")[2], 16)
        client = fields[2]
        state = fields[3]
        inode = fields[9]
        if local_port == port and state in (ESTABLISHED, CLOSE_WAIT) and inode != "0":
            found.append((client, inode))
    return found
