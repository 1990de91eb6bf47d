"""The options of connections and their end, with the sockets of eventlet and gevent."""

import subprocess
import sys

import pytest

DISCONNECT_TLS = """
import socket
import ssl

from chat.engine.tcp import disconnect

client, connection = socket.socketpair()
client.settimeout(5)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
encrypted = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
disconnect(encrypted)
assert client.recv(1) == b""
"""


@pytest.mark.parametrize(
    "patch",
    ["import eventlet; eventlet.monkey_patch()", "from gevent import monkey; monkey.patch_all()"],
    ids=["eventlet", "gevent"],
)
def test_a_connection_with_tls_is_disconnected(patch: str) -> None:
    program = [sys.executable, "-W", "ignore", "-c", patch + DISCONNECT_TLS]
    ended = subprocess.run(program, capture_output=True, text=True)

    assert ended.returncode == 0, ended.stderr
