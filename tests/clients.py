"""People at the other end of the line: with the real socket.io-client, or with no manners at all."""

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
from itertools import count
from typing import Any, Self
from urllib.parse import urlsplit

from tests.servers import ROOT

JSON = dict[str, Any]
PATIENCE_SECONDS = 15.0

POLLING = ("polling",)
WEBSOCKET = ("websocket",)
UPGRADE = ("polling", "websocket")


class Node:
    """A node process in which any number of people use socket.io-client."""

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
        """Somebody who is connected, over the transports given; over both it begins with polling."""
        options["transports"] = list(transports)
        if token is not None:
            options["auth"] = {"token": token}
        if cookie is not None:
            options["extraHeaders"] = {"cookie": cookie}
        who = len(self._people)
        person = self._people[who] = Person(self, who)
        self.order("open", who=who, url=url, options=options)
        person.wait_until("connect")
        return person

    def order(self, order: str, **details: Any) -> None:
        """Tell the process what to do."""
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
    """One connection. What is heard and answered is kept, in the order of its arrival."""

    def __init__(self, node: Node, who: int) -> None:
        self._node = node
        self._who = who
        self._calls = count()
        self._heard: defaultdict[str, list[JSON]] = defaultdict(list)
        self.answers: dict[int, JSON] = {}
        self.states: list[tuple[str, str]] = []  # such as ("open", "polling")

    def note(self, report: JSON) -> None:
        """Keep what the process says about us."""
        if "state" in report:
            self.states.append((report["state"], report["detail"]))
        elif "call" in report:
            self.answers[report["call"]] = report["answer"]
        else:
            self._heard[report["event"]].append(report["data"][0])

    def send(self, event: str, *data: Any) -> int:
        """Send an event and go on; the number by which to ask for its answer."""
        call = next(self._calls)
        self._node.order("emit", who=self._who, call=call, event=event, data=data)
        return call

    def answer(self, call: int) -> JSON:
        """The answer to what was sent, when it is here."""
        self._wait(lambda: call in self.answers, f"an answer to call {call}")
        return self.answers[call]

    def ask(self, event: str, *data: Any) -> JSON:
        """Send an event and wait for its answer."""
        return self.answer(self.send(event, *data))

    def join(self, label: str, **data: Any) -> JSON:
        """Enter a room."""
        answer = self.ask("join", {"label": label, **data})
        assert answer["ok"], answer
        return answer

    def post(self, message: str, handle: str = "Ada", **data: Any) -> JSON:
        """Say something, and wait until it is stored."""
        answer = self.ask("chat", {"handle": handle, "message": message, **data})
        assert answer["ok"], answer
        return answer

    def received(self, event: str = "chat") -> list[JSON]:
        """All that was heard until now."""
        with self._node.news:
            return list(self._heard[event])

    def hear(self, number: int, event: str = "chat") -> list[JSON]:
        """Wait until so many events have been heard in all."""
        self._wait(lambda: len(self._heard[event]) >= number, f"{number} times {event}")
        return self.received(event)

    def wait_until(self, state: str, times: int = 1) -> str:
        """Wait until the connection has been in this state so often; what was said about it then."""

        def details() -> list[str]:
            return [detail for each, detail in self.states if each == state]

        self._wait(lambda: len(details()) >= times, f"{times} times {state}")
        return details()[times - 1]

    def stay_away(self) -> None:
        """Do not come back when the connection is lost."""
        self._node.order("stayAway", who=self._who)

    def close(self) -> None:
        """Close the page."""
        self._node.order("close", who=self._who)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        with self._node.news:
            came = self._node.news.wait_for(condition, PATIENCE_SECONDS)
            assert came, f"did not get {what}; answers {len(self.answers)}, states {self.states}"


