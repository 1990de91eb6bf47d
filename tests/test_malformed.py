"""Malformed input is not stored, not broadcast, and does not affect other connections."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import pytest

from tests.clients import BINARY, JSON, PING, TEXT, Closed, Polling, Stranger, WebSocket
from tests.pages import embedded_answer
from tests.servers import SERVERS, ConfabServer

pytestmark = pytest.mark.servers

ID = "0123456789abcdef"
MAX_FRAME_BYTES = 32 * 1024

# A valid payload of each event. Each key is left out once, and given every kind of invalid value.
VALID_PAYLOADS: dict[str, JSON] = {
    "join": {"label": "kitchen", "after": 0},
    "chat": {"handle": "Mallory", "message": "something bad", "id": ID, "reply_to": 1},
    "since": {"after": 0, "limit": 10},
    "history": {"before": 5, "limit": 10},
    "leave": {},
    "edit": {"seq": 1, "message": "something bad"},
    "delete": {"seq": 1},
    "title": {"name": "something bad", "handle": "Mallory"},
    "react": {"seq": 1, "emoji": "👍", "on": True},
    "rename": {"handle": "Mallory"},
    "typing": {"handle": "Mallory"},
}
OPTIONAL_KEYS = {
    "join": {"after"},
    "chat": {"id", "reply_to"},
    "since": {"limit"},
    "history": {"before", "limit"},
    "title": {"handle"},
}
TEXT_KEYS = {"label", "handle", "message", "id", "name", "emoji"}

# JSON values by name. Python reads these three; the standard does not allow them.
NOT_STANDARD_JSON = {"NaN": "NaN", "Infinity": "Infinity", "minus Infinity": "-Infinity"}
NEITHER_TEXT_NOR_NUMBER = {
    "null": "null",
    "an array": "[]",
    "an object": "{}",
    "true": "true",
    "a fraction": "1.5",
    **NOT_STANDARD_JSON,
}
INVALID_TEXTS = NEITHER_TEXT_NOR_NUMBER | {
    "a number": "7",
    "a lone surrogate": r'"a\ud800b"',
    "a lone low surrogate": r'"\udc00"',
    "NUL": r'"a\u0000b"',
    "a control character": r'"a\u001bb"',
    "an array of text": '["text"]',
    "10^400": "1" + "0" * 400,
}
INVALID_NUMBERS = NEITHER_TEXT_NOR_NUMBER | {
    "text": '"seven"',
    "a number as text": '"7"',
    "a negative number": "-1",
    "a whole float": "7.0",
    "an exponent": "1e2",
    "10^400": "1" + "0" * 400,
    "1e400": "1e400",
    "2^53": str(2**53),
    "2^63": str(2**63),
}
INVALID_BOOLEANS = INVALID_NUMBERS | {"zero": "0", "one": "1"}
del INVALID_BOOLEANS["true"]
INVALID_OBJECTS = NOT_STANDARD_JSON | {
    "null": "null",
    "an empty array": "[]",
    "text": '"kitchen"',
    "an empty text": '""',
    "a number": "7",
    "10^400": "1" + "0" * 400,
    "true": "true",
}
INVALID_PAYLOADS = {
    "join": {
        "an unknown room": '{"label": "no-such-room"}',
        "a blank label": '{"label": " "}',
        "a label with a space": '{"label": "the kitchen"}',
        "a label of 500 characters": json.dumps({"label": "k" * 500}),
    },
    "chat": {
        "a short id": '{"handle": "Mallory", "message": "bad", "id": "short"}',
        "an id with a slash": json.dumps(
            {"handle": "Mallory", "message": "bad", "id": "0123456789abcde/"}
        ),
        "a line break in the name": r'{"handle": "Mal\nlory", "message": "bad"}',
        "a name with a bidi override": r'{"handle": "Mal\u202elory", "message": "bad"}',
        "a blank name": '{"handle": "  ", "message": "bad"}',
        "a blank message": r'{"handle": "Mallory", "message": " \n "}',
        "an empty message": '{"handle": "Mallory", "message": ""}',
        "a long name": json.dumps({"handle": "M" * 65, "message": "bad"}),
        "a long message": json.dumps({"handle": "Mallory", "message": "b" * 4001}),
        "a message of many bytes": '{"handle": "Mallory", "message": "'
        + "\U0001f600" * 4001
        + '"}',
        "an author": '{"handle": "Mallory", "message": "bad", "author": "ada"}',
        "a seq": '{"handle": "Mallory", "message": "bad", "seq": 1}',
    },
    "since": {
        "a limit of zero": '{"after": 0, "limit": 0}',
        "too large a limit": '{"after": 0, "limit": 201}',
    },
    "history": {
        "before and after": '{"before": 5, "after": 1}',
        "before, after and around": '{"before": 5, "after": 1, "around": 3}',
        "a limit of zero": '{"limit": 0}',
        "too large a limit": '{"limit": 201}',
    },
    "leave": {},
    "edit": {
        "an empty message": '{"seq": 1, "message": ""}',
        "an unknown message": '{"seq": 999, "message": "bad"}',
        "a message of another author": '{"seq": 1, "message": "bad"}',
    },
    "delete": {"an unknown message": '{"seq": 999}', "a message of another author": '{"seq": 1}'},
    "title": {
        "a line break in the name": r'{"name": "bad\nname"}',
        "a name with a bidi override": r'{"name": "bad\u202ename"}',
        "a blank name": '{"name": "  "}',
        "a long name": json.dumps({"name": "b" * 81}),
        "an empty handle": '{"name": "bad", "handle": ""}',
    },
    "react": {
        "an empty emoji": '{"seq": 1, "emoji": "", "on": true}',
        "two emoji": '{"seq": 1, "emoji": "👍👍", "on": true}',
        "an unknown message": '{"seq": 999, "emoji": "👍", "on": true}',
    },
    "rename": {
        "a blank name": '{"handle": "  "}',
        "a long name": json.dumps({"handle": "M" * 65}),
        "a line break in the name": r'{"handle": "Mal\nlory"}',
    },
    "typing": {"a blank name": '{"handle": "  "}', "a long name": json.dumps({"handle": "M" * 65})},
}
# The codes of the payloads above; that of all others is "bad_request".
CODES = {
    "an unknown room": "not_found",
    "a blank name": "empty",
    "an empty handle": "empty",
    "a blank message": "empty",
    "an empty message": "empty",
    "a blank label": "not_found",
    "a label with a space": "not_found",
    "a label of 500 characters": "not_found",
    "a long name": "too_long",
    "a long message": "too_long",
    "a message of many bytes": "too_long",
    "an unknown message": "not_found",
    "a message of another author": "not_yours",
}
# Text that cannot be read as JSON. It may be dropped without an answer.
UNREADABLE = {
    "a number of 5,000 digits": "9" * 5000,
    "nesting": "[" * 15_000 + "]" * 15_000,
    "an object in an object": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "an object without its end": '{"label": "kit',
    "not JSON": "{label: 'kitchen'}",
}


class Malformed(NamedTuple):
    """An event with invalid arguments, as JSON texts."""

    event: str
    arguments: list[str]

    code: str | None
    """The code of the refusal; None when the packet may be dropped without an answer."""


def malformed_events() -> Iterator[tuple[str, Malformed]]:
    """Yield every kind of malformed event, with a name."""
    for event, valid in VALID_PAYLOADS.items():
        for name, arguments in malformed_arguments(event, valid):
            yield f"{event}: {name}", Malformed(event, arguments, "bad_request")
        for name, text in INVALID_PAYLOADS[event].items():
            code = CODES.get(name, "bad_request")
            yield f"{event}: {name}", Malformed(event, [text], code)
        for name, text in UNREADABLE.items():
            yield f"{event}: {name}", Malformed(event, [text], None)
        for key in valid:
            digits = "9" * 5_000
            payload = with_json_value(valid, key, digits)
            name = f"{event}: {key} is a number of 5,000 digits"
            yield name, Malformed(event, [payload], None)


def malformed_arguments(event: str, valid: JSON) -> Iterator[tuple[str, list[str]]]:
    """Yield arguments that are refused with `bad_request`, with a name."""
    payload = json.dumps(valid)
    yield "no argument", []
    yield "two payloads", [payload, payload]
    yield "a second argument", [payload, "null"]
    yield "the payload in an array", [f"[{payload}]"]
    yield "the payload as text", [json.dumps(payload)]
    yield "an extra key", [json.dumps(valid | {"extra": 1})]
    yield "a key without a name", [json.dumps(valid | {"": ""})]
    yield "the key __proto__", [json.dumps(valid | {"__proto__": {}})]
    yield "an extra NaN", [with_json_value(valid, "extra", "NaN")]
    for name, text in INVALID_OBJECTS.items():
        yield name, [text]
    for key in valid:
        if key not in OPTIONAL_KEYS.get(event, set()):
            rest = {each: valid[each] for each in valid if each != key}
            yield f"no {key}", [json.dumps(rest)]
        for name, text in invalid_values(key).items():
            yield f"{key} is {name}", [with_json_value(valid, key, text)]


def invalid_values(key: str) -> dict[str, str]:
    """Return JSON values of the wrong kind for a key, by name."""
    if key in TEXT_KEYS:
        return INVALID_TEXTS
    if key == "on":
        return INVALID_BOOLEANS
    return INVALID_NUMBERS


def with_json_value(payload: JSON, key: str, text: str) -> str:
    """Return a payload as JSON in which one value is the given text, which need not be JSON."""
    placeholder = "-the value-"
    dumped = json.dumps(payload | {key: placeholder})
    assert dumped.count(placeholder) == 1
    return dumped.replace(json.dumps(placeholder), text)


MALFORMED_EVENTS = dict(malformed_events())


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConfabServer]:
    """A server with a kitchen, in which Ada has posted a message."""
    with SERVERS[request.param](tmp_path_factory.mktemp("server")) as started:
        started.room("kitchen")
        with Stranger(started.url) as ada:
            ada.ask("join", {"label": "kitchen"})
            ada.ask("chat", {"handle": "Ada", "message": "I was first"})
        yield started


@pytest.fixture
def kitchen(server: ConfabServer) -> Iterator["Kitchen"]:
    """Mallory and Ben are in the kitchen."""
    with Stranger(server.url) as mallory, Stranger(server.url) as ben:
        yield Kitchen(server, mallory, ben)


class Kitchen:
    """The room in which Mallory sends malformed input and Ben receives."""

    numbers = count()

    def __init__(self, server: ConfabServer, mallory: Stranger, ben: Stranger) -> None:
        self.server = server
        self.mallory = mallory
        self.ben = ben
        mallory.ask("join", {"label": "kitchen"})
        self.head: int = ben.ask("join", {"label": "kitchen"})["head"]

    def check_unaffected(self, sender: Stranger | None = None) -> None:
        """Check that nothing was stored or broadcast since the last check, and that chat works.

        The sender, by default Mallory, posts the next message of the room and Ben receives it.
        """
        if sender is None:
            sender = self.mallory
        self.head += 1
        text = f"Sorry, number {next(self.numbers)}"
        answer = sender.ask("chat", {"handle": "Mallory", "message": text})
        assert answer["ok"], answer
        assert answer["seq"] == self.head, "something was stored"
        assert answer["head"] == self.head, "something was stored"
        event, received = self.ben.hear()
        assert event == "chat", "something was broadcast"
        assert received["seq"] == self.head, "something was broadcast"
        assert received["message"] == text, "something was broadcast"

    def check_unaffected_for_others(self) -> None:
        """Check the same with a new connection, when Mallory's has been closed."""
        with Stranger(self.server.url) as cy:
            cy.ask("join", {"label": "kitchen"})
            self.check_unaffected(cy)


