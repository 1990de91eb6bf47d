"""Request bodies: those that are too large, too slow or malformed are refused, at little cost."""

import http.client
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import pytest
from flask import Flask

from tests.conftest import Client
from tests.pages import embedded_answer, hidden_fields
from tests.raw_http import FORM_TYPE, Connection, chunked, request, status
from tests.servers import ConfabServer, wait_until, written_bytes

BODY_BYTES = 64 * 1024
FRAME_BYTES = 32 * 1024
BODY_SECONDS = 2
"""The limit in tests/impatient.py."""

MEGABYTE = 1_000_000
MAX_GROWTH_BYTES = 3 * MEGABYTE
MULTIPART_TYPE = "multipart/form-data; boundary=x"


class Cost:
    """The peak memory and the bytes written to files by a server since this object was made."""

    def __init__(self, server: ConfabServer) -> None:
        self._pid = server.processes()[-1]
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")  # resets the peak
        self._peak_before = self._peak_bytes()
        self._written_before = written_bytes(self._pid)

    def memory_bytes(self) -> int:
        """Return by how much the peak of the memory has grown."""
        return self._peak_bytes() - self._peak_before

    def written_bytes(self) -> int:
        """Return how much was written to files; sockets do not count."""
        return written_bytes(self._pid) - self._written_before

    def _peak_bytes(self) -> int:
        text = Path(f"/proc/{self._pid}/status").read_text()
        peak = re.search(r"^VmHWM:\s*(\d+) kB", text, re.MULTILINE)
        assert peak
        return 1024 * int(peak[1])


class Browser:
    """A browser without JavaScript, on the page of the kitchen; each posts under another name."""

    def __init__(self, server: ConfabServer) -> None:
        self._handle = f"Ada {secrets.token_hex(4)}"
        self._connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=15)
        self._cookie = ""
        headers, page = self._request("GET", None, {})
        self._cookie = headers["Set-Cookie"].partition(";")[0]
        self.form = hidden_fields(page)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def post(self, message: str, *, in_chunks: bool = False) -> tuple[int, str]:
        """Send the form; return the status and the page of the answer."""
        form = urlencode(self.form | {"handle": self._handle, "message": message}).encode()
        body: Any = form
        if in_chunks:
            body = iter([form[:10], form[10:]])  # http.client sends the items of an iterator so
        headers, page = self._request("POST", body, {"Content-Type": FORM_TYPE})
        return int(headers["Status"]), page

    def _request(self, method: str, body: Any, headers: dict[str, str]) -> tuple[Message, str]:
        self._connection.request(method, "/kitchen/", body, headers | {"Cookie": self._cookie})
        with self._connection.getresponse() as response:
            response.headers["Status"] = str(response.status)
            return response.headers, response.read().decode()


def messages(server: ConfabServer) -> list[str]:
    """Return the messages on the page of the kitchen."""
    page = server.page("/kitchen/")
    return [row["message"] for row in embedded_answer(page)["messages"]]


@pytest.mark.servers
def test_a_form_of_nine_megabytes_is_refused_without_using_memory(
    impatient_server: ConfabServer,
) -> None:
    body = b"message=" + b"%41" * 3_000_000
    cost = Cost(impatient_server)

    with Connection(impatient_server) as mallory:
        mallory.send(request("POST", "/kitchen/", body))
        answer = mallory.receive_all()

    assert status(answer) == 413
    assert b"The message is too large" in answer
    assert cost.memory_bytes() < MAX_GROWTH_BYTES
    assert impatient_server.page("/healthz")


@pytest.mark.servers
def test_a_chunked_body_is_refused_when_it_becomes_too_large(
    impatient_server: ConfabServer,
) -> None:
    cost = Cost(impatient_server)

    with Connection(impatient_server) as mallory:
        mallory.send(request("POST", "/kitchen/", Transfer_Encoding="chunked"))
        mallory.send(chunked(b"m" * 9 * MEGABYTE))
        answer = mallory.receive_all()

    assert status(answer) == 413
    assert cost.memory_bytes() < MAX_GROWTH_BYTES


@pytest.mark.servers
def test_an_upload_of_200_megabytes_is_refused_before_it_arrives(
    impatient_server: ConfabServer,
) -> None:
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    headers = {"Content_Type": MULTIPART_TYPE, "Content_Length": str(200 * MEGABYTE)}
    cost = Cost(impatient_server)

    with Connection(impatient_server) as mallory:
        mallory.send(request("POST", "/kitchen/", start, **headers))
        answer = mallory.receive()
        while mallory.send(b"f" * MEGABYTE):
            pass

    assert status(answer) == 413
    assert cost.memory_bytes() < MAX_GROWTH_BYTES
    assert cost.written_bytes() < MEGABYTE
    assert impatient_server.page("/healthz")


