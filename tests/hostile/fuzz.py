"""Random payloads, packets, WebSocket frames and HTTP heads, derived from valid ones.

Each function sends a number of them and returns what it has observed. The same seed sends the same.
"""

import json
import random
from contextlib import suppress
from dataclasses import replace

from tests.clients import JSON, Closed, Stranger, WebSocket
from tests.hostile.attackers import POLLING_PATH, WEBSOCKET_PATH
from tests.hostile.counts import Counts
from tests.hostile.neighbours import ROOM
from tests.hostile.target import Target
from tests.test_malformed import (
    INVALID_NUMBERS,
    INVALID_TEXTS,
    PACKETS,
    VALID_PAYLOADS,
    with_json_value,
)

ADDRESSES = [f"192.0.2.{number}" for number in range(1, 251)]
"""Many, so that the rate limits do not refuse what should reach the parsers."""

PAYLOADS_PER_CONNECTION = 40
FRAMES_PER_CONNECTION = 4
MAX_NESTING = 4
MAX_CUT_CHARACTERS = 8
QUIET_SECONDS = 2.0

TEXTS = ["", "a", ROOM, "\u202e", "\U0001f600" * 10, "a" * 5_000, "*" * 400, "\x00", "\n", "👍"]
PIECES = ["\x00", "\r\n", "\x1b", '"', "{", "}", "[", "]", ":", ",", "\\u", "\\ud800", "\x1e", "é"]
PATHS = ["/", "/new/", f"/{ROOM}/", f"/{ROOM}/qr.svg", "/healthz", "/static/x/y", POLLING_PATH]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "PRI", ""]
HEADERS = {
    "Host": ["localhost", "a..b", "", "localhost, localhost", "[::1]"],
    "Content-Length": ["0", "-1", "+1", "1e3", "9" * 30, "5, 5", " 5"],
    "Transfer-Encoding": ["chunked", "gzip, chunked", "xchunked", "chunked, chunked"],
    "Cookie": ["confab=x", "confab=" + "e30." * 1_000, "=", "confab=.e30"],
    "X-Forwarded-For": ["", ",,", "1.1.1.1" * 99, "::1%eth0", "[2001:db8::1]:80"],
    "Origin": ["null", "http://", "http://localhost:99999", "\x1b"],
    "Accept-Encoding": ["br;q=x", "gzip;q=0, *;q=0", ",", "br" * 1_000],
    "Upgrade": ["websocket", "h2c"],
    "Expect": ["100-continue", "200-ok"],
    "Range": ["bytes=0-", "bytes=-1,-2"],
    "If-None-Match": ['"', "*"],
    "Sec-Fetch-Dest": ["image"],
    "Content-Type": ["multipart/form-data", "multipart/form-data; boundary=", "application/json"],
}


def random_target(rng: random.Random, target: Target) -> Target:
    """Return a target for a connection from one of many addresses."""
    return replace(target, address=rng.choice(ADDRESSES))


def send_payloads(target: Target, seed: int, number: int) -> Counts:
    """Send random payloads and packets. Counts the answers by their code."""
    rng = random.Random(seed)
    counts = Counts()
    while counts["sent"] < number:
        # Before joining there are no limits, so that every payload reaches its parser.
        has_joined = rng.random() < 0.3
        with suppress(Closed), random_target(rng, target).stranger() as mallory:
            if has_joined:
                mallory.ask("join", {"label": ROOM})
            for _ in range(PAYLOADS_PER_CONNECTION):
                _send_payload(rng, mallory)
                counts["sent"] += 1
            counts.update(_codes_of_answers(mallory))
    return counts


def _codes_of_answers(client: Stranger) -> list[str]:
    """Disconnect, and return the codes of all answers until then."""
    client.set_timeout(QUIET_SECONDS)
    client.send("1")  # Engine.IO's own close: what was sent before is handled first
    with suppress(Closed, TimeoutError):
        while True:
            client.hear()
    return ["ok" if answer.get("ok") else answer["code"] for answer in client.answers.values()]


def _send_payload(rng: random.Random, mallory: Stranger) -> None:
    event = rng.choice(list(VALID_PAYLOADS))
    kind = rng.randrange(5)
    if kind == 0:
        mallory.send(_mutated(rng, rng.choice(list(PACKETS.values()))))
    elif kind == 1:
        mallory.send(_mutated(rng, f"427{json.dumps([event, VALID_PAYLOADS[event]])}"))
    elif kind == 2:
        arguments = [json.dumps(_random_json(rng)) for _ in range(rng.randrange(4))]
        mallory.emit(event, *arguments)
    else:
        mallory.emit(event, _with_random_value(rng, VALID_PAYLOADS[event]))


