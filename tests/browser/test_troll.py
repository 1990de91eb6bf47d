"""A troll in Chromium: five browsers, of which two are those of the troll.

Hana is the host, Ben and Cy are guests. The troll comes from another address: through a relay that
connects to the server from there.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DEFAULT_SETTINGS, PAGE_TIMEOUT_MS
from tests.browser.test_moderation import (
    WIDE,
    confirm,
    enter,
    host_action,
    new_room,
    notice,
    sent,
    system_message,
)
from tests.browser.test_offline import BACK_MS
from tests.browser.test_people import is_called, says
from tests.browser.test_rate_limits import SEND_ALL
from tests.browser.test_reading import Visit, here
from tests.servers import ConfabServer, gunicorn

pytestmark = [pytest.mark.browser, pytest.mark.servers, pytest.mark.timeout(240)]

TROLL_ADDRESS = "127.0.0.66"
BUFFER_BYTES = 65_536

IMPERSONATIONS = {
    "by case": "hANA",
    "by an accent": "H\u00e1na",
    "by a Cyrillic letter": "H\u0430na",
    "by a zero-width joiner": "Ha\u200dna",
    "by a trailing space": "Hana ",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """A server with rate limits, to which everybody connects directly."""
    settings: dict[str, Any] = {"LIMITS": "on", "FORWARDED_ALLOW_IPS": ""}
    with gunicorn(tmp_path_factory.mktemp("server"), **settings) as started:
        yield started


@contextmanager
def relay(port: int, address: str) -> Iterator[int]:
    """Relay connections to a port of this machine, from another address; the value is a port."""
    opened: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = [listener, port, address, opened]
        threading.Thread(target=_accept, args=arguments, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    for each in opened:
        each.close()


def _accept(listener: socket.socket, port: int, address: str, opened: list[socket.socket]) -> None:
    with suppress(OSError):  # the listener has been closed
        while True:
            client, _ = listener.accept()
            upstream = socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
            opened += [client, upstream]
            for source, target in ((client, upstream), (upstream, client)):
                threading.Thread(target=_copy, args=[source, target], daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(BUFFER_BYTES):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def visit_from(chromium: Browser, port: int, path: str) -> tuple[Page, int]:
    """Open a page in a browser without cookies; return it and the status of the answer."""
    page = chromium.new_context(**DEFAULT_SETTINGS, **WIDE).new_page()
    page.set_default_timeout(PAGE_TIMEOUT_MS)
    answer = page.goto(f"http://127.0.0.1:{port}{path}")
    assert answer is not None
    return page, answer.status


def is_refused_or_marked(troll: Page, reader: Page, text: str) -> bool:
    """Wait for the fate of a message; return whether nobody can take it for one of Hana."""
    own = troll.locator(".message", has_text=text)
    expect(own).not_to_have_attribute("data-state", "pending")
    if own.get_attribute("data-state") == "failed":
        expect(own.locator('[data-action="use-name"]')).to_be_visible()
        return reader.locator(".message", has_text=text).count() == 0
    sent(reader, text)
    return reader.locator(".message", has_text=text).locator(".message__mark").is_visible()


def test_a_troll_is_stopped(chromium: Browser, server: ConfabServer, visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    cy = enter(visit, path, "Cy")
    with relay(server.port, TROLL_ADDRESS) as port:
        troll, status = visit_from(chromium, port, path)
        assert status == 200
        here(troll)

        for number, (way, name) in enumerate(IMPERSONATIONS.items()):
            text = f"everybody go home {number}!"
            says(is_called(troll, name), text)
            assert is_refused_or_marked(troll, ben, text), way

        flood(troll, ben)

        host_action(hana, "Troll", "mute")
        confirm(hana, "Mute")
        expect(notice(troll)).to_contain_text("Hana has muted you")

        host_action(hana, "Troll", "remove")
        status_line = troll.locator("#connection")
        expect(status_line).to_contain_text("Hana has removed you from this room", timeout=BACK_MS)

        ban_with_address(hana)
        expect(system_message(hana, "Hana banned Troll")).to_have_count(1)
        returned, status = visit_from(chromium, port, path)
        assert status == 403
        expect(returned.locator("body")).to_contain_text("banned")
        troll.context.close()
        returned.context.close()

    says(cy, "peace at last")
    sent(ben, "peace at last")


def flood(troll: Page, reader: Page) -> None:
    """Let the troll send more than the limits allow; most of it has to wait."""
    is_called(troll, "Troll")
    troll.evaluate(SEND_ALL, [f"flood {number}." for number in range(12)])
    sent(reader, "flood 0.")
    assert reader.locator(".message", has_text="flood").count() < 12
    expect(troll.locator("#send-countdown")).not_to_be_empty()


def ban_with_address(hana: Page) -> None:
    """Let Hana ban the troll from the message menu, with the address."""
    message = hana.locator('.message[data-state="sent"]', has_text="flood 0.")
    message.hover()
    message.locator(".message__actions").click()
    hana.locator('#menu [data-action="moderate"]').click()
    hana.locator('#person-menu [data-action="ban"]').click()
    hana.locator("dialog:modal").get_by_role("checkbox").check()
    confirm(hana, "Ban")