UNFINISHED = {
    "with a length": request("POST", "/kitchen/", b"message=hel", Content_Length="100"),
    "chunked": request("POST", "/kitchen/", b"64\r\nmessage=hel", Transfer_Encoding="chunked"),
    "without a first chunk": request("POST", "/kitchen/", Transfer_Encoding="chunked"),
    "after 100 Continue": request("POST", "/kitchen/", Content_Length="100", Expect="100-continue"),
    "of a polling client": request(
        "POST", "/socket.io/?EIO=4&transport=polling", b"4", Content_Length="100"
    ),
    "to a page that does not exist": request("PUT", "/no/such/page", b"4", Content_Length="100"),
}


@pytest.mark.servers
def test_a_body_that_does_not_arrive_times_out_and_delays_nobody(
    impatient_server: ConfabServer,
) -> None:
    def send(unfinished: bytes) -> tuple[int, float]:
        """Return the status of the answer, and after how many seconds the connection ended."""
        with Connection(impatient_server) as mallory:
            began = time.monotonic()
            mallory.send(unfinished)
            answer = mallory.receive_all().replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
            return status(answer), time.monotonic() - began

    with ThreadPoolExecutor(len(UNFINISHED)) as threads:
        sent = {name: threads.submit(send, unfinished) for name, unfinished in UNFINISHED.items()}
        began = time.monotonic()
        assert impatient_server.page("/healthz")
        assert time.monotonic() - began < BODY_SECONDS * 0.75, "another client had to wait"

    results = {name: future.result() for name, future in sent.items()}
    statuses = {name: result[0] for name, result in results.items()}
    assert statuses == dict.fromkeys(UNFINISHED, 408)
    assert all(BODY_SECONDS <= seconds < BODY_SECONDS + 3 for _, seconds in results.values())


CUT_OFF = {
    "with a length": request("POST", "/kitchen/", b"message=hel", Content_Length="100"),
    "in a chunk": request("POST", "/kitchen/", b"64\r\nmessage=hel", Transfer_Encoding="chunked"),
    "in a large chunk": request(
        "POST", "/kitchen/", b"20000\r\nmessage=hel", Transfer_Encoding="chunked"
    ),
    "between two chunks": request(
        "POST", "/kitchen/", b"5\r\nhello\r\n", Transfer_Encoding="chunked"
    ),
}


@pytest.mark.servers
@pytest.mark.parametrize("body", CUT_OFF.values(), ids=CUT_OFF)
def test_a_body_that_is_cut_off_is_refused(impatient_server: ConfabServer, body: bytes) -> None:
    with Connection(impatient_server) as mallory:
        mallory.send(body)
        mallory.end()
        assert status(mallory.receive_all()) == 400


@pytest.mark.servers
def test_a_body_that_arrives_byte_by_byte_times_out(impatient_server: ConfabServer) -> None:
    with Connection(impatient_server) as mallory:
        mallory.send(request("POST", "/kitchen/", Content_Length="1000"))
        began = time.monotonic()
        wait_until(lambda: not mallory.send(b"m"), BODY_SECONDS + 3, "the server stops reading")

    assert time.monotonic() - began > BODY_SECONDS / 2


@pytest.mark.servers
@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_body_of_the_largest_size_is_read(
    impatient_server: ConfabServer, in_chunks: bool
) -> None:
    if in_chunks:
        # The headers of the chunks count too.
        body = chunked(b"message=".ljust(BODY_BYTES - 1000, b"m"))
        headers = {"Transfer_Encoding": "chunked"}
    else:
        body = b"message=".ljust(BODY_BYTES, b"m")
        headers = {"Content_Length": str(BODY_BYTES)}

    with Connection(impatient_server) as ada:
        ada.send(request("POST", "/kitchen/", body, Connection="close", **headers))
        answer = ada.receive_all()

    assert status(answer) == 400
    assert b"Your session expired; please send again" in answer


REFUSED_PATHS = {
    "GET": "/kitchen/",
    "HEAD": "/kitchen/",
    "PUT": "/kitchen/",
    "DELETE": "/no/such/page",
    "POST": "/static/x/js/main.js",
    "PATCH": "/healthz",
    "OPTIONS": "/",
}


@pytest.mark.servers
@pytest.mark.parametrize("method", REFUSED_PATHS)
def test_the_limit_applies_to_every_method_and_path(
    impatient_server: ConfabServer, method: str
) -> None:
    with Connection(impatient_server) as mallory:
        mallory.send(request(method, REFUSED_PATHS[method], b"m" * (BODY_BYTES + 1)))
        assert status(mallory.receive_all()) == 413


@pytest.mark.servers
@pytest.mark.parametrize("transport", ["polling", "websocket", "pigeon"])
def test_a_socket_request_has_the_limit_of_a_frame(
    impatient_server: ConfabServer, transport: str
) -> None:
    path = f"/socket.io/?EIO=4&transport={transport}"

    with Connection(impatient_server) as mallory:
        mallory.send(request("POST", path, b"m" * (FRAME_BYTES + 1)))
        assert status(mallory.receive_all()) == 413


HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLED = {
    "with a length": request("POST", "/kitchen/", HIDDEN * 2000),
    "chunked": request(
        "POST", "/kitchen/", chunked(HIDDEN * 2000, len(HIDDEN)), Transfer_Encoding="chunked"
    ),
    "after a broken chunk": request(
        "POST", "/kitchen/", b"zz\r\n" + HIDDEN, Transfer_Encoding="chunked"
    ),
    "after a chunk without its end": request(
        "POST", "/kitchen/", b"1\r\nab" + HIDDEN, Transfer_Encoding="chunked"
    ),
    "after another coding": request(
        "POST", "/kitchen/", chunked(HIDDEN), Transfer_Encoding="gzip, chunked"
    ),
    "with two lengths": request(
        "POST", "/kitchen/", b"0\r\n\r\n" + HIDDEN, Transfer_Encoding="chunked", Content_Length="5"
    ),
}


@pytest.mark.servers
@pytest.mark.parametrize("smuggled", SMUGGLED.values(), ids=SMUGGLED)
def test_a_refused_body_is_not_read_as_a_request(
    impatient_server: ConfabServer, smuggled: bytes
) -> None:
    with Connection(impatient_server) as mallory:
        mallory.send(smuggled)
        answer = mallory.receive_all()

    assert status(answer) in (400, 413)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b'"ok"' not in answer


LENGTHS = ["-5", "+5", "five", "0x5", "5.0", "5, 5", "1_0", "\u00b2", "9" * 5000]


@pytest.mark.servers
@pytest.mark.parametrize("length", LENGTHS, ids=[length[:10] for length in LENGTHS])
def test_a_length_that_is_not_a_number_is_refused(
    impatient_server: ConfabServer, length: str
) -> None:
    with Connection(impatient_server) as mallory:
        mallory.send(request("POST", "/kitchen/", b"12345", Content_Length=length))
        assert status(mallory.receive_all()) == 400


ENDLESS = {
    "a chunk's extension": b"1;" + b"x" * 9 * MEGABYTE,
    "a chunk's length": b"0" * 9 * MEGABYTE,
    "a trailer": b"0\r\nX: " + b"x" * 9 * MEGABYTE,
    "tiny chunks": b"1\r\nx\r\n" * 2 * MEGABYTE,
}


@pytest.mark.servers
@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
def test_chunk_headers_and_trailers_are_limited_too(
    impatient_server: ConfabServer, body: bytes
) -> None:
    cost = Cost(impatient_server)

    with Connection(impatient_server) as mallory:
        mallory.send(request("POST", "/kitchen/", Transfer_Encoding="chunked") + body)
        assert status(mallory.receive_all()) in (400, 413)

    assert cost.memory_bytes() < MAX_GROWTH_BYTES
    assert impatient_server.page("/healthz")


@pytest.mark.servers
def test_the_longest_message_fits_into_the_form(impatient_server: ConfabServer) -> None:
    longest = "\U0001f600" * 4000  # four bytes each, and twelve in the form

    with Browser(impatient_server) as ada:
        assert ada.post(longest)[0] == 303

    assert longest in messages(impatient_server)


@pytest.mark.servers
def test_a_message_that_is_slightly_too_long_is_shown_again(impatient_server: ConfabServer) -> None:
    too_long = "\U0001f600" * 4096

    with Browser(impatient_server) as ada:
        refused, page = ada.post(too_long)

    assert refused == 413
    assert too_long in page


@pytest.mark.servers
def test_a_form_in_chunks_is_accepted(impatient_server: ConfabServer) -> None:
    with Browser(impatient_server) as ada:
        for _ in range(2):  # over one connection, if the server keeps it open
            assert ada.post("in chunks", in_chunks=True)[0] == 303

    assert messages(impatient_server).count("in chunks") == 1


def multipart(fields: dict[str, str], file: str = "") -> bytes:
    """Return a form as multipart/form-data, with the boundary `x`."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    if file:
        parts.append(
            f'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n{file}\r\n'
        )
    return "".join([*parts, "--x--\r\n"]).encode()


def test_a_form_with_a_file_is_refused(app: Flask, ada: Client, kitchen: str) -> None:
    browser = app.test_client()
    form = hidden_fields(browser.get(f"/{kitchen}/").text)
    form |= {"handle": "Ben", "message": "hello"}

    refused = browser.post(
        f"/{kitchen}/", data=multipart(form, file="hello"), content_type=MULTIPART_TYPE
    )
    assert refused.status_code == 415
    assert "Files cannot be sent" in refused.text
    assert ada.received() == []

    accepted = browser.post(f"/{kitchen}/", data=multipart(form), content_type=MULTIPART_TYPE)
    assert accepted.status_code == 303
    assert [message["message"] for message in ada.received("chat")] == ["hello"]


def test_a_form_with_many_fields_is_refused(app: Flask, kitchen: str) -> None:
    fields = {f"field{number}": "" for number in range(100)}

    answer = app.test_client().post(
        f"/{kitchen}/", data=multipart(fields), content_type=MULTIPART_TYPE
    )

    assert answer.status_code == 413
