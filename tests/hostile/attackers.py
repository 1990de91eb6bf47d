"""What attackers do. Each function attacks for some seconds and returns what it has observed.

They run in a process of their own, so that they do not slow down the clients that are measured.
Every one of them comes from one client address, and connects to loopback only.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from selectors import EVENT_READ, DefaultSelector
from typing import TypeAlias

from tests.clients import JSON, PING, TEXT, Closed, Polling, Stranger, WebSocket
from tests.hostile.neighbours import ROOM
from tests.hostile.raw_http import FORM_TYPE, RawHttp, ask, head, port_of, status_of
from tests.servers import resident_bytes
from tests.torture.connections import open_client_ports

POLLING_PATH = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET_PATH = "/socket.io/?EIO=4&transport=websocket"
UPGRADE_HEADERS = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec_WebSocket_Version": "13",
}
SWITCHING_PROTOCOLS = 101
QUIET_SECONDS = 1.0
MEGABYTE = 1_000_000
FORM_BYTES = 9 * MEGABYTE
UPLOAD_BYTES = 200 * MEGABYTE
MAX_ANSWER_SECONDS = 40.0
MAX_HOLD_SECONDS = 60.0
BODY = "body"
HEAD = "head"
SOCKET = "socket"
LONG_ROOM = "long-texts"
SEND_INTERVAL_SECONDS = 0.2
MAX_PING_BYTES = 125
GUESSES_OF_IDENTITY = 10
PIPELINED_EVENTS = 50
LARGE_HEADERS = 50
LARGE_HEADER_BYTES = 8_000
WARM_UP_SOCKETS = 20
"""After them, the buffers of the server have their size."""

Counts: TypeAlias = Counter[str]
PacketAttacker: TypeAlias = Callable[[str, str, float], Counts]

names = count(1)


def until(seconds: float) -> Iterator[int]:
    """Yield 0, 1, 2 and so on, until some seconds have passed."""
    end = time.monotonic() + seconds
    for number in count():
        if time.monotonic() >= end:
            return
        yield number


# Bodies and headers


def send_large_forms(url: str, address: str, seconds: float) -> Counts:
    """Post forms of nine megabytes to the page of a room. Counts the statuses of the answers."""
    piece = b"%41" * 30_000
    counts: Counts = Counter()
    for _ in until(seconds):
        with RawHttp(url) as connection:
            length = str(FORM_BYTES)
            connection.send(
                head("POST", f"/{ROOM}/", address, Content_Type=FORM_TYPE, Content_Length=length)
            )
            sent = 0
            while sent < FORM_BYTES and connection.send(piece):
                sent += len(piece)
            counts[f"status {status_of(connection.receive())}"] += 1
    return counts


def send_uploads(url: str, address: str, seconds: float) -> Counts:
    """Upload files of 200 megabytes. Counts statuses, and the bytes the server let us send."""
    media_type = "multipart/form-data; boundary=x"
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    counts: Counts = Counter()
    for _ in until(seconds):
        with RawHttp(url) as connection:
            length = str(UPLOAD_BYTES)
            connection.send(
                head("POST", f"/{ROOM}/", address, Content_Type=media_type, Content_Length=length)
            )
            connection.send(start)
            status = status_of(connection.receive())
            sent = 0
            while sent < UPLOAD_BYTES and connection.send(bytes(MEGABYTE)):
                sent += MEGABYTE
            counts[f"status {status}"] += 1
            counts["bytes"] = max(counts["bytes"], sent)
    return counts


class Held:
    """A connection that an attacker keeps open without making progress."""

    def __init__(self, kind: str, connection: RawHttp, *, is_read: bool = True) -> None:
        self.kind = kind
        self.connection = connection
        self.is_read = is_read
        self.port: int = connection.socket.getsockname()[1]
        self.received = b""

    def has_ended(self) -> bool:
        """Read what has arrived; return whether the server has closed the connection."""
        data = self.connection.receive()
        self.received += data
        return not data

    def final_status(self) -> int:
        """Return the status of the response, after the end of the connection."""
        while not self.has_ended():
            pass
        return status_of(self.received)


def hold_connections(url: str, address: str, number: int, unread: int) -> Counts:
    """Keep connections open without making progress, until the server has closed all of them.

    `number` each have a body that does not arrive completely, headers that arrive byte by byte, and
    a WebSocket that joins no room; `unread` ask for a large page and do not read it. Counts, for
    each kind, the milliseconds until the last one was closed, and the statuses of bodies.
    """
    counts: Counts = Counter()
    port = port_of(url)
    with ExitStack() as stack:
        began = time.monotonic()
        held = list(_open_connections(stack, url, address, number, unread))
        selector = stack.enter_context(DefaultSelector())
        for each in held:
            if each.is_read:
                selector.register(each.connection.socket, EVENT_READ, each)
        give_up = began + MAX_HOLD_SECONDS
        waiting = held
        while waiting and time.monotonic() < give_up:
            for readable, _ in selector.select(SEND_INTERVAL_SECONDS):
                if readable.data.has_ended():
                    selector.unregister(readable.fileobj)
            ports = open_client_ports(port)
            for each in waiting:
                if each.port not in ports:
                    counts[f"{each.kind}, ms"] = _ms_since(began)
                elif each.kind == HEAD:
                    each.connection.send(b"X")
            waiting = [each for each in waiting if each.port in ports]
        counts["left open"] = len(waiting)
        counts.update(f"status {each.final_status()}" for each in held if each.kind == BODY)
    return counts


def _open_connections(
    stack: ExitStack, url: str, address: str, number: int, unread: int
) -> Iterator[Held]:
    body = head("POST", f"/{ROOM}/", address, Content_Type=FORM_TYPE, Content_Length="100")
    requests = {
        BODY: body + b"message=hel",
        HEAD: head("GET", f"/{ROOM}/", address).removesuffix(b"\r\n"),
        SOCKET: head("GET", WEBSOCKET_PATH, address, **UPGRADE_HEADERS),
    }
    for kind, request in requests.items():
        for _ in range(number):
            held = Held(kind, stack.enter_context(RawHttp(url)))
            held.connection.send(request)
            yield held
    for _ in range(unread):
        held = Held("unread", stack.enter_context(RawHttp(url)), is_read=False)
        held.connection.send(head("GET", f"/{LONG_ROOM}/", address))
        yield held


def _ms_since(began: float) -> int:
    return int(1000 * (time.monotonic() - began))


# Hosts, pages of other sites, and the log

MALFORMED_HOSTS = ["a..b", ".", f"{'a' * 64}.example", "", "a b", "[::1", "localhost:99999", "%00"]
FOREIGN_HOSTS = ["evil.example", "evil.example:80", "localhost.evil.example", "192.0.2.1"]


def send_hosts(url: str, address: str, seconds: float) -> Counts:
    """Ask for pages under hosts that are malformed or not ours. Counts statuses."""
    counts: Counts = Counter()
    hosts = MALFORMED_HOSTS + FOREIGN_HOSTS
    for number in until(seconds):
        host = hosts[number % len(hosts)]
        counts[f"status {status_of(ask(url, 'GET', '/', address, Host=host))}"] += 1
    return counts


def pretend_to_be_another_site(url: str, address: str) -> Counts:
    """Try everything by which the page of another site could reach the server.

    Counts what was refused or had no effect, and what was accepted.
    """
    counts: Counts = Counter()
    for origin in ("https://evil.example", "null", "http://localhost:1", "file://"):
        for path, headers in ((POLLING_PATH, {}), (WEBSOCKET_PATH, UPGRADE_HEADERS)):
            response = ask(url, "GET", path, address, Origin=origin, **headers)
            counts["accepted" if status_of(response) in (101, 200) else "refused"] += 1
    for name in ("X_Forwarded_Host", "Forwarded", "X_Forwarded_Prefix"):
        value = "host=evil.example" if name == "Forwarded" else "evil.example"
        response = ask(url, "GET", "/kitchen", address, **{name: value})
        counts["accepted" if b"evil.example" in response else "refused"] += 1
    for name in ("SCRIPT_NAME", "Script_Name", "PATH_INFO"):
        response = ask(url, "GET", "/kitchen", address, **{name: "/evil"})
        counts["accepted" if b"/evil" in response else "refused"] += 1
    with RawHttp(url) as connection:
        two_hosts = head("GET", "/", address).replace(b"\r\n", b"\r\nHost: evil.example\r\n", 1)
        connection.send(two_hosts)
        counts["accepted" if status_of(connection.receive()) == 200 else "refused"] += 1
    return counts


def forge_log_lines(url: str, address: str, seconds: float) -> Counts:
    """Send line breaks and control characters wherever the server may log them."""
    counts: Counts = Counter()
    forged = "%0d%0a2026-01-01 FORGED%1b[2J"
    for _ in until(seconds):
        for path in (f"{POLLING_PATH}&sid={forged}", f"/{forged}/", f"/{ROOM}/?before={forged}"):
            ask(url, "GET", path, address, User_Agent="\x1b[2JFORGED", Origin="\x1b[2JFORGED")
            counts["requests"] += 1
    return counts


# Load over HTTP


def ask_as_fast_as_possible(
    url: str, address: str, seconds: float, path: str, host: str = "localhost"
) -> Counts:
    """Request a path again and again. Counts statuses."""
    counts: Counts = Counter()
    with ExitStack() as stack:
        connection = stack.enter_context(RawHttp(url))
        for _ in until(seconds):
            response = connection.ask("GET", path, address, Host=host)
            counts[f"status {status_of(response)}"] += 1
            if status_of(response) == 0:  # gunicorn closes connections now and then
                connection = stack.enter_context(RawHttp(url))
    return counts


def ask_at_once(url: str, address: str, number: int, path: str) -> Counts:
    """Request a path on many connections at once, and wait for all answers. Counts statuses."""
    counts: Counts = Counter()
    with ExitStack() as stack:
        connections = [stack.enter_context(RawHttp(url)) for _ in range(number)]
        for connection in connections:
            connection.send(head("GET", path, address))
        for connection in connections:
            counts[f"status {status_of(connection.response())}"] += 1
    return counts


def create_rooms(url: str, address: str, seconds: float) -> Counts:
    """Visit rooms that do not exist. Counts statuses."""
    counts: Counts = Counter()
    for _ in until(seconds):
        path = f"/room-of-{address.replace('.', '-')}-{next(names)}/"
        counts[f"status {status_of(ask(url, 'GET', path, address))}"] += 1
    return counts


def scan(url: str, address: str) -> list[str]:
    """Send what scanners, previews and prefetches send; return the labels they asked for."""
    visitors = {
        "scan-head": ("HEAD", {}),
        "scan-bot": ("GET", {"User_Agent": "Slackbot-LinkExpanding 1.0"}),
        "scan-prefetch": ("GET", {"Sec_Purpose": "prefetch"}),
    }
    for label, (method, headers) in visitors.items():
        ask(url, method, f"/{label}/", address, **headers)
    return list(visitors)


def guess_labels(url: str, address: str, seconds: float) -> Counts:
    """Try labels by `join`, with new identities; then one that exists. Counts codes of answers."""
    counts: Counts = Counter()
    for _ in until(seconds):
        with Stranger(url, X_Forwarded_For=address) as mallory:
            for _ in range(GUESSES_OF_IDENTITY):
                answer = mallory.ask("join", {"label": f"quiet-otter-{next(names):06}"})
                counts[answer["code"]] += 1
    with Stranger(url, X_Forwarded_For=address) as mallory:
        answer = mallory.ask("join", {"label": ROOM})
        counts["found" if answer["ok"] else "found nothing"] += 1
    return counts


# Connections


def open_polling_sessions(url: str, address: str, seconds: float) -> Counts:
    """Open sessions over polling. Counts statuses."""
    return ask_as_fast_as_possible(url, address, seconds, POLLING_PATH)


def open_idle_sockets(url: str, address: str, number: int) -> Counts:
    """Open WebSockets that never join. Counts those that are open and those that are refused."""
    counts: Counts = Counter()
    with ExitStack() as stack:
        for _ in range(number):
            websocket = stack.enter_context(WebSocket(url, X_Forwarded_For=address))
            counts[f"status {websocket.status}"] += 1
    return counts


def open_sockets_with_large_headers(url: str, address: str, number: int, pid: int) -> Counts:
    """Open WebSockets with 50 headers of 8 KB each. Counts `bytes` of the server for each socket.

    `pid` is the process of the server.
    """
    large = {f"X_Large_{each}": "x" * LARGE_HEADER_BYTES for each in range(LARGE_HEADERS)}
    request = head("GET", WEBSOCKET_PATH, address, **UPGRADE_HEADERS, **large)
    counts: Counts = Counter()
    with ExitStack() as stack:
        memory_before = 0
        for opened in range(number + WARM_UP_SOCKETS):
            if opened == WARM_UP_SOCKETS:
                memory_before = resident_bytes(pid)
            connection = stack.enter_context(RawHttp(url))
            connection.send(request)
            counts[f"status {status_of(connection.receive())}"] += 1
        counts["bytes"] = max(0, resident_bytes(pid) - memory_before) // number
    return counts


def open_sockets_of_one_person(url: str, address: str, number: int) -> Counts:
    """Open connections with one identity. Counts those that were accepted."""
    counts: Counts = Counter()
    with ExitStack() as stack:
        first = stack.enter_context(Stranger(url, X_Forwarded_For=address))
        token = first.ask("join", {"label": ROOM})["you"]["token"]
        counts["accepted"] += 1
        for _ in range(number):
            websocket = stack.enter_context(WebSocket(url, X_Forwarded_For=address))
            websocket.receive()
            websocket.send("40" + json.dumps({"token": token}))
            is_accepted = websocket.receive().startswith("40")
            counts["accepted" if is_accepted else "refused"] += 1
    return counts


def poll_one_session_often(url: str, address: str, number: int, max_open: float) -> Counts:
    """Wait for the packets of one session in many requests. Counts the requests that wait."""
    polling = Polling(url, X_Forwarded_For=address)
    request = head("GET", polling.path, address)
    return _count_open(url, number, request, max_open)


def upgrade_one_session_often(url: str, address: str, number: int, max_open: float) -> Counts:
    """Begin to upgrade one session in many requests. Counts the connections that stay open."""
    polling = Polling(url, X_Forwarded_For=address)
    path = polling.path.replace("transport=polling", "transport=websocket")
    request = head("GET", path, address, **UPGRADE_HEADERS)
    return _count_open(url, number, request, max_open)


def _count_open(url: str, number: int, request: bytes, max_open: float) -> Counts:
    """Send a request on many connections. Counts those the server has not closed or refused.

    Waits until it has refused enough of them, at most MAX_ANSWER_SECONDS.
    """
    counts: Counts = Counter()
    with ExitStack() as stack:
        selector = stack.enter_context(DefaultSelector())
        for _ in range(number):
            connection = stack.enter_context(RawHttp(url))
            connection.send(request)
            selector.register(connection.socket, EVENT_READ, connection)
        counts["open"] = number
        give_up = time.monotonic() + MAX_ANSWER_SECONDS
        while counts["open"] > max_open and time.monotonic() < give_up:
            for each, _ in selector.select(QUIET_SECONDS):
                selector.unregister(each.fileobj)
                has_upgraded = status_of(each.data.receive()) == SWITCHING_PROTOCOLS
                counts["open"] -= 0 if has_upgraded else 1
    return counts


# Events


def flood(url: str, address: str, seconds: float, event: str) -> Counts:
    """Send one event as fast as possible over one connection. Counts the answers by their code."""
    counts: Counts = Counter()
    with Stranger(url, X_Forwarded_For=address) as mallory:
        assert mallory.ask("join", {"label": ROOM})["ok"]
        posted = mallory.ask("chat", {"handle": "Mallory", "message": "first"})
        sent: dict[str, Callable[[int], JSON]] = {
            "chat": lambda number: {"handle": "Mallory", "message": f"flood {number}"},
            "edit": lambda number: {"seq": posted["seq"], "message": f"flood {number}"},
            "react": lambda number: {"seq": posted["seq"], "emoji": "👍", "on": number % 2 == 0},
            "title": lambda number: {"name": f"flood {number}"},
            "history": lambda number: {"limit": 50},
        }
        for number in until(seconds):
            payloads = [json.dumps(sent[event](number + each)) for each in range(PIPELINED_EVENTS)]
            for call in [mallory.emit(event, payload) for payload in payloads]:
                answer = mallory.answer(call)
                counts["ok" if answer["ok"] else answer["code"]] += 1
    return counts


def flood_with_new_identities(url: str, address: str, seconds: float) -> Counts:
    """Post with a new identity whenever one is over its limit. Counts the answers by their code."""
    counts: Counts = Counter()
    for _ in until(seconds):
        with suppress(Closed), Stranger(url, X_Forwarded_For=address) as mallory:
            if not mallory.ask("join", {"label": ROOM})["ok"]:
                counts["join refused"] += 1
                continue
            for number in range(5):
                text = {"handle": "Mallory", "message": f"flood {number}"}
                answer = mallory.ask("chat", text)
                counts["ok" if answer["ok"] else answer["code"]] += 1
    return counts


def reconnect_on_one_connection(url: str, address: str, seconds: float) -> Counts:
    """Leave and enter the namespace again, each time with a join that claims to reconnect."""
    counts: Counts = Counter()
    with Stranger(url, X_Forwarded_For=address) as mallory:
        token = mallory.ask("join", {"label": ROOM})["you"]["token"]
        for _ in until(seconds):
            mallory.send("41")
            mallory.send("40" + json.dumps({"token": token}))
            while not (packet := mallory.receive()).startswith(("40", "44")):
                pass
            if packet.startswith("44"):
                counts["connect refused"] += 1
                continue
            answer = mallory.ask("join", {"label": ROOM, "after": 0})
            counts["ok" if answer["ok"] else answer["code"]] += 1
    return counts


def send_malformed_packets(url: str, address: str, seconds: float) -> Counts:
    """Send packets that are none, until the server closes the connection; then on a new one."""
    counts: Counts = Counter()
    for _ in until(seconds):
        with suppress(Closed), Stranger(url, X_Forwarded_For=address) as mallory:
            for _ in range(1_000):
                mallory.send("42[")
            mallory.ask("join", {"label": ROOM})
            counts["answered"] += 1
        counts["connections"] += 1
    return counts


def read_on_many_sockets_at_once(url: str, address: str, number: int) -> Counts:
    """Ask for history on many sockets at once, and wait for all answers. Counts their codes."""
    counts: Counts = Counter()
    with ExitStack() as stack:
        strangers = [
            stack.enter_context(Stranger(url, X_Forwarded_For=address)) for _ in range(number)
        ]
        for mallory in strangers:
            assert mallory.ask("join", {"label": LONG_ROOM})["ok"]
        calls = [mallory.emit("history", '{"limit":200}') for mallory in strangers]
        for mallory, call in zip(strangers, calls, strict=True):
            answer = mallory.answer(call)
            counts["ok" if answer["ok"] else answer["code"]] += 1
    return counts


def ping_without_reading(url: str, address: str, seconds: float) -> Counts:
    """Send WebSocket pings and read none of the answers. Counts connections."""
    counts: Counts = Counter()
    for _ in until(seconds):
        with WebSocket(url, X_Forwarded_For=address) as mallory:
            _send_without_reading(mallory, seconds, b"p" * MAX_PING_BYTES, PING)
        counts["connections"] += 1
    return counts


def ask_without_reading(url: str, address: str, seconds: float) -> Counts:
    """Ask for history and read none of the answers. Counts connections."""
    counts: Counts = Counter()
    for _ in until(seconds):
        with suppress(Closed), Stranger(url, X_Forwarded_For=address) as mallory:
            mallory.ask("join", {"label": ROOM})
            _send_without_reading(mallory, seconds, '427["history",{"limit":200}]', TEXT)
        counts["connections"] += 1
    return counts


def _send_without_reading(
    websocket: WebSocket, seconds: float, data: str | bytes, kind: int
) -> None:
    """Send the same frame until the server no longer reads, or some seconds have passed."""
    websocket.set_timeout(QUIET_SECONDS)
    for _ in until(seconds):
        websocket.send(data, kind)
        if websocket.send_error is not None:
            return


# Large and costly content


def fill_room(url: str, address: str, label: str, text: str, number: int) -> int:
    """Post a text many times, with new identities; return how many messages were stored."""
    ask(url, "GET", f"/{label}/", address)
    stored = 0
    while stored < number:
        with Stranger(url, X_Forwarded_For=address) as mallory:
            assert mallory.ask("join", {"label": label})["ok"]
            for _ in range(5):
                posted = json.dumps({"handle": "Mallory", "message": text}, ensure_ascii=False)
                if not mallory.answer(mallory.emit("chat", posted))["ok"]:
                    break
                stored += 1
    return stored


def catch_up(url: str, address: str, label: str) -> Counts:
    """Join a room with all its messages; return the size of the answer and its messages."""
    counts: Counts = Counter()
    with Stranger(url, X_Forwarded_For=address) as mallory:
        mallory.send("421" + json.dumps(["join", {"label": label, "after": 0}]))
        while not (packet := mallory.receive()).startswith("431"):
            pass
        counts["bytes"] = len(packet.encode())
        counts["messages"] = len(json.loads(packet[3:])[0]["messages"])
    return counts
