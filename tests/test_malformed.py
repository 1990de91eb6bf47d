"""People without manners: whatever they send is stored nowhere, told to nobody, and harms no one."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import pytest

from tests.clients import BINARY, JSON, PING, TEXT, Closed, Polling, Stranger, WebSocket
from tests.servers import SERVERS, ConfabServer

pytestmark = pytest.mark.servers

ID = "0123456789abcdef"
FRAME_BYTES = 32 * 1024

# What is right. A key is left out by the name it has here, and is given every other kind of value.
RIGHT: dict[str, JSON] = {
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
OPTIONAL = {
    "join": {"after"},
    "chat": {"id", "reply_to"},
    "since": {"limit"},
    "history": {"before", "limit"},
    "title": {"handle"},
}
TEXTS = {"label", "handle", "message", "id", "name", "emoji"}

NOT_JSON_FOR_ALL = {"NaN": "NaN", "Infinity": "Infinity", "minus Infinity": "-Infinity"}
NEITHER = {
    "null": "null",
    "an array": "[]",
    "an object": "{}",
    "true": "true",
    "half": "1.5",
    **NOT_JSON_FOR_ALL,
}
NO_TEXTS = NEITHER | {
    "a number": "7",
    "a lone surrogate": r'"a\ud800b"',
    "the other half": r'"\udc00"',
    "NUL": r'"a\u0000b"',
    "a control character": r'"a\u001bb"',
    "an array of text": '["text"]',
    "10^400": "1" + "0" * 400,
}
NO_NUMBERS = NEITHER | {
    "text": '"seven"',
    "digits in text": '"7"',
    "less than nothing": "-1",
    "a whole float": "7.0",
    "an exponent": "1e2",
    "10^400": "1" + "0" * 400,
    "1e400": "1e400",
    "2^53": str(2**53),
    "2^63": str(2**63),
}
NO_BOOLEANS = {what: value for what, value in NO_NUMBERS.items() if what != "true"} | {
    "zero": "0",
    "one": "1",
}
NO_OBJECTS = NOT_JSON_FOR_ALL | {
    "null": "null",
    "an empty array": "[]",
    "text": '"kitchen"',
    "no text": '""',
    "a number": "7",
    "10^400": "1" + "0" * 400,
    "true": "true",
}
SPECIAL = {
    "join": {
        "no room": '{"label": "no-such-room"}',
        "a label that is none": '{"label": " "}',
        "a label that is two words": '{"label": "the kitchen"}',
        "a label of 500 characters": json.dumps({"label": "k" * 500}),
    },
    "chat": {
        "a short id": '{"handle": "Mallory", "message": "bad", "id": "short"}',
        "an id of other characters": '{"handle": "Mallory", "message": "bad", "id": "0123456789abcde/"}',
        "a line break in the name": r'{"handle": "Mal\nlory", "message": "bad"}',
        "a name that turns the text": r'{"handle": "Mal\u202elory", "message": "bad"}',
        "a blank name": '{"handle": "  ", "message": "bad"}',
        "a blank message": r'{"handle": "Mallory", "message": " \n "}',
        "no message in it": '{"handle": "Mallory", "message": ""}',
        "a long name": json.dumps({"handle": "M" * 65, "message": "bad"}),
        "a long message": json.dumps({"handle": "Mallory", "message": "b" * 4001}),
        "a message of many bytes": '{"handle": "Mallory", "message": "'
        + "\U0001f600" * 4001
        + '"}',
        "somebody else's author": '{"handle": "Mallory", "message": "bad", "author": "ada"}',
        "a place of its own choice": '{"handle": "Mallory", "message": "bad", "seq": 1}',
    },
    "since": {
        "a limit of none": '{"after": 0, "limit": 0}',
        "too large a limit": '{"after": 0, "limit": 201}',
    },
    "history": {
        "two directions": '{"before": 5, "after": 1}',
        "all directions": '{"before": 5, "after": 1, "around": 3}',
        "a limit of none": '{"limit": 0}',
        "too large a limit": '{"limit": 201}',
    },
    "leave": {},
    "edit": {
        "nothing new": '{"seq": 1, "message": ""}',
        "no such message": '{"seq": 999, "message": "bad"}',
        "a message of somebody else": '{"seq": 1, "message": "bad"}',
    },
    "delete": {"no such message": '{"seq": 999}', "a message of somebody else": '{"seq": 1}'},
    "title": {
        "a line break in the name": r'{"name": "bad\nname"}',
        "a name that turns the text": r'{"name": "bad\u202ename"}',
        "a blank name": '{"name": "  "}',
        "a long name": json.dumps({"name": "b" * 81}),
        "a blank name of the person": '{"name": "bad", "handle": ""}',
    },
    "react": {
        "no emoji in it": '{"seq": 1, "emoji": "", "on": true}',
        "two emoji": '{"seq": 1, "emoji": "👍👍", "on": true}',
        "no such message": '{"seq": 999, "emoji": "👍", "on": true}',
    },
    "rename": {
        "a blank name": '{"handle": "  "}',
        "a long name": json.dumps({"handle": "M" * 65}),
        "a line break in the name": r'{"handle": "Mal\nlory"}',
    },
    "typing": {"a blank name": '{"handle": "  "}', "a long name": json.dumps({"handle": "M" * 65})},
}
CODES = {
    "no room": "not_found",
    "a blank name": "empty",
    "a blank name of the person": "empty",
    "a blank message": "empty",
    "no message in it": "empty",
    "nothing new": "empty",
    "a label that is none": "not_found",
    "a label that is two words": "not_found",
    "a label of 500 characters": "not_found",
    "a long name": "too_long",
    "a long message": "too_long",
    "a message of many bytes": "too_long",
    "no such message": "not_found",
    "a message of somebody else": "not_yours",
}
UNREADABLE = {  # as JSON: these may be dropped without an answer
    "a number of 5,000 digits": "9" * 5000,
    "nesting": "[" * 15_000 + "]" * 15_000,
    "an object in an object": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "half of it": '{"label": "kit',
    "no JSON": "{label: 'kitchen'}",
}


class Bad(NamedTuple):
    """Something sent with an event, as JSON; the code it is refused with, or None where silence will do as well."""

    event: str
    arguments: list[str]
    code: str | None


def table() -> Iterator[tuple[str, Bad]]:
    """Everything that can be wrong, with a name."""
    for event, right in RIGHT.items():
        whole = json.dumps(right)

        def bad(
            what: str, *arguments: str, code: str | None = "bad_request", event: str = event
        ) -> tuple[str, Bad]:
            return f"{event}: {what}", Bad(event, list(arguments), code)

        yield bad("nothing")
        yield bad("two of them", whole, whole)
        yield bad("something beside it", whole, "null")
        yield bad("it in an array", f"[{whole}]")
        yield bad("it in text", json.dumps(whole))
        yield bad("an extra key", json.dumps(right | {"extra": 1}))
        yield bad("a key without a name", json.dumps(right | {"": ""}))
        yield bad("the key __proto__", json.dumps(right | {"__proto__": {}}))
        yield bad("an extra NaN", whole[:-1] + (", " if right else "") + '"extra": NaN}')
        for what, value in NO_OBJECTS.items():
            yield bad(what, value)
        for what, value in UNREADABLE.items():
            yield bad(what, value, code=None)
        for what, value in SPECIAL[event].items():
            yield bad(what, value, code=CODES.get(what, "bad_request"))
        for key in right:
            rest = {each: right[each] for each in right if each != key}
            if key not in OPTIONAL.get(event, set()):
                yield bad(f"no {key}", json.dumps(rest))
            others = NO_TEXTS if key in TEXTS else NO_BOOLEANS if key == "on" else NO_NUMBERS
            for what, value in others.items():
                yield bad(
                    f"{key} is {what}", json.dumps(rest | {key: "ROOT"}).replace('"HERE"', value)
                )
            yield bad(
                f"{key} is a number of 5,000 digits",
                json.dumps(rest)[:-1] + f', "{key}": {"9" * 5000}}}',
                code=None,
            )


TABLE = dict(table())


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConfabServer]:
    """A server with a kitchen, in which Ada has said something."""
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
    """The room in which Mallory misbehaves and Ben listens."""

    numbers = count()

    def __init__(self, server: ConfabServer, mallory: Stranger, ben: Stranger) -> None:
        self.server, self.mallory, self.ben = server, mallory, ben
        mallory.ask("join", {"label": "kitchen"})
        self.head: int = ben.ask("join", {"label": "kitchen"})["head"]

    def is_well(self, speaker: Stranger | None = None) -> bool:
        """Whether somebody can still speak, Mallory before all, and Ben hears that and nothing before it."""
        self.head += 1
        said = {"handle": "Mallory", "message": f"Sorry, number {next(self.numbers)}"}
        answer = (speaker or self.mallory).ask("chat", said)
        assert answer["ok"], answer
        assert answer["seq"] == answer["head"] == self.head, "something was stored"
        event, received = self.ben.hear()
        assert (event, received["seq"], received["message"]) == (
            "chat",
            self.head,
            said["message"],
        ), "something was told"
        return True


@pytest.mark.parametrize(
    "server", ["flask run", "gunicorn"], indirect=True
)  # the engine has no part in it
@pytest.mark.parametrize("bad", TABLE.values(), ids=TABLE)
def test_a_malformed_payload_is_refused_and_nothing_else_happens(
    kitchen: Kitchen, bad: Bad
) -> None:
    call = kitchen.mallory.emit(bad.event, *bad.arguments)

    assert kitchen.is_well()
    answer = kitchen.mallory.answers.get(
        call
    )  # answers come in order: this one is here, or will never be
    if answer is not None or bad.code is not None:
        assert answer is not None
        assert (answer["ok"], answer["code"], answer["retry"]) == (
            False,
            bad.code or "bad_request",
            False,
        )
        assert set(answer) == {"ok", "code", "message", "retry"}


def test_nothing_bad_is_in_the_page_afterwards(kitchen: Kitchen) -> None:
    for bad in TABLE.values():
        kitchen.mallory.emit(bad.event, *bad.arguments)
    assert kitchen.is_well()

    page = kitchen.server.page("/kitchen/")

    embedded = re.search(r'id="page">(.*?)</script>', page)
    assert embedded
    shown = json.loads(embedded[1], parse_constant=pytest.fail)  # NaN is no JSON to a browser
    assert shown["messages"][-1]["seq"] == kitchen.head
    assert all(
        each["message"].startswith(("Sorry", "I was first", "in pieces", "over"))
        for each in shown["messages"]
    )
    assert "something bad" not in page


def test_somebody_may_be_malformed_for_ever(kitchen: Kitchen) -> None:
    for _ in range(500):
        kitchen.mallory.emit("chat", '{"handle": "Mallory"}')

    assert kitchen.is_well()
    assert len(kitchen.mallory.answers) == 502  # those, the join and what was well


PACKETS = {  # Engine.IO, and Socket.IO in its messages
    "an empty frame": "",
    "zzz": "zzz",
    "a packet of no type": "9",
    "a second open": "0{}",
    "a noop": "6",
    "an upgrade nobody asked for": "5",
    "an empty message": "4",
    "a message of no type": "49",
    "an event without an array": '42{"chat": 1}',
    "an event that is text": '42"chat"',
    "an event without a name": "42[]",
    "an event whose name is a number": "42[1, {}]",
    "an event whose name is an object": "42[{}, {}]",
    "an event whose name is null": "42[null]",
    "no JSON": "42[",
    "half an event": '421["chat", {"handle":',
    "an event of 10^400 arguments": "42" + "9" * 400 + '["chat"',
    "a call of 5,000 digits": "42" + "9" * 5000 + '["since",{"after":0}]',
    "an unknown event": '42["shout",{"message":"bad"}]',
    "an unknown event that asks": '421000["shout",{"message":"bad"}]',
    "connect as an event": '421001["connect",{"token":"bad"}]',
    "disconnect as an event": '421002["disconnect","bad"]',
    "message as an event": '421003["message","bad"]',
    "an event of the server": '421004["__disconnect_final","bad"]',
    "a binary event": '451-["chat",{"_placeholder":true,"num":0}]',
    "a binary event of a million parts": '451000000-["chat",{"_placeholder":true,"num":0}]',
    "a binary answer": '461-1[{"_placeholder":true,"num":0}]',
    "an answer to nothing": "431[1]",
    "an answer that is none": "43",
    "an error from the client": '44{"message":"bad"}',
    "a second connect": "40",
    "a connect with bad auth": '40{"token":1}',
    "a connect with an array": "40[1]",
    "another namespace": "40/admin,",
    "an event in another namespace": '42/admin,1005["chat",{"handle":"Mallory","message":"bad"}]',
    "a disconnect from another namespace": "41/admin,",
    "a namespace without an end": "42/" + "a" * 1000,
    "a pong nobody asked for": "3",
    "a ping with something in it": "2probe",
}


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
def test_a_packet_nobody_of_ours_sends_is_dropped(kitchen: Kitchen, packet: str) -> None:
    kitchen.mallory.send(packet)

    assert kitchen.is_well()
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
    ids=["nothing", "bytes", "an event in bytes", "many bytes", "a ping of the protocol below"],
)
def test_binary_frames_are_dropped(kitchen: Kitchen, data: bytes, kind: int) -> None:
    kitchen.mallory.send(data, kind)

    assert kitchen.is_well()


def test_a_binary_event_with_its_attachment_is_dropped(kitchen: Kitchen) -> None:
    kitchen.mallory.send(
        '451-["chat",{"handle":"Mallory","message":{"_placeholder":true,"num":0}}]'
    )
    kitchen.mallory.send(b"bad")

    assert kitchen.is_well()


def test_an_event_in_several_frames_is_one_event(kitchen: Kitchen) -> None:
    kitchen.mallory.send('42["chat",{"handle":"Mallory",', last=False)
    kitchen.mallory.send(b'"message":"in pieces"}]', 0)

    event, said = kitchen.ben.hear()
    assert (event, said["message"]) == ("chat", "in pieces")


def test_frames_are_never_compressed_so_that_small_ones_stay_small(server: ConfabServer) -> None:
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
        "no upgrade of it",
        "another protocol",
    ],
)
def test_a_handshake_that_is_none_is_refused(kitchen: Kitchen, headers: dict[str, str]) -> None:
    with WebSocket(kitchen.server.url, **headers) as line:
        assert line.status == "400"

    assert kitchen.is_well()


BREAKS = {
    "text that is no UTF-8": lambda line: line.send(
        b'42["chat",{"handle":"Mallory","message":"\xff\xfe"}]', TEXT
    ),
    "a lone surrogate in UTF-8": lambda line: line.send(
        '42["chat",{"handle":"Mallory","message":"\ud800"}]'
    ),
    "a frame of no kind": lambda line: line.send(b"bad", 11),
    "no WebSocket at all": lambda line: line.send_bytes(b"GET / HTTP/1.1\r\n\r\n" * 10),
    "half a frame": lambda line: line.send_bytes(b"\x81\xfe\x10\x00\x00"),
    "a close in pieces": lambda line: line.send_bytes(b"\x88\xfe"),
}


@pytest.mark.parametrize("behave", BREAKS.values(), ids=BREAKS)
def test_who_does_not_speak_the_protocol_may_be_cut_off_but_harms_nobody(
    kitchen: Kitchen, behave: Callable[[WebSocket], None]
) -> None:
    behave(kitchen.mallory)
    kitchen.mallory.close()

    with Stranger(kitchen.server.url) as cy:
        cy.ask("join", {"label": "kitchen"})
        assert kitchen.is_well(cy)


MEGABYTES = "b" * 3_000_000
TOO_MUCH = {
    "a message": json.dumps({"handle": "Mallory", "message": MEGABYTES}),
    "a key": json.dumps({MEGABYTES: 1}),
    "nesting 100,000 deep": "[" * 100_000 + "]" * 100_000,
    "a number": "9" * 1_000_000,
    "one byte too much": json.dumps({"handle": "Mallory", "message": "b" * FRAME_BYTES}),
}


@pytest.mark.parametrize("payload", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_frame_over_32_kib_closes_its_connection_with_1009_and_harms_nobody_else(
    kitchen: Kitchen, payload: str
) -> None:
    kitchen.mallory.emit("chat", payload)

    with pytest.raises(Closed) as closed:
        kitchen.mallory.hear()
    assert closed.value.code == 1009
    with Stranger(kitchen.server.url) as cy:
        cy.ask("join", {"label": "kitchen"})
        assert kitchen.is_well(cy)


def test_a_frame_of_exactly_32_kib_is_read(kitchen: Kitchen) -> None:
    start, end = '42999["chat",{"handle":"Mallory","message":"', '"}]'

    kitchen.mallory.send(start + "b" * (FRAME_BYTES - len(start) - len(end)) + end)

    assert kitchen.is_well()
    assert kitchen.mallory.answers[999]["code"] == "too_long"


def test_a_frame_over_32_kib_in_pieces_closes_the_connection_too(kitchen: Kitchen) -> None:
    kitchen.mallory.send('42["chat",{"handle":"', last=False)
    for _ in range(40):
        kitchen.mallory.send(b"b" * 1024, 0, last=False)

    with pytest.raises(Closed) as closed:
        kitchen.mallory.hear()
    assert closed.value.code == 1009


def test_fifty_unreadable_packets_are_forgiven(kitchen: Kitchen) -> None:
    for _ in range(50):
        kitchen.mallory.send("42[")

    assert kitchen.is_well()


def test_a_flood_of_unreadable_packets_ends_at_most_its_own_connection(kitchen: Kitchen) -> None:
    for _ in range(1000):
        kitchen.mallory.send("42[")
    kitchen.mallory.close()

    with Stranger(kitchen.server.url) as cy:
        cy.ask("join", {"label": "kitchen"})
        assert kitchen.is_well(cy)


BODIES = {
    "no Engine.IO packet": "zzz",
    "nothing": "",
    "separators": "\x1e" * 100,
    "no UTF-8": b'42["chat",{"handle":"Mallory","message":"\xff"}]',
    "a binary packet": "bAAAA",
    "a binary packet that is none": "b!",
    "a JSONP body without its d": "d=",
    "no JSON": "42[",
    "an unknown event": '42["shout",{}]',
    "a malformed payload": '421["chat",{"handle":NaN}]',
    "megabytes": '42["chat",{"handle":"Mallory","message":"' + MEGABYTES + '"}]',
    "ten thousand packets": "\x1e".join(["42["] * 8_000),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_malformed_body_of_a_polling_client_harms_nobody(
    kitchen: Kitchen, body: str | bytes
) -> None:
    polling = Polling(kitchen.server.url)

    status, _ = polling.request("POST", body)

    assert status in (200, 400) or len(body) > FRAME_BYTES
    assert kitchen.is_well()


def test_a_polling_client_is_heard_after_bad_packets(kitchen: Kitchen) -> None:
    polling = Polling(kitchen.server.url)
    good = '421["join",{"label":"kitchen"}]', '422["chat",{"handle":"Cy","message":"over polling"}]'

    polling.request(
        "POST", "\x1e".join(["42[", '42["shout"]', '420["chat",{"handle":NaN}]', *good])
    )

    event, said = kitchen.ben.hear()
    assert (event, said["handle"], said["message"]) == ("chat", "Cy", "over polling")


def test_a_polling_client_is_heard_after_undecodable_packets(kitchen: Kitchen) -> None:
    polling = Polling(kitchen.server.url)
    good = (
        '421["join",{"label":"kitchen"}]',
        '422["chat",{"handle":"Cy","message":"over and over"}]',
    )

    polling.request("POST", "zzz")
    polling.request("POST", "\x1e".join(["zzz", "", "b!", *good]))

    event, said = kitchen.ben.hear()
    assert (event, said["handle"], said["message"]) == ("chat", "Cy", "over and over")


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
def test_a_request_that_is_no_engine_io_is_refused(kitchen: Kitchen, query: str) -> None:
    polling = Polling(kitchen.server.url)
    polling.path = f"/socket.io/?{query}"

    assert [polling.request(method, "zzz")[0] for method in ("GET", "POST")] == [400, 400]
    assert kitchen.is_well()
