"""Browsers that lack what the scripts need get the page as it is without JavaScript."""

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.test_people import field, is_called, says, sees
from tests.browser.test_reading import DESKTOP, PHONE, Visit, fill, here, post, somebody
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]

NO_CSS = """
const {{ supports }} = CSS
CSS.supports = (...words) => !words.join(" ").includes("{}") && supports.apply(CSS, words)
"""
# What is removed from the browser before any script of the page runs.
REMOVALS = {
    "dialogs": "delete window.HTMLDialogElement",
    "checkVisibility": "delete Element.prototype.checkVisibility",
    "properties for ARIA": "delete Element.prototype.ariaPressed",
    "Array.findLast": "delete Array.prototype.findLast",
    "Object.hasOwn": "delete Object.hasOwn",
    ":modal": NO_CSS.format(":modal"),
    ":has": NO_CSS.format(":has"),
    "CSS.supports": "delete CSS.supports",
    "color-mix": NO_CSS.format("color-mix"),
    "alternative text of generated content": NO_CSS.format("content"),
}
NO_POPOVERS = """
for (const name of ["showPopover", "hidePopover", "togglePopover", "popover"]) {
  delete HTMLElement.prototype[name]
}
"""


def expect_the_page_without_scripts(page: Page, server: ConfabServer, room: str) -> None:
    """Read, page back and post, as one does without JavaScript."""
    expect(page.locator(".noscript")).to_be_visible()
    expect(page.locator("#m-120")).to_be_in_viewport()
    for hidden in ("Copy link", "Notifications", "Room menu", "Rename room", "Message actions"):
        expect(page.get_by_role("button", name=hidden)).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#m-120 .message__time")).to_have_text(re.compile(r"^\d\d:\d\d UTC$"))
    page.get_by_role("link", name="Earlier messages").click()
    expect(page.locator("#m-70")).to_be_in_viewport()
    page.get_by_role("link", name="Show the latest messages").click()

    page.get_by_role("textbox", name="Your name").fill("Ada")
    field(page).fill("from an old browser")
    page.get_by_role("button", name="Send").click()

    expect(page).to_have_url(f"{server.url}/{room}/#m-121")
    expect(page.locator("#m-121 .message__text")).to_have_text("from an old browser")
    assert page.locator("#room").get_attribute("data-joined") is None


@pytest.mark.parametrize("removal", REMOVALS.values(), ids=REMOVALS.keys())
def test_a_browser_without_a_needed_feature_gets_the_page_without_scripts(
    server: ConfabServer, visit: Visit, room: str, removal: str
) -> None:
    fill(server, room, 120)
    page = visit(f"/{room}/")
    page.add_init_script(removal)
    page.reload()

    expect_the_page_without_scripts(page, server, room)


@pytest.mark.parametrize(
    "body", ["let not valid", "throw new Error('at start')"], ids=["syntax", "evaluation"]
)
def test_a_browser_that_cannot_run_a_module_gets_the_page_without_scripts(
    server: ConfabServer, visit: Visit, room: str, body: str
) -> None:
    fill(server, room, 120)
    page = visit(f"/{room}/")
    page.route(
        "**/js/main.js", lambda route: route.fulfill(body=body, content_type="text/javascript")
    )
    page.reload()

    expect_the_page_without_scripts(page, server, room)


def test_a_room_whose_scripts_do_not_arrive_is_the_page_without_scripts(
    server: ConfabServer, chromium: Browser, room: str
) -> None:
    fill(server, room, 120)
    context: BrowserContext = chromium.new_context(**PHONE)
    page = context.new_page()

    def lose(route: Route) -> None:
        route.abort()

    page.route("**/js/net/*.js", lose)
    page.goto(f"{server.url}/{room}/")

    expect_the_page_without_scripts(page, server, room)
    context.close()


def test_the_home_page_works_in_a_browser_without_a_needed_feature(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    page = visit(f"/{room}/")
    page.add_init_script(REMOVALS["dialogs"])
    page.goto(server.url)
    expect(page.locator("#theme")).to_be_hidden()

    page.get_by_role("button", name="New room").click()

    expect(page).to_have_url(re.compile(r"/[a-z0-9-]+/$"))
    expect(page.locator(".noscript")).to_be_visible()


@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_menu_needs_no_popovers(
    server: ConfabServer, visit: Visit, room: str, device: dict[str, object]
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello")
    page = visit(f"/{room}/", **device)
    page.add_init_script(NO_POPOVERS)
    page.reload()
    is_called(here(page), "Ada")
    assert not page.evaluate("'showPopover' in document.body")

    expect(page.locator("#menu")).to_be_hidden()
    page.locator("#m-1").focus()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Reply").click()
    expect(page.locator("#menu")).to_be_hidden()
    says(page, "hello Ben")

    sees(page, "hello", "hello Ben")
    expect(page.locator("#m-2 .reply")).to_have_text("Ben hello")