# Payloads


# Payloads are parsed in the same way with the engine on and off.
@pytest.mark.parametrize("server", ["flask run", "gunicorn"], indirect=True)
@pytest.mark.parametrize("malformed", MALFORMED_EVENTS.values(), ids=MALFORMED_EVENTS)
def test_a_malformed_payload_is_refused_without_any_effect(
    kitchen: Kitchen, malformed: Malformed
) -> None:
    call = kitchen.mallory.emit(malformed.event, *malformed.arguments)

    kitchen.check_unaffected()
    # Answers come in order: this one has arrived by now, or there is none.
    answer = kitchen.mallory.answers.get(call)
    if answer is None:
        assert malformed.code is None
        return
    assert answer["ok"] is False
    assert answer["code"] == (malformed.code or "bad_request")
    assert answer["retry"] is False
    assert set(answer) == {"ok", "code", "message", "retry"}


def test_the_page_shows_nothing_of_malformed_payloads(kitchen: Kitchen) -> None:
    for malformed in MALFORMED_EVENTS.values():
        kitchen.mallory.emit(malformed.event, *malformed.arguments)
    kitchen.check_unaffected()

    page = kitchen.server.page("/kitchen/")

    shown = embedded_answer(page)
    assert shown["messages"][-1]["seq"] == kitchen.head
    for message in shown["messages"]:
        assert message["message"].startswith(("Sorry", "I was first", "in pieces", "over"))
    assert "something bad" not in page


