"""What attackers do. Each function attacks for some seconds and returns what it has observed.

They run in a process of their own, so that they do not slow down the clients that are measured.
Every one of them comes from one client address, and connects to loopback only.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import count
from selectors import EVENT_READ, DefaultSelector
from typing import TypeAlias

from tests.clients import JSON, PING, TEXT, Closed, Stranger, WebSocket
from tests.hostile.counts import Counts
from tests.hostile.neighbours import ROOM
from tests.hostile.target import Target
from tests.raw_http import FORM_TYPE, Connection, status
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
UPLOAD_MIN_BYTES = 1_000
UPLOAD_TYPE = "multipart/form-data; boundary=x"
UPLOAD_START = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
MAX_SECONDS = 20.0
MAX_ANSWER_SECONDS = 40.0
MAX_HOLD_SECONDS = 60.0
BODY = "body"
HEAD = "head"
SOCKET = "socket"
UPLOAD = "upload"
UNREAD = "unread"
LONG_ROOM = "long-texts"
LONG_PREFIX = "long "
LONG_CHAT = f"{LONG_PREFIX}chat"
LONG_TEXT = "\U0001f600" * 4_000
"""The longest message: 16 KB."""

MANY_TEXTS = 150
UNREAD_PAGES = 40
SEND_INTERVAL_SECONDS = 0.2
MAX_PING_BYTES = 125
GUESSES_OF_IDENTITY = 10
PIPELINED_EVENTS = 50
EDITS_BEFORE_REACTIONS = 15
"""They count like reactions, but are stored at once: fewer reactions then reach the limit."""

MAX_NEW_IDENTITIES = 900
"""Fewer than the handshakes that an address has at once, more than its joins."""

LARGE_HEADER_BYTES = 8_000
EMOJI = list("😀😂😍🤔😎😭🎉🔥👍👎🙏💯🚀🍕🐱🐶🌈⚡🎈🏆")
"""As many as a message can have."""

TOGGLES_AT_ONCE = 5
NO_EMOJI = ["\u2062\ufe0f", "カ", "─", "a", "1", "👍👍", "<b>", "\u200d"]
WARM_UP_SOCKETS = 20
"""After them, the buffers of the server have their size."""

PacketAttacker: TypeAlias = Callable[[Target, float], Counts]

names = count(1)


def until(seconds: float, is_limited: Callable[[], bool] = lambda: True) -> Iterator[int]:
    """Yield 0, 1, 2 and so on, until some seconds have passed and a limit is reached.

    On a busy machine, an attacker may need longer to reach it, but not longer than MAX_SECONDS.
    """
    start = time.monotonic()
    for number in count():
        passed = time.monotonic() - start
        if passed >= MAX_SECONDS or (passed >= seconds and is_limited()):
            return
        yield number


# Bodies and headers


def head_of_post(target: Target, media_type: str, length: int) -> bytes:
    """Return the head of a request that sends a body to the page of a room."""
    return target.head("POST", f"/{ROOM}/", Content_Type=media_type, Content_Length=str(length))


def send_large_forms(target: Target, seconds: float) -> Counts:
    """Post forms of nine megabytes to the page of a room. Counts the statuses of the answers."""
    piece = b"%41" * 30_000
    counts = Counts()
    for _ in until(seconds):
        with target.connect() as connection:
            connection.send(head_of_post(target, FORM_TYPE, FORM_BYTES))
            sent = 0
            while sent < FORM_BYTES and connection.send(piece):
                sent += len(piece)
            counts.add_response(connection.receive())
    return counts


def send_uploads(target: Target, seconds: float) -> Counts:
    """Upload files of 200 megabytes. Counts statuses, and the bytes the server let us send."""
    counts = Counts()
    for _ in until(seconds):
        with target.connect() as connection:
            connection.send(head_of_post(target, UPLOAD_TYPE, UPLOAD_BYTES) + UPLOAD_START)
            counts.add_response(connection.receive())
            sent = 0
            while sent < UPLOAD_BYTES and connection.send(bytes(MEGABYTE)):
                sent += MEGABYTE
            counts["bytes"] = max(counts["bytes"], sent)
    return counts


class Held:
    """A connection that an attacker keeps open without making progress."""

    def __init__(self, kind: str, connection: Connection) -> None:
        self.kind = kind
        self.connection = connection
        self.is_read = kind != UNREAD
        self.port: int = connection.client_port()
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
        return status(self.received)


def hold_connections(target: Target, number: int, unread: int) -> Counts:
    """Keep connections open without making progress, until the server has closed all of them.

    `number` each have a body that does not arrive completely, headers that arrive byte by byte, and
    a WebSocket that joins no room; `unread` ask for a large page and do not read it, and as many
    send a part of a file. Counts, for each kind, the connections and the milliseconds until the
    last one was closed, and the statuses of bodies and files.
    """
    counts = Counts()
    port = target.port
    with ExitStack() as stack:
        began = time.monotonic()
        held = list(_open_connections(stack, target, number, unread))
        counts.update(each.kind for each in held)
        selector = stack.enter_context(DefaultSelector())
        for each in held:
            if each.is_read:
                selector.register(each.connection, EVENT_READ, each)
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
        has_status = (each for each in held if each.kind in (BODY, UPLOAD))
        counts.update(f"status {each.final_status()}" for each in has_status)
    return counts


def _open_connections(stack: ExitStack, target: Target, number: int, unread: int) -> Iterator[Held]:
    requests = [
        (BODY, number, head_of_post(target, FORM_TYPE, 100) + b"message=hel"),
        (HEAD, number, target.head("GET", f"/{ROOM}/").removesuffix(b"\r\n")),
        (SOCKET, number, target.head("GET", WEBSOCKET_PATH, **UPGRADE_HEADERS)),
        (UPLOAD, unread, head_of_post(target, UPLOAD_TYPE, UPLOAD_MIN_BYTES) + UPLOAD_START),
        (UNREAD, unread, target.head("GET", f"/{LONG_ROOM}/")),
    ]
    for kind, times, request in requests:
        for _ in range(times):
            connection = stack.enter_context(target.connect())
            connection.send(request)
            yield Held(kind, connection)


def _ms_since(began: float) -> int:
    return int(1000 * (time.monotonic() - began))


# Hosts, pages of other sites, and the log

MALFORMED_HOSTS = ["a..b", ".", f"{'a' * 64}.example", "", "a b", "[::1", "localhost:99999", "%00"]
FOREIGN_HOSTS = ["evil.example", "evil.example:80", "localhost.evil.example", "192.0.2.1"]


def send_hosts(target: Target, seconds: float) -> Counts:
    """Ask for pages under hosts that are malformed or not ours. Counts statuses."""
    counts = Counts()
    hosts = MALFORMED_HOSTS + FOREIGN_HOSTS
    for number in until(seconds):
        host = hosts[number % len(hosts)]
        counts.add_response(target.ask("GET", "/", Host=host))
    return counts


def pretend_to_be_another_site(target: Target) -> Counts:
    """Try everything by which the page of another site could reach the server.

    Counts what was refused or had no effect, and what was accepted.
    """
    counts = Counts()
    for origin in ("https://evil.example", "null", "http://localhost:1", "file://"):
        for path, headers in ((POLLING_PATH, {}), (WEBSOCKET_PATH, UPGRADE_HEADERS)):
            response = target.ask("GET", path, Origin=origin, **headers)
            counts["accepted" if status(response) in (101, 200) else "refused"] += 1
    for name in ("X_Forwarded_Host", "Forwarded", "X_Forwarded_Prefix"):
        value = "host=evil.example" if name == "Forwarded" else "evil.example"
        response = target.ask("GET", "/kitchen", **{name: value})
        counts["accepted" if b"evil.example" in response else "refused"] += 1
    for name in ("SCRIPT_NAME", "Script_Name", "PATH_INFO"):
        response = target.ask("GET", "/kitchen", **{name: "/evil"})
        counts["accepted" if b"/evil" in response else "refused"] += 1
    with target.connect() as connection:
        two_hosts = target.head("GET", "/").replace(b"\r\n", b"\r\nHost: evil.example\r\n", 1)
        connection.send(two_hosts)
        counts["accepted" if status(connection.receive()) == 200 else "refused"] += 1
    return counts


def forge_log_lines(target: Target, seconds: float) -> Counts:
    """Send line breaks and control characters wherever the server may log them."""
    counts = Counts()
    forged = "%0d%0a2026-01-01 FORGED%1b[2J"
    for _ in until(seconds):
        for path in (f"{POLLING_PATH}&sid={forged}", f"/{forged}/", f"/{ROOM}/?before={forged}"):
            target.ask("GET", path, User_Agent="\x1b[2JFORGED", Origin="\x1b[2JFORGED")
            counts["requests"] += 1
    return counts


# Load over HTTP


def ask_as_fast_as_possible(
    target: Target, seconds: float, path: str, host: str = "localhost"
) -> Counts:
    """Request a path again and again. Counts statuses."""
    counts = Counts()
    with ExitStack() as stack:
        connection = stack.enter_context(target.connect())
        for _ in until(seconds):
            connection.send(target.head("GET", path, Host=host))
            response = connection.response()
            counts.add_response(response)
            if status(response) == 0:  # gunicorn closes connections now and then
                connection = stack.enter_context(target.connect())
    return counts


def ask_at_once(target: Target, number: int, path: str) -> Counts:
    """Request a path on many connections at once, and wait for all answers. Counts statuses."""
    counts = Counts()
    with ExitStack() as stack:
        connections = [stack.enter_context(target.connect()) for _ in range(number)]
        for connection in connections:
            connection.send(target.head("GET", path))
        for connection in connections:
            counts.add_response(connection.response())
    return counts


def create_rooms(target: Target, seconds: float) -> Counts:
    """Visit rooms that do not exist. Counts statuses."""
    counts = Counts()
    for _ in until(seconds):
        path = f"/room-of-{target.address.replace('.', '-')}-{next(names)}/"
        counts.add_response(target.ask("GET", path))
    return counts


def scan(target: Target) -> Counts:
    """Send what scanners, previews and prefetches send. Counts statuses."""
    visits: list[tuple[str, str, dict[str, str]]] = [
        ("HEAD", "/scan-head/", {}),
        ("HEAD", "/new/", {}),
        ("GET", "/scan-bot/", {"User_Agent": "Slackbot-LinkExpanding 1.0"}),
        ("GET", "/new/", {"User_Agent": "Slackbot-LinkExpanding 1.0"}),
        ("GET", "/scan-prefetch/", {"Sec_Purpose": "prefetch"}),
        ("GET", "/scan-prefetch-too/", {"Purpose": "prefetch"}),
        ("GET", "/new/", {"Sec_Fetch_Dest": "image"}),
    ]
    counts = Counts()
    for method, path, headers in visits:
        counts.add_response(target.ask(method, path, **headers))
    return counts


def guess_labels(target: Target, seconds: float) -> Counts:
    """Try labels by `join`, with new identities; then one that exists. Counts codes of answers."""
    counts = Counts()
    for _ in until(seconds, lambda: counts["rate_limited"] > 0):
        with target.stranger() as mallory:
            for _ in range(GUESSES_OF_IDENTITY):
                answer = mallory.ask("join", {"label": f"quiet-otter-{next(names):06}"})
                counts[answer["code"]] += 1
    with target.stranger() as mallory:
        answer = mallory.ask("join", {"label": ROOM})
        counts["found" if answer["ok"] else "found nothing"] += 1
    return counts


# Connections


def open_polling_sessions(target: Target, seconds: float) -> Counts:
    """Open sessions over polling. Counts statuses."""
    return ask_as_fast_as_possible(target, seconds, POLLING_PATH)


def open_idle_sockets(target: Target, number: int) -> Counts:
    """Open WebSockets that never join. Counts those that are open and those that are refused."""
    counts = Counts()
    with ExitStack() as stack:
        for _ in range(number):
            websocket = stack.enter_context(target.websocket())
            counts[f"status {websocket.status}"] += 1
    return counts


def open_sockets_with_large_headers(target: Target, number: int, headers: int, pid: int) -> Counts:
    """Open WebSockets with headers of 8 KB each. Counts `bytes` of the server for each socket.

    `headers` is their number, and `pid` the process of the server.
    """
    large = {f"X_Large_{each}": "x" * LARGE_HEADER_BYTES for each in range(headers)}
    request = target.head("GET", WEBSOCKET_PATH, **UPGRADE_HEADERS, **large)
    counts = Counts()
    with ExitStack() as stack:
        memory_before = 0
        for opened in range(number + WARM_UP_SOCKETS):
            if opened == WARM_UP_SOCKETS:
                memory_before = resident_bytes(pid)
            connection = stack.enter_context(target.connect())
            connection.send(request)
            counts.add_response(connection.receive())
        counts["bytes"] = max(0, resident_bytes(pid) - memory_before) // number
    return counts


def open_sockets_of_one_person(target: Target, number: int) -> Counts:
    """Open connections with one identity. Counts those that were accepted."""
    counts = Counts()
    with ExitStack() as stack:
        first = stack.enter_context(target.stranger())
        token = first.ask("join", {"label": ROOM})["you"]["token"]
        counts["accepted"] += 1
        for _ in range(number):
            websocket = stack.enter_context(target.websocket())
            websocket.receive()
            websocket.send("40" + json.dumps({"token": token}))
            is_accepted = websocket.receive().startswith("40")
            counts["accepted" if is_accepted else "refused"] += 1
    return counts


def poll_one_session_often(target: Target, number: int, max_open: float, seconds: float) -> Counts:
    """Wait for the packets of one session in many requests. Counts the requests that wait."""
    polling = target.polling()
    request = target.head("GET", polling.path)
    return _count_open(target, number, request, max_open, seconds)


def upgrade_one_session_often(
    target: Target, number: int, max_open: float, seconds: float
) -> Counts:
    """Begin to upgrade one session in many requests. Counts the connections that stay open."""
    polling = target.polling()
    path = polling.path.replace("transport=polling", "transport=websocket")
    request = target.head("GET", path, **UPGRADE_HEADERS)
    return _count_open(target, number, request, max_open, seconds)


def _count_open(
    target: Target, number: int, request: bytes, max_open: float, seconds: float
) -> Counts:
    """Send a request on many connections. Counts those the server has not closed or refused.

    Waits until it has refused enough of them, at most MAX_ANSWER_SECONDS, and holds the others
    open until `seconds` have passed.
    """
    counts = Counts()
    end = time.monotonic() + seconds
    with ExitStack() as stack:
        selector = stack.enter_context(DefaultSelector())
        for _ in range(number):
            connection = stack.enter_context(target.connect())
            connection.send(request)
            selector.register(connection, EVENT_READ, connection)
        counts["open"] = number
        give_up = time.monotonic() + MAX_ANSWER_SECONDS
        while counts["open"] > max_open and time.monotonic() < give_up:
            for each, _ in selector.select(QUIET_SECONDS):
                selector.unregister(each.fileobj)
                has_upgraded = status(each.data.receive()) == SWITCHING_PROTOCOLS
                counts["open"] -= 0 if has_upgraded else 1
        time.sleep(max(0.0, end - time.monotonic()))
    return counts


# Events


def new_handle() -> str:
    """Return a display name that nobody has: nobody can use the name of another person."""
    return f"Mallory {secrets.token_hex(4)}"


def flood(target: Target, seconds: float, event: str) -> Counts:
    """Send one event as fast as possible over one connection. Counts the answers by their code."""
    counts = Counts()
    with target.stranger() as mallory:
        assert mallory.ask("join", {"label": ROOM})["ok"]
        handle = new_handle()
        posted = mallory.ask("chat", {"handle": handle, "message": "first"})
        sent: dict[str, Callable[[int], JSON]] = {
            "chat": lambda number: {"handle": handle, "message": f"flood {number}"},
            LONG_CHAT: lambda number: {"handle": handle, "message": LONG_TEXT},
            "edit": lambda number: {"seq": posted["seq"], "message": f"flood {number}"},
            "react": lambda number: {"seq": posted["seq"], "emoji": "👍", "on": number % 2 == 0},
            "title": lambda number: {"name": f"flood {number}"},
            "history": lambda number: {"limit": 50},
        }
        if event == "react":
            for _ in range(EDITS_BEFORE_REACTIONS):
                counts.add_answer(mallory.ask("edit", sent["edit"](0)))
        for number in until(seconds, lambda: counts["rate_limited"] > 0):
            payloads = [
                json.dumps(sent[event](number + each), ensure_ascii=False)
                for each in range(PIPELINED_EVENTS)
            ]
            name = event.removeprefix(LONG_PREFIX)
            for call in [mallory.emit(name, payload) for payload in payloads]:
                counts.add_answer(mallory.answer(call))
    return counts


def flood_with_new_identities(target: Target, seconds: float) -> Counts:
    """Post with a new identity whenever one is over its limit. Counts the answers by their code."""
    counts = Counts()
    for _ in until(seconds):
        with suppress(Closed), target.stranger() as mallory:
            if not mallory.ask("join", {"label": ROOM})["ok"]:
                counts["join refused"] += 1
                continue
            handle = new_handle()
            for number in range(5):
                text = {"handle": handle, "message": f"flood {number}"}
                counts.add_answer(mallory.ask("chat", text))
    return counts


def reconnect_on_one_connection(target: Target, seconds: float) -> Counts:
    """Leave and enter the namespace again, each time with a join that claims to reconnect."""
    counts = Counts()
    with target.stranger() as mallory:
        token = mallory.ask("join", {"label": ROOM})["you"]["token"]
        for _ in until(seconds):
            if not connect_again(mallory, json.dumps({"token": token})):
                counts["connect refused"] += 1
                continue
            counts.add_answer(mallory.ask("join", {"label": ROOM, "after": 0}))
    return counts


def connect_again(mallory: Stranger, auth: str) -> bool:
    """Leave the namespace and enter it again; return whether that was accepted."""
    mallory.send("41")
    mallory.send(f"40{auth}")
    while not (packet := mallory.receive()).startswith(("40", "44")):
        pass
    return packet.startswith("40")


def collect_marks(target: Target, seconds: float) -> Counts:
    """Join with one new identity after the other. Counts answers, and the different marks."""
    counts = Counts()
    marks: set[str] = set()
    for number in until(seconds):
        if number == MAX_NEW_IDENTITIES:
            break
        with target.stranger() as mallory:
            answer = mallory.ask("join", {"label": ROOM})
        counts.add_answer(answer)
        if answer["ok"]:
            marks.add(answer["you"]["mark"])
    counts["marks"] = len(marks)
    return counts


def react_with_other_text(target: Target) -> Counts:
    """React with texts that are no emoji. Counts the answers by their code."""
    counts = Counts()
    with target.stranger() as mallory:
        assert mallory.ask("join", {"label": ROOM})["ok"]
        seq = mallory.ask("chat", {"handle": new_handle(), "message": "react"})["seq"]
        for text in NO_EMOJI:
            counts.add_answer(mallory.ask("react", {"seq": seq, "emoji": text, "on": True}))
    return counts


def toggle_reactions(target: Target, seconds: float, people: int, number: int) -> Counts:
    """Let people put a number of emoji on a message, then toggle them as fast as they can.

    Counts the answers, the `changes` that Ben receives in how many `ms`, and the `bytes` of the
    largest one.
    """
    emoji = EMOJI[:number]
    label = f"reactions-{next(names)}"
    target.ask("GET", f"/{label}/")
    counts = Counts()
    with ExitStack() as stack:
        ben = stack.enter_context(target.stranger())
        assert ben.ask("join", {"label": label})["ok"]
        seq = ben.ask("chat", {"handle": "Ben", "message": "react"})["seq"]
        strangers = [stack.enter_context(target.stranger()) for _ in range(people)]
        for mallory in strangers:
            mallory.keeps_events = False
            assert mallory.ask("join", {"label": label})["ok"]
        began = time.monotonic()
        sizes = stack.enter_context(ThreadPoolExecutor(1)).submit(_receive_sizes, ben)
        _react(strangers, [{"seq": seq, "emoji": each, "on": True} for each in emoji])
        for turn in until(seconds):
            toggled = {"seq": seq, "emoji": emoji[turn % number]}
            toggles = [{**toggled, "on": each % 2 == 1} for each in range(TOGGLES_AT_ONCE)]
            for answer in _react(strangers, toggles):
                counts.add_answer(answer)
        counts["ms"] = _ms_since(began)
        ben.disconnect()
        counts["changes"] = len(sizes.result())
        counts["bytes"] = max(sizes.result())
    return counts


def _react(strangers: list[Stranger], reactions: list[JSON]) -> list[JSON]:
    """Send reactions of all at once; return the answers."""
    calls = [
        (each, each.emit("react", json.dumps(reaction)))
        for each in strangers
        for reaction in reactions
    ]
    return [each.answer(call) for each, call in calls]


def _receive_sizes(ben: Stranger) -> list[int]:
    """Receive until the client is disconnected; return the size of each change as JSON."""
    sizes = []
    with suppress(Closed):
        while True:
            event, payload = ben.hear()
            if event == "change":
                sizes.append(len(json.dumps(payload, ensure_ascii=False).encode()))
    return sizes


def send_malformed_packets(target: Target, seconds: float) -> Counts:
    """Send packets that are none, until the server closes the connection; then on a new one."""
    counts = Counts()
    for _ in until(seconds):
        with suppress(Closed), target.stranger() as mallory:
            for _ in range(1_000):
                mallory.send("42[")
            mallory.ask("join", {"label": ROOM})
            counts["answered"] += 1
        counts["connections"] += 1
    return counts


def read_on_many_sockets_at_once(target: Target, number: int) -> Counts:
    """Ask for history on many sockets at once, and wait for all answers. Counts their codes."""
    counts = Counts()
    with ExitStack() as stack:
        strangers = [stack.enter_context(target.stranger()) for _ in range(number)]
        for mallory in strangers:
            assert mallory.ask("join", {"label": LONG_ROOM})["ok"]
        calls = [mallory.emit("history", '{"limit":200}') for mallory in strangers]
        for mallory, call in zip(strangers, calls, strict=True):
            counts.add_answer(mallory.answer(call))
    return counts


def ping_without_reading(target: Target, seconds: float) -> Counts:
    """Send WebSocket pings and read none of the answers. Counts connections."""
    counts = Counts()
    for _ in until(seconds):
        with target.websocket() as mallory:
            _send_without_reading(mallory, seconds, b"p" * MAX_PING_BYTES, PING)
        counts["connections"] += 1
    return counts


def ask_without_reading(target: Target, seconds: float) -> Counts:
    """Ask for history and read none of the answers. Counts connections."""
    counts = Counts()
    for _ in until(seconds):
        with suppress(Closed), target.stranger() as mallory:
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


def fill_room(target: Target, label: str, text: str, number: int) -> int:
    """Post a text many times, with new identities; return how many messages were stored."""
    target.ask("GET", f"/{label}/")
    stored = 0
    while stored < number:
        with target.stranger() as mallory:
            assert mallory.ask("join", {"label": label})["ok"]
            handle = new_handle()
            for _ in range(5):
                posted = json.dumps({"handle": handle, "message": text}, ensure_ascii=False)
                if not mallory.answer(mallory.emit("chat", posted))["ok"]:
                    break
                stored += 1
    return stored


def catch_up(target: Target, label: str) -> Counts:
    """Join a room with all its messages. Counts the bytes of the answer and its messages.

    Counts `more` too if the answer says that there are others.
    """
    counts = Counts()
    with target.stranger() as mallory:
        mallory.send("421" + json.dumps(["join", {"label": label, "after": 0}]))
        while not (packet := mallory.receive()).startswith("431"):
            pass
        counts["bytes"] = len(packet.encode())
        answer = json.loads(packet[3:])[0]
        counts["messages"] = len(answer["messages"])
        counts["more"] = answer["upto"] < answer["head"]
    return counts
