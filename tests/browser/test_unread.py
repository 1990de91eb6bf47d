"""Unread messages in Chromium: how many, since when, and the way to the first of them."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_people import is_called
from tests.browser.test_reading import DESKTOP, DEVICES, Visit, fill, here, post, somebody
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]


def bar(page: Page) -> Locator:
    """The button that goes to the first unread message, and the one that dismisses it."""
    return page.get_by_role("group", name="Unread messages")


def return_after(count: int, server: ConfabServer, visit: Visit, room: str) -> Page:
    """Read a room, leave it, and return when there are new messages; each 25th mentions Ann."""
    fill(server, room, 100)
    page = is_called(here(visit(f"/{room}/", **DESKTOP)), "Ann")
    page.wait_for_function("(room) => localStorage.getItem(`confab:read:${room}`)", arg=room)
    page.goto(server.url)
    with somebody(server, room) as ben:
        for number in range(1, count + 1):
            post(ben, f"Ann, look at {number}" if number % 25 == 0 else f"new {number}")
    page.goto(f"{server.url}/{room}/")
    return here(page)


def test_300_new_messages_are_counted_and_the_button_goes_to_the_first(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    page = return_after(300, server, visit, room)
    words = re.compile(r"^300 new since \d?\d:\d\d, at least 10 mention you$")
    expect(bar(page).get_by_role("button").first).to_have_text(words)
    page.wait_for_timeout(1200)  # the end was on screen; the first of them was not
    page.reload()
    expect(bar(here(page)).get_by_role("button").first).to_have_text(words)

    bar(page).get_by_role("button").first.click()

    expect(page.locator("#m-101 .unread-divider")).to_be_in_viewport()
    expect(page.locator("#m-101")).to_be_focused()
    expect(bar(page)).to_be_hidden()
    page.wait_for_timeout(1200)
    page.goto("about:blank")
    page.goto(f"{server.url}/{room}/")
    expect(here(page).locator("#m-400")).to_be_visible()
    expect(bar(page)).to_be_hidden()


@DEVICES
def test_the_button_can_be_dismissed_and_does_not_come_back(
    server: ConfabServer, visit: Visit, room: str, device: dict[str, object]
) -> None:
    fill(server, room, 60)
    page = here(visit(f"/{room}/", **device))
    page.goto(server.url)
    with somebody(server, room) as ben:
        for number in range(60):
            post(ben, f"new {number}")
    page.goto(f"{server.url}/{room}/")
    expect(bar(here(page))).to_contain_text(re.compile("^60 new since "))
    dismiss = page.get_by_role("button", name="Mark as read")
    box = dismiss.bounding_box()
    assert box
    assert min(box["width"], box["height"]) >= 44

    dismiss.click()

    expect(bar(page)).to_be_hidden()
    expect(page.locator("#log")).to_be_focused()
    page.reload()
    expect(here(page).locator("#m-120")).to_be_visible()
    expect(bar(page)).to_be_hidden()


def test_a_few_new_messages_that_are_all_on_screen_need_no_button(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    page = return_after(3, server, visit, room)

    expect(page.locator("#m-101 .unread-divider")).to_be_in_viewport()
    expect(bar(page)).to_be_hidden()
    page.wait_for_timeout(1200)
    page.reload()
    expect(here(page).locator("#m-103")).to_be_visible()
    expect(page.locator(".unread-divider")).to_have_count(0)


def test_edits_are_not_counted_as_messages(server: ConfabServer, visit: Visit, room: str) -> None:
    fill(server, room, 60)
    page = here(visit(f"/{room}/", **DESKTOP))
    page.goto(server.url)
    with somebody(server, room) as ben:
        for number in range(55):
            seq = post(ben, f"new {number}")
            assert ben.ask("edit", {"seq": seq, "message": f"newer {number}"})["ok"]
    page.goto(f"{server.url}/{room}/")

    expect(bar(here(page))).to_contain_text(re.compile("^55 new since "))