def test_any_number_of_malformed_payloads_is_answered(kitchen: Kitchen) -> None:
    for _ in range(500):
        kitchen.mallory.emit("chat", '{"handle": "Mallory"}')

    kitchen.check_unaffected()
    join_and_last_message = 2
    assert len(kitchen.mallory.answers) == 500 + join_and_last_message


# Packets and frames


# Packets of Engine.IO, and of Socket.IO in its messages, that no client of ours sends.
PACKETS = {
    "an empty frame": "",
    "zzz": "zzz",
    "a packet of an unknown type": "9",
    "a second open": "0{}",
    "a noop": "6",
    "an unrequested upgrade": "5",
    "an empty message": "4",
    "a message of an unknown type": "49",
    "an event without an array": '42{"chat": 1}',
    "an event that is text": '42"chat"',
    "an event without a name": "42[]",
    "an event whose name is a number": "42[1, {}]",
    "an event whose name is an object": "42[{}, {}]",
    "an event whose name is null": "42[null]",
    "not JSON": "42[",
    "an event without its end": '421["chat", {"handle":',
    "an event of 10^400 arguments": "42" + "9" * 400 + '["chat"',
    "a call of 5,000 digits": "42" + "9" * 5000 + '["since",{"after":0}]',
    "an unknown event": '42["shout",{"message":"bad"}]',
    "an unknown event with a call id": '421000["shout",{"message":"bad"}]',
    "connect as an event": '421001["connect",{"token":"bad"}]',
    "disconnect as an event": '421002["disconnect","bad"]',
    "message as an event": '421003["message","bad"]',
    "an event of the server": '421004["__disconnect_final","bad"]',
    "a binary event": '451-["chat",{"_placeholder":true,"num":0}]',
    "a binary event of a million parts": '451000000-["chat",{"_placeholder":true,"num":0}]',
    "a binary answer": '461-1[{"_placeholder":true,"num":0}]',
    "an answer to nothing": "431[1]",
    "an answer without content": "43",
    "an error from the client": '44{"message":"bad"}',
    "a second connect": "40",
    "a connect with bad auth": '40{"token":1}',
    "a connect with an array": "40[1]",
    "another namespace": "40/admin,",
    "an event in another namespace": '42/admin,1005["chat",{"handle":"Mallory","message":"bad"}]',
    "a disconnect from another namespace": "41/admin,",
    "a namespace without an end": "42/" + "a" * 1000,
    "an unrequested pong": "3",
    "a ping with content": "2probe",
}


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_an_unexpected_packet_is_dropped(kitchen: Kitchen, packet: str) -> None:
    kitchen.mallory.send(packet)

    kitchen.check_unaffected()
    assert set(kitchen.mallory.answers) <= {1, 2, 3}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", BINARY),
        (b"\x04\x00\xff", BINARY),
        (b'42["chat",{"handle":"Mallory","message":"bad"}]', BINARY),
        (b"b" * 20_000, BINARY),
        (b"are you there?", PING),
    ],
    ids=["nothing", "bytes", "an event in bytes", "many bytes", "a WebSocket ping"],
)
def test_binary_frames_are_dropped(kitchen: Kitchen, data: bytes, kind: int) -> None:
    kitchen.mallory.send(data, kind)

    kitchen.check_unaffected()