class Closed(Exception):
    """The server has closed the connection; the code it gave, or None."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


class WebSocket:
    """A WebSocket that sends whatever it is told to; headers too, or without those that are given as nothing."""

    def __init__(
        self, url: str, path: str = "/socket.io/?EIO=4&transport=websocket", **headers: str
    ) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection(
            (address.hostname or "", address.port or 80), PATIENCE_SECONDS
        )
        self._stream = self._socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        sent = {
            "Host": address.netloc,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": key,
        }
        sent |= {"Sec-WebSocket-Version": "13"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        lines = [
            f"GET {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in sent.items() if value),
            "",
            "",
        ]
        self.send_bytes("\r\n".join(lines).encode())
        self.status = self._stream.readline().split()[1].decode()
        self.headers = http.client.parse_headers(self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Be gone, without a goodbye."""
        self._stream.close()
        self._socket.close()

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are. What nobody reads any more is dropped: reading will tell."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            self._unsent = error

    def send(self, data: str | bytes, kind: int | None = None, *, last: bool = True) -> None:
        """Send one frame: text from a string, binary from bytes, unless the kind is given."""
        payload = data.encode(errors="surrogatepass") if isinstance(data, str) else data
        first = (kind if kind is not None else TEXT if isinstance(data, str) else BINARY) | (
            0x80 if last else 0
        )
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", first, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", first, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", first, 0x80 | 127, size)
        self.send_bytes(head + bytes(4) + payload)  # masked with zeros, which changes nothing

    def receive(self) -> str:
        """The next text. Raises Closed."""
        while True:
            kind, payload = self._frame()
            if kind == CLOSE:
                raise Closed(struct.unpack("!H", payload[:2])[0] if payload else None)
            if kind == TEXT:
                return payload.decode()

    def _frame(self) -> tuple[int, bytes]:
        first, size = self._exactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._exactly(8))
        return first & 15, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except ConnectionError as error:
            raise Closed(None) from error
        if len(data) < size:
            raise Closed(None)
        return data


class Stranger(WebSocket):
    """Somebody who speaks Socket.IO by hand, and may say anything in the place of a payload."""

    def __init__(self, url: str, **headers: str) -> None:
        super().__init__(url, **headers)
        self._calls = count(1)
        self._heard: list[tuple[str, JSON]] = []
        self.answers: dict[int, JSON] = {}
        assert self.receive().startswith("0")
        self.send("40")
        assert self.receive().startswith("40")

    def emit(self, event: str, *arguments: str) -> int:
        """Send an event whose arguments are JSON, or something like it; the number of the call."""
        call = next(self._calls)
        self.send(f"42{call}[{','.join([json.dumps(event), *arguments])}]")
        return call

    def ask(self, event: str, data: JSON) -> JSON:
        """Send an event as it should be; its answer, when it is here. Raises Closed."""
        return self.answer(self.emit(event, json.dumps(data)))

    def answer(self, call: int) -> JSON:
        """The answer to a call, when it is here. Raises Closed."""
        while call not in self.answers:
            self._read()
        return self.answers[call]

    def hear(self) -> tuple[str, JSON]:
        """The next event, with its payload, each told once; heads and people come when they like. Raises Closed."""
        while True:
            while not self._heard:
                self._read()
            event, payload = self._heard.pop(0)
            if event not in ("head", "presence"):
                return event, payload

    def _read(self) -> None:
        packet = self.receive()
        if packet.startswith("2"):  # are you there?
            self.send("3")
        elif packet.startswith("43"):
            call, _, answer = packet[2:].partition("[")
            self.answers[int(call)] = json.loads(f"[{answer}")[0]
        elif packet.startswith("42"):
            event, payload = json.loads(packet[2:])
            self._heard.append((event, payload))


class Polling:
    """Somebody who polls by hand."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self.path = "/socket.io/?EIO=4&transport=polling"
        _, opened = self.request("GET")
        self.path += "&sid=" + json.loads(opened[1:])["sid"]
        assert self.request("POST", "40") == (200, "OK")
        assert self.request("GET")[1].startswith("40")

    def request(self, method: str, body: str | bytes | None = None) -> tuple[int, str]:
        """One request: its status, and what came with it."""
        connection = http.client.HTTPConnection(self._host, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, self.path, body)
            with connection.getresponse() as response:
                return response.status, response.read().decode()
        except ConnectionError:  # a server need not read a body to its end in order to refuse it
            return 0, ""
        finally:
            connection.close()
