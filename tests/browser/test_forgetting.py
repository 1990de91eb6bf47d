"""Forget me on this device, in Chromium."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import DEFAULT_SETTINGS
from tests.browser.test_people import is_called, says, sees
from tests.browser.test_reading import Visit, here
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]

STORED_KEYS = "() => Object.keys(localStorage).filter((key) => key.startsWith('confab:'))"

FILL_STORAGE = """() => {
  let filling = "x".repeat(1 << 22)
  while (filling !== "") {
    try {
      localStorage.other = (localStorage.other ?? "") + filling
    } catch {
      filling = filling.slice(filling.length / 2 + 0.5)
    }
  }
}"""


def open_dialog(page: Page) -> None:
    """Open the question whether to forget this person."""
    page.get_by_role("button", name="Room menu").click()
    page.get_by_role("button", name="About your data").click()
    page.get_by_role("button", name="Forget me on this device").click()
    expect(page.get_by_role("dialog", name="Forget me on this device?")).to_be_visible()


def test_forgetting_deletes_the_cookie_and_what_is_stored(visit: Visit, room: str) -> None:
    page = visit(f"/{room}/")
    says(is_called(page, "Ada"), "hello")
    sees(page, "hello")
    page.get_by_role("textbox", name="Message", exact=True).fill("a draft")
    assert page.evaluate(STORED_KEYS)

    open_dialog(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog", name="Forget me on this device?")).to_be_hidden()
    assert page.evaluate(STORED_KEYS)
    open_dialog(page)
    page.locator("#forget").get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog", name="Forget me on this device?")).to_be_hidden()
    expect(page.locator("#toast")).to_be_empty()
    [cookie] = page.context.cookies()

    open_dialog(page)
    page.get_by_role("button", name="Forget me", exact=True).click()

    page.wait_for_url(lambda url: url.endswith("/") and room not in url)
    assert page.evaluate(STORED_KEYS) == []
    assert cookie["value"] not in {each["value"] for each in page.context.cookies()}
    page.goto(page.url + f"{room}/")
    here(page)
    expect(page.locator("#m-1")).to_have_attribute("data-side", "other")
    expect(page.get_by_role("textbox", name="Your name")).to_have_value("")
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_have_value("")


def test_other_tabs_with_rooms_are_forgotten_too(visit: Visit, room: str) -> None:
    page = visit(f"/{room}/")
    says(is_called(page, "Ada"), "hello")
    sees(page, "hello")
    other = page.context.new_page()
    other.goto(page.url)
    here(other).get_by_role("textbox", name="Message", exact=True).fill("a draft")

    open_dialog(page)
    page.get_by_role("button", name="Forget me", exact=True).click()

    for each in (page, other):
        each.wait_for_url(lambda url: room not in url)
    assert other.evaluate(STORED_KEYS) == []


@pytest.mark.parametrize("button", ["Leave room", "Forget me"])
def test_the_page_about_your_data_forgets_what_is_stored_in_all_tabs(
    server: ConfabServer, visit: Visit, room: str, button: str
) -> None:
    page = visit(f"/{room}/")
    says(is_called(page, "Ada"), "hello")
    sees(page, "hello")
    other = page.context.new_page()
    other.goto(page.url)
    here(other).get_by_role("textbox", name="Message", exact=True).fill("a draft")
    page.goto(f"{server.url}/{room}/your-data")

    page.get_by_role("button", name=button, exact=True).click()

    for each in (page, other):
        each.wait_for_url(lambda url: room not in url)
        assert not [key for key in each.evaluate(STORED_KEYS) if room in key]
        assert "confab:name" not in each.evaluate(STORED_KEYS)


def test_other_tabs_are_forgotten_with_a_full_storage_too(visit: Visit, room: str) -> None:
    page = visit(f"/{room}/")
    other = page.context.new_page()
    other.goto(page.url)
    here(other)
    page.evaluate(FILL_STORAGE)

    open_dialog(page)
    page.get_by_role("button", name="Forget me", exact=True).click()

    for each in (page, other):
        each.wait_for_url(lambda url: room not in url)


@pytest.fixture
def page_with_errors(chromium: Browser, server: ConfabServer, room: str) -> Iterator[Page]:
    """The page of a room that may log errors: Chromium logs each failed request."""
    context = chromium.new_context(**DEFAULT_SETTINGS)
    page = context.new_page()
    page.goto(f"{server.url}/{room}/")
    yield here(page)
    context.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda route: route.abort(),
        lambda route: route.fulfill(status=503, body="Try later."),
        lambda route: route.fulfill(status=302, headers={"Location": "/login"}),
        lambda route: route.fulfill(status=200, body="Please log in."),
    ],
    ids=["no connection", "busy", "login redirect", "login page"],
)
def test_nothing_is_deleted_without_the_answer_of_the_server(
    page_with_errors: Page, answer: Callable[[Route], None]
) -> None:
    page = page_with_errors
    says(is_called(page, "Ada"), "hello")
    sees(page, "hello")
    page.route("**/privacy/forget", answer)
    open_dialog(page)

    page.get_by_role("button", name="Forget me", exact=True).click()

    expect(page.locator("#toast")).to_contain_text("nothing was deleted")
    assert page.evaluate(STORED_KEYS)
    assert page.context.cookies()