def test_a_binary_event_and_its_attachment_are_dropped(kitchen: Kitchen) -> None:
    kitchen.mallory.send(
        '451-["chat",{"handle":"Mallory","message":{"_placeholder":true,"num":0}}]'
    )
    kitchen.mallory.send(b"bad")

    kitchen.check_unaffected()


def test_a_fragmented_message_is_one_event(kitchen: Kitchen) -> None:
    kitchen.mallory.send('42["chat",{"handle":"Mallory",', last=False)
    kitchen.mallory.send(b'"message":"in pieces"}]', 0)

    event, received = kitchen.ben.hear()
    assert (event, received["message"]) == ("chat", "in pieces")


def test_the_server_does_not_accept_frame_compression(server: ConfabServer) -> None:
    offer = "permessage-deflate; client_max_window_bits"

    with Stranger(server.url, Sec_WebSocket_Extensions=offer) as ada:
        assert ada.status == "101"
        assert ada.headers["Sec-WebSocket-Extensions"] is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_WebSocket_Version": "8"},
        {"Sec_WebSocket_Version": "thirteen"},
        {"Sec_WebSocket_Key": ""},
        {"Connection": "close"},
        {"Connection": "keep-alive"},
        {"Upgrade": "telepathy"},
    ],
    ids=[
        "an old version",
        "no version",
        "no key",
        "a connection that closes",
        "a connection without an upgrade",
        "another protocol",
    ],
)
def test_an_invalid_handshake_is_refused(kitchen: Kitchen, headers: dict[str, str]) -> None:
    with WebSocket(kitchen.server.url, **headers) as websocket:
        assert websocket.status == "400"

    kitchen.check_unaffected()