def _with_random_value(rng: random.Random, payload: JSON) -> str:
    """Return a payload as JSON in which one value is another."""
    key = rng.choice([*payload, "extra", "__proto__", "label"])
    values = [*INVALID_TEXTS.values(), *INVALID_NUMBERS.values(), *map(json.dumps, TEXTS)]
    return with_json_value(payload, key, rng.choice(values))


def _random_json(rng: random.Random, depth: int = 0) -> object:
    kind = rng.randrange(7 if depth < MAX_NESTING else 5)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1:
        return rng.choice([0, -1, 1, 2**31, 2**63, 2**100, 1.5, -0.0])
    if kind in (2, 3):
        return rng.choice([None, True, False])
    if kind == 4:
        return rng.choice([[], {}])
    values = [_random_json(rng, depth + 1) for _ in range(rng.randrange(5))]
    if kind == 5:
        return values
    return {rng.choice(["label", "handle", "message", "seq", "x"]): value for value in values}


def _mutated(rng: random.Random, text: str) -> str:
    """Return a text with parts removed, repeated or replaced."""
    for _ in range(rng.randint(1, 4)):
        position = rng.randint(0, len(text))
        end = min(len(text), position + rng.randrange(MAX_CUT_CHARACTERS))
        replacement = rng.choice(["", rng.choice(PIECES), text[position:end] * 2])
        text = text[:position] + replacement + text[end:]
    return text


def send_frames(target: Target, seed: int, number: int) -> Counts:
    """Send random bytes and frames on WebSockets. Counts connections and close codes."""
    rng = random.Random(seed)
    counts = Counts()
    while counts["sent"] < number:
        with random_target(rng, target).websocket() as mallory:
            for _ in range(FRAMES_PER_CONNECTION):
                mallory.send_bytes(_random_frame(rng))
                counts["sent"] += 1
            mallory.end()
            counts[f"closed with {_close_code(mallory)}"] += 1
    return counts


def _random_frame(rng: random.Random) -> bytes:
    payload = rng.randbytes(rng.choice([0, 1, 2, 5, 125, 126, 1_000]))
    if rng.random() < 0.3:
        payload = rng.choice(list(PACKETS.values())).encode(errors="surrogatepass")[:1_000]
    if rng.random() < 0.1:
        return payload
    first = rng.choice([0x81, 0x82, 0x80, 0x01, 0x00, 0x88, 0x89, 0x8A, rng.randrange(256)])
    mask = 0x80 if rng.random() < 0.95 else 0
    size = len(payload) if rng.random() < 0.9 else rng.randrange(2**16)
    if size < 126:
        start = bytes((first, mask | size))
    elif rng.random() < 0.9:
        start = bytes((first, mask | 126)) + size.to_bytes(2, "big")
    else:
        start = bytes((first, mask | 127)) + rng.choice([size, 2**63, 2**64 - 1]).to_bytes(8, "big")
    return start + (bytes(4) if mask else b"") + payload


def _close_code(websocket: WebSocket) -> int | None:
    """Read until the server closes; return its close code, None without one."""
    try:
        while True:
            websocket.receive()
    except Closed as closed:
        return closed.code


def send_heads(target: Target, seed: int, number: int) -> Counts:
    """Send random request lines and headers. Counts the statuses of the answers."""
    rng = random.Random(seed)
    counts = Counts()
    for _ in range(number):
        with target.connect() as connection:
            connection.send(_random_head(rng, random_target(rng, target)))
            connection.end()
            counts.add_response(connection.receive())
    return counts


def _random_head(rng: random.Random, target: Target) -> bytes:
    method = rng.choice(METHODS) if rng.random() < 0.3 else "GET"
    path = _mutated(rng, rng.choice([*PATHS, WEBSOCKET_PATH]))
    headers = {"Connection": "close"}
    for name in rng.sample(list(HEADERS), rng.randrange(4)):
        value = rng.choice(HEADERS[name])
        headers[name] = _mutated(rng, value) if rng.random() < 0.3 else value
    text = target.head(method, path, **headers).decode("latin-1")
    if rng.random() < 0.3:
        text = _mutated(rng, text)
    if rng.random() < 0.1:
        text = text[: rng.randrange(len(text))]
    return text.encode("latin-1", errors="replace")
