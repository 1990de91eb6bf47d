"""Clients for the tests: the real socket.io-client, and WebSocket and polling written by hand.

The clients written by hand can send what no library would send.
"""

import base64
import http.client
import json
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from itertools import count
from typing import Any, Self
from urllib.parse import urlsplit

from tests.servers import ROOT

JSON = dict[str, Any]
PATIENCE_SECONDS = 15.0

# Transports of Engine.IO, in the order in which a client tries them.
POLLING = ("polling",)
WEBSOCKET = ("websocket",)
UPGRADE = ("polling", "websocket")

# Opcodes of WebSocket frames: https://www.rfc-editor.org/rfc/rfc6455#section-5.2
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
FINAL_FRAME = 0x80
MASKED = 0x80


class Node:
    """A node process that runs any number of socket.io-client connections."""

    def __init__(self) -> None:
        node = shutil.which("node")
        assert node, "these tests need node"
        self._process = subprocess.Popen(
            [node, "tests/node_client.mjs"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._people: dict[int, Person] = {}
        self.news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_SECONDS)
        self._reader.join()
        self._process.stdout.close()

    def person(
        self,
        url: str,
        transports: tuple[str, ...] = WEBSOCKET,
        token: str | None = None,
        cookie: str | None = None,
        **options: Any,
    ) -> "Person":
        """Return a client that is connected; `options` are those of socket.io-client."""
        options["transports"] = list(transports)
        if token is not None:
            options["auth"] = {"token": token}
        if cookie is not None:
            options["extraHeaders"] = {"cookie": cookie}
        who = len(self._people)
        person = Person(self, who)
        self._people[who] = person
        self.order("open", who=who, url=url, options=options)
        person.wait_until("connect")
        return person

    def order(self, order: str, **details: Any) -> None:
        """Send a command to the process: see node_client.mjs."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": order, **details}) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            report = json.loads(line)
            with self.news:
                self._people[report["who"]].note(report)
                self.news.notify_all()


class Person:
    """One connection of socket.io-client. It keeps events and answers in the order they arrive."""

    def __init__(self, node: Node, who: int) -> None:
        self._node = node
        self._who = who
        self._calls = count()
        self._received: defaultdict[str, list[JSON]] = defaultdict(list)
        self.answers: dict[int, JSON] = {}
        self.states: list[tuple[str, str]] = []  # such as ("open", "polling")

    def note(self, report: JSON) -> None:
        """Keep what the process reports about this connection."""
        if "state" in report:
            self.states.append((report["state"], report["detail"]))
        elif "call" in report:
            self.answers[report["call"]] = report["answer"]
        else:
            self._received[report["event"]].append(report["data"][0])

    def send(self, event: str, *data: Any) -> int:
        """Send an event without waiting; return the number that `answer` takes."""
        call = next(self._calls)
        self._node.order("emit", who=self._who, call=call, event=event, data=data)
        return call

    def answer(self, call: int) -> JSON:
        """Wait for the answer to what `send` sent, and return it."""
        self._wait(lambda: call in self.answers, f"an answer to call {call}")
        return self.answers[call]

    def ask(self, event: str, *data: Any) -> JSON:
        """Send an event, wait for its answer and return it."""
        return self.answer(self.send(event, *data))

    def join(self, label: str, **data: Any) -> JSON:
        """Enter a room; return the answer."""
        answer = self.ask("join", {"label": label, **data})
        assert answer["ok"], answer
        return answer

    def post(self, message: str, handle: str = "Ada", **data: Any) -> JSON:
        """Post a message and wait until it is stored; return the answer."""
        answer = self.ask("chat", {"handle": handle, "message": message, **data})
        assert answer["ok"], answer
        return answer

    def received(self, event: str = "chat") -> list[JSON]:
        """Return the payloads of all events of this name until now."""
        with self._node.news:
            return list(self._received[event])

    def hear(self, number: int, event: str = "chat") -> list[JSON]:
        """Wait until `number` events of this name were received in all; return their payloads."""
        self._wait(lambda: len(self._received[event]) >= number, f"{number} times {event}")
        return self.received(event)

    def wait_until(self, state: str, times: int = 1) -> str:
        """Wait until the connection was in a state so many times; return the detail of that time.

        The details are the transport, the reason of a disconnect or the text of an error.
        """

        def details() -> list[str]:
            return [detail for each, detail in self.states if each == state]

        self._wait(lambda: len(details()) >= times, f"{times} times {state}")
        return details()[times - 1]

    def stay_away(self) -> None:
        """Do not reconnect when the connection is lost."""
        self._node.order("stayAway", who=self._who)

    def close(self) -> None:
        """Disconnect."""
        self._node.order("close", who=self._who)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        with self._node.news:
            is_met = self._node.news.wait_for(condition, PATIENCE_SECONDS)
            assert is_met, f"did not get {what}; answers {len(self.answers)}, states {self.states}"


class Closed(Exception):
    """The server has closed the connection; `code` is its close code, or None without one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class WebSocket:
    """A WebSocket that sends any bytes.

    Keyword arguments replace or add headers of the handshake, with `_` for `-`; an empty value
    removes the header.
    """

    def __init__(
        self, url: str, path: str = "/socket.io/?EIO=4&transport=websocket", **headers: str
    ) -> None:
        address = urlsplit(url)
        self.send_error: OSError | None = None  # of the last bytes that could not be sent
        self._socket = socket.create_connection(
            (address.hostname or "", address.port or 80), PATIENCE_SECONDS
        )
        # Otherwise a packet waits until the server has acknowledged the one before (Nagle).
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        self._unsent: OSError | None = None
        self._send_handshake(address.netloc, path, headers)
        self.status = self._stream.readline().split()[1].decode()
        self.headers = http.client.parse_headers(self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the TCP connection without a close frame."""
        self._stream.close()
        self._socket.close()

    @property
    def connection(self) -> socket.socket:
        """The TCP connection, for those who read it themselves."""
        return self._socket

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are. After the server has closed, they are dropped; reading fails."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            self.send_error = error

    def end(self) -> None:
        """Close the TCP connection for writing; it can still receive."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def disconnect(self) -> None:
        """End the connection; a thread that waits for the next packet gets Closed."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def set_timeout(self, seconds: float) -> None:
        """Set how long sending and receiving may take, instead of PATIENCE_SECONDS."""
        self._socket.settimeout(seconds)

    def send(self, data: str | bytes, kind: int | None = None, *, last: bool = True) -> None:
        """Send one frame: text from a string, binary from bytes, unless `kind` is given.

        `kind` is the opcode; `last` is false for a fragment that others follow.
        """
        if isinstance(data, str):
            payload = data.encode(errors="surrogatepass")
            opcode = TEXT
        else:
            payload = data
            opcode = BINARY
        if kind is not None:
            opcode = kind
        if last:
            opcode |= FINAL_FRAME
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", opcode, MASKED | size)
        elif size < 65536:
            head = struct.pack("!BBH", opcode, MASKED | 126, size)
        else:
            head = struct.pack("!BBQ", opcode, MASKED | 127, size)
        mask = bytes(4)  # zeros: masking changes nothing
        self.send_bytes(head + mask + payload)

    def receive(self) -> str:
        """Return the next text. Raises Closed."""
        while True:
            kind, payload = self._read_frame()
            if kind == CLOSE:
                raise Closed(_close_code(payload))
            if kind == TEXT:
                return payload.decode()

    def _send_handshake(self, host: str, path: str, headers: dict[str, str]) -> None:
        sent = {
            "Host": host,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
        }
        for name, value in headers.items():
            sent[name.replace("_", "-")] = value
        lines = [f"GET {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in sent.items() if value]
        self.send_bytes("\r\n".join([*lines, "", ""]).encode())

    def _read_frame(self) -> tuple[int, bytes]:
        first, size = self._read_exactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", self._read_exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._read_exactly(8))
        return first & 15, self._read_exactly(size)

    def _read_exactly(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except ConnectionError as error:
            raise Closed(None) from error
        if len(data) < size:
            raise Closed(None)
        return data


def _close_code(payload: bytes) -> int | None:
    if not payload:
        return None
    code: int = struct.unpack("!H", payload[:2])[0]
    return code


class Stranger(WebSocket):
    """A Socket.IO client over WebSocket, written by hand: it sends any text as a payload.

    With a token it has the identity of an earlier connection.
    """

    keeps_events = True
    """Whether `hear` returns what others post; false saves memory if nobody calls it."""

    def __init__(self, url: str, token: str | None = None, **headers: str) -> None:
        super().__init__(url, **headers)
        self._calls = count(1)
        self._heard: list[tuple[str, JSON]] = []
        self.answers: dict[int, JSON] = {}
        assert self.receive().startswith("0")
        self.send("40" if token is None else f"40{json.dumps({'token': token})}")
        assert self.receive().startswith("40")

    def emit(self, event: str, *arguments: str) -> int:
        """Send an event whose arguments are JSON or similar text; return the number of the call."""
        call = next(self._calls)
        self.send(f"42{call}[{','.join([json.dumps(event), *arguments])}]")
        return call

    def ask(self, event: str, data: JSON) -> JSON:
        """Send a well-formed event, wait for its answer and return it. Raises Closed."""
        return self.answer(self.emit(event, json.dumps(data)))

    def answer(self, call: int) -> JSON:
        """Wait for the answer to a call and return it. Raises Closed."""
        while call not in self.answers:
            self._read()
        return self.answers[call]

    def hear(self) -> tuple[str, JSON]:
        """Return the next event and its payload, except `head` and `presence`. Raises Closed.

        Those two are left out because they come at times that no test decides.
        """
        while True:
            while not self._heard:
                self._read()
            event, payload = self._heard.pop(0)
            if event not in ("head", "presence"):
                return event, payload

    def _read(self) -> None:
        packet = self.receive()
        if packet.startswith("2"):  # a ping of Engine.IO
            self.send("3")
        elif packet.startswith("43"):
            self._keep_answer(packet)
        elif packet.startswith("42") and self.keeps_events:
            event, payload = json.loads(packet[2:])
            self._heard.append((event, payload))

    def _keep_answer(self, packet: str) -> None:
        call, _, answer = packet[2:].partition("[")
        self.answers[int(call)] = json.loads(f"[{answer}")[0]


class Polling:
    """A Socket.IO client over HTTP long polling, written by hand.

    Keyword arguments are headers of all its requests, with `_` for `-`.
    """

    def __init__(self, url: str, **headers: str) -> None:
        self._host = urlsplit(url).netloc
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.path = "/socket.io/?EIO=4&transport=polling"
        status, opened = self.request("GET")
        assert status == HTTPStatus.OK, f"{status}: {opened}"
        self.path += "&sid=" + json.loads(opened[1:])["sid"]
        assert self.request("POST", "40") == (HTTPStatus.OK, "OK")
        assert self.request("GET")[1].startswith("40")

    def request(self, method: str, body: str | bytes | None = None) -> tuple[int, str]:
        """Send one request; return its status and body, or (0, "") when the connection was closed.

        A server need not read a body to its end in order to refuse it.
        """
        connection = http.client.HTTPConnection(self._host, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, self.path, body, self._headers)
            with connection.getresponse() as response:
                return response.status, response.read().decode()
        except ConnectionError:
            return 0, ""
        finally:
            connection.close()