def send_invalid_utf8(websocket: WebSocket) -> None:
    websocket.send(b'42["chat",{"handle":"Mallory","message":"\xff\xfe"}]', TEXT)


def send_lone_surrogate(websocket: WebSocket) -> None:
    websocket.send('42["chat",{"handle":"Mallory","message":"\ud800"}]')


def send_unknown_opcode(websocket: WebSocket) -> None:
    websocket.send(b"bad", 11)


def send_http(websocket: WebSocket) -> None:
    websocket.send_bytes(b"GET / HTTP/1.1\r\n\r\n" * 10)


def send_frame_without_its_end(websocket: WebSocket) -> None:
    websocket.send_bytes(b"\x81\xfe\x10\x00\x00")


def send_close_frame_without_its_end(websocket: WebSocket) -> None:
    websocket.send_bytes(b"\x88\xfe")


@pytest.mark.parametrize(
    "violate_protocol",
    [
        send_invalid_utf8,
        send_lone_surrogate,
        send_unknown_opcode,
        send_http,
        send_frame_without_its_end,
        send_close_frame_without_its_end,
    ],
)
def test_a_protocol_violation_affects_at_most_its_own_connection(
    kitchen: Kitchen, violate_protocol: Callable[[WebSocket], None]
) -> None:
    violate_protocol(kitchen.mallory)
    kitchen.mallory.close()

    kitchen.check_unaffected_for_others()


THREE_MEGABYTES = "b" * 3_000_000
OVERSIZED_PAYLOADS = {
    "a message": json.dumps({"handle": "Mallory", "message": THREE_MEGABYTES}),
    "a key": json.dumps({THREE_MEGABYTES: 1}),
    "nesting 100,000 deep": "[" * 100_000 + "]" * 100_000,
    "a number": "9" * 1_000_000,
    "just over the limit": json.dumps({"handle": "Mallory", "message": "b" * MAX_FRAME_BYTES}),
}


@pytest.mark.parametrize("payload", OVERSIZED_PAYLOADS.values(), ids=OVERSIZED_PAYLOADS)
def test_a_frame_over_32_kib_closes_only_its_own_connection_with_1009(
    kitchen: Kitchen, payload: str
) -> None:
    kitchen.mallory.emit("chat", payload)

    with pytest.raises(Closed) as closed:
        kitchen.mallory.hear()
    assert closed.value.code == 1009
    kitchen.check_unaffected_for_others()


def test_a_frame_of_exactly_32_kib_is_accepted(kitchen: Kitchen) -> None:
    start = '42999["chat",{"handle":"Mallory","message":"'
    end = '"}]'

    kitchen.mallory.send(start + "b" * (MAX_FRAME_BYTES - len(start) - len(end)) + end)

    kitchen.check_unaffected()
    assert kitchen.mallory.answers[999]["code"] == "too_long"


