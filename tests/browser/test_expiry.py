"""Expired and cleared messages in the room page: they disappear, and nothing else moves."""

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import text

from tests.browser.test_ignoring import expect_gone
from tests.browser.test_offline import BACK_MS
from tests.browser.test_people import choose
from tests.browser.test_reading import (
    DESKTOP,
    FIRST,
    PHONE,
    WHERE,
    Visit,
    fill,
    here,
    post,
    somebody,
    up,
)
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]


def raise_floor(server: ConfabServer, label: str, floor: int) -> None:
    """Let all messages up to a number expire, as another worker would."""
    statement = text("UPDATE rooms SET floor = :floor WHERE label = :label")
    with server.database() as engine, engine.begin() as connection:
        connection.execute(statement, {"floor": floor, "label": label})


def test_expired_messages_disappear_and_what_is_read_does_not_move(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 50)
    page = visit(f"/{room}/", **PHONE)
    up(page, 1200)
    seq, top = page.evaluate(FIRST)

    raise_floor(server, room, int(seq) - 1)

    expect(page.locator("#m-1")).to_have_count(0, timeout=BACK_MS)
    expect(page.locator(".message")).to_have_count(50 - int(seq) + 1)
    assert abs(page.evaluate(WHERE, int(seq)) - top) <= 2
    expect(page.locator("#earlier")).to_be_hidden()
    page.reload()
    expect(page.locator(".message")).to_have_count(50 - int(seq) + 1)


def test_messages_that_expired_while_the_page_was_offline_disappear(
    server: ConfabServer, chromium: Browser, room: str
) -> None:
    fill(server, room, 5)
    # Not with `visit`: the browser logs errors while it is offline.
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{server.url}/{room}/")
        here(page)
        context.set_offline(True)
        expect(page.locator("#connection")).to_have_attribute("data-state", "connecting")

        raise_floor(server, room, 4)
        context.set_offline(False)

        expect(page.locator(".message")).to_have_count(1, timeout=BACK_MS)
        expect(page.locator("#m-5")).to_be_visible()


def test_the_text_of_an_expired_message_is_nowhere_in_the_page_of_a_reader(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada = visit(f"/{room}/", **DESKTOP)
    ada.get_by_role("textbox", name="Your name").fill("Ada")
    composer = ada.get_by_role("textbox", name="Message", exact=True)
    with somebody(server, room) as ben:
        seq = post(ben, "a secret 7216")
        expect(ada.locator("#announcements")).to_contain_text("a secret 7216")
        choose(ada, seq, "reply")
        composer.fill("what?")
        ada.locator(f"#m-{seq}").focus()
        ada.keyboard.press("Enter")
        expect(ada.locator("#menu")).to_be_visible()

        raise_floor(server, room, seq)

        expect(ada.locator(f"#m-{seq}")).to_have_count(0, timeout=BACK_MS)
        expect(ada.locator("#menu")).to_be_hidden()
        expect_gone(ada, "a secret 7216")
        expect(ada.locator(".composer__mode")).to_have_text("Replying to a deleted message")
        expect(composer).to_have_value("what?")