def test_a_fragmented_message_over_32_kib_closes_its_connection_with_1009(kitchen: Kitchen) -> None:
    kitchen.mallory.send('42["chat",{"handle":"', last=False)
    for _ in range(40):
        kitchen.mallory.send(b"b" * 1024, 0, last=False)

    with pytest.raises(Closed) as closed:
        kitchen.mallory.hear()
    assert closed.value.code == 1009


def test_fifty_undecodable_packets_do_not_close_the_connection(kitchen: Kitchen) -> None:
    for _ in range(50):
        kitchen.mallory.send("42[")

    kitchen.check_unaffected()


def test_a_flood_of_undecodable_packets_closes_at_most_its_own_connection(kitchen: Kitchen) -> None:
    for _ in range(1000):
        kitchen.mallory.send("42[")
    kitchen.mallory.close()

    kitchen.check_unaffected_for_others()


BODIES = {
    "an invalid packet": "zzz",
    "nothing": "",
    "separators": "\x1e" * 100,
    "not UTF-8": b'42["chat",{"handle":"Mallory","message":"\xff"}]',
    "a binary packet": "bAAAA",
    "an invalid binary packet": "b!",
    "a JSONP body without its d": "d=",
    "not JSON": "42[",
    "an unknown event": '42["shout",{}]',
    "a malformed payload": '421["chat",{"handle":NaN}]',
    "three megabytes": '42["chat",{"handle":"Mallory","message":"' + THREE_MEGABYTES + '"}]',
    "eight thousand packets": "\x1e".join(["42["] * 8_000),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_malformed_polling_body_does_not_affect_others(
    kitchen: Kitchen, body: str | bytes
) -> None:
    polling = Polling(kitchen.server.url)

    status, _ = polling.request("POST", body)

    assert status in (200, 400) or len(body) > MAX_FRAME_BYTES
    kitchen.check_unaffected()


def test_a_polling_client_can_post_after_malformed_packets(kitchen: Kitchen) -> None:
    polling = Polling(kitchen.server.url)
    packets = [
        "42[",
        '42["shout"]',
        '420["chat",{"handle":NaN}]',
        '421["join",{"label":"kitchen"}]',
        '422["chat",{"handle":"Cy","message":"over polling"}]',
    ]

    polling.request("POST", "\x1e".join(packets))

    event, received = kitchen.ben.hear()
    assert event == "chat"
    assert received["handle"] == "Cy"
    assert received["message"] == "over polling"


def test_a_polling_client_can_post_after_undecodable_packets(kitchen: Kitchen) -> None:
    polling = Polling(kitchen.server.url)
    packets = [
        "zzz",
        "",
        "b!",
        '421["join",{"label":"kitchen"}]',
        '422["chat",{"handle":"Cy","message":"over and over"}]',
    ]

    polling.request("POST", "zzz")
    polling.request("POST", "\x1e".join(packets))

    event, received = kitchen.ben.hear()
    assert event == "chat"
    assert received["handle"] == "Cy"
    assert received["message"] == "over and over"


def test_packets_for_a_session_that_has_ended_are_refused(kitchen: Kitchen) -> None:
    polling = Polling(kitchen.server.url)
    end_and_connect = "\x1e".join(["1", "40", '421["join",{"label":"kitchen"}]'])

    assert polling.request("POST", end_and_connect)[0] == 200
    assert polling.request("POST", "3")[0] == 400

    assert "message handler error" not in kitchen.server.log()
    assert "Traceback" not in kitchen.server.log()
    kitchen.check_unaffected()


@pytest.mark.parametrize(
    "query",
    [
        "",
        "EIO=3&transport=polling",
        "EIO=4&transport=telepathy",
        "EIO=4&transport=polling&sid=nobody",
        "EIO=4&transport=polling&j=x",
    ],
)
def test_an_invalid_engine_io_request_is_refused(kitchen: Kitchen, query: str) -> None:
    polling = Polling(kitchen.server.url)
    polling.path = f"/socket.io/?{query}"

    assert [polling.request(method, "zzz")[0] for method in ("GET", "POST")] == [400, 400]
    kitchen.check_unaffected()
