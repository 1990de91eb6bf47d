"""Copying in Chromium: "Copied" is shown only when the text was copied."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import DEFAULT_SETTINGS
from tests.browser.test_people import choose, field, is_called, says, sees
from tests.browser.test_reading import PHONE, here
from tests.servers import ConfabServer, flask_run

pytestmark = [pytest.mark.browser, pytest.mark.servers]

# Writes down the texts of a button: "Copied" is there for a short time.
OBSERVE_TEXTS = """(button) => {
  window.texts = []
  new MutationObserver(() => texts.push(button.textContent.trim()))
    .observe(button, { childList: true, characterData: true, subtree: true })
}"""
PLAIN_HTTP = "confab.test"
HOSTS = pytest.mark.parametrize(
    "host", ["127.0.0.1", PLAIN_HTTP], ids=["with the clipboard API", "over plain http"]
)
# Browsers that do not allow pages to copy: one says so, and one does not.
REFUSALS = {
    "refused": "document.execCommand = () => false",
    "refused in silence": "document.execCommand = () => true",
}
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """A server that answers under the name that does not count as secure too."""
    with flask_run(tmp_path_factory.mktemp("server"), ALLOWED_HOSTS="*") as started:
        yield started


@pytest.fixture
def open_room(chromium: Browser, server: ConfabServer, room: str) -> Iterator[Open]:
    """A function that opens the room at a host, with settings of Playwright."""
    contexts: list[BrowserContext] = []

    def open_page(host: str, script: str = "", **settings: object) -> Page:
        context = chromium.new_context(**{**DEFAULT_SETTINGS, **settings})
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.add_init_script(script)
        page = context.new_page()
        page.goto(f"{server.url.replace('127.0.0.1', host)}/{room}/")
        return here(page)

    yield open_page
    for context in contexts:
        context.close()


def pasted(page: Page) -> str:
    """What the clipboard contains."""
    page.keyboard.press("Escape")
    field(page).fill("")
    field(page).press("Control+v")
    return field(page).input_value()


@HOSTS
def test_the_link_is_copied_in_the_dialog_of_the_room(open_room: Open, host: str) -> None:
    page = open_room(host)
    page.get_by_role("button", name="Room menu").click()
    button = page.locator("#room-menu [data-copy-link]")
    button.evaluate(OBSERVE_TEXTS)
    button.click()

    page.wait_for_function("() => texts.includes('Copied')")
    expect(page.locator("#room-menu [role=status]")).to_have_text("Link copied")
    expect(button).to_be_focused()
    assert pasted(page) == page.url


@HOSTS
def test_the_link_and_the_text_of_a_message_are_copied(open_room: Open, host: str) -> None:
    page = is_called(open_room(host), "Ada")
    says(page, "two\nlines")
    sees(page, "two\nlines")

    choose(page, 1, "copy")
    expect(page.locator("#toast")).to_have_text("Text copied")
    assert pasted(page) == "two\nlines"
    field(page).fill("")
    choose(page, 1, "link")
    expect(page.locator("#toast")).to_have_text("Link copied")
    assert pasted(page) == f"{page.url}#m-1"


@HOSTS
def test_on_a_phone_copying_is_confirmed_by_a_text(open_room: Open, host: str) -> None:
    page = open_room(host, **PHONE)
    page.get_by_role("button", name="Room menu").tap()
    page.locator("#room-menu [data-copy-link]").tap()

    status = page.get_by_role("dialog").get_by_role("status")
    expect(status).to_be_visible()
    expect(status).to_have_text("Link copied")


@pytest.mark.parametrize("script", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("place", ["header", "#room-menu", "message"])
def test_where_copying_is_refused_the_text_is_selected_and_nothing_says_copied(
    open_room: Open, place: str, script: str
) -> None:
    page = is_called(open_room(PLAIN_HTTP, script), "Ada")
    says(page, "hello")
    sees(page, "hello")

    if place == "message":
        choose(page, 1, "link")
    else:
        if place == "#room-menu":
            page.get_by_role("button", name="Room menu").click()
        page.locator(f"{place} [data-copy-link]").click()

    dialog = page.get_by_role("dialog", name="Copy this text")
    expect(dialog).to_contain_text("Press Ctrl+C")
    expect(dialog.get_by_role("textbox")).to_be_focused()
    selected = "(field) => field.value.slice(field.selectionStart, field.selectionEnd)"
    url = f"{page.url}#m-1" if place == "message" else page.url
    assert dialog.get_by_role("textbox").evaluate(selected) == url
    expect(page.get_by_text("copied", exact=False).filter(visible=True)).to_have_count(0)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_room_menu_does_not_confirm_what_was_copied_before_it_was_closed(
    open_room: Open,
) -> None:
    page = open_room("127.0.0.1")
    page.get_by_role("button", name="Room menu").click()
    page.locator("#room-menu [data-copy-link]").click()
    status = page.locator("#room-menu [role=status]")
    expect(status).to_have_text("Link copied")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Room menu").click()

    expect(status).to_be_empty()


@pytest.mark.parametrize("button", ["#menu [data-action=copy]", "[data-action=copy-code]"])
def test_the_text_of_a_deleted_message_does_not_stay_in_the_dialog(
    open_room: Open, button: str
) -> None:
    page = is_called(open_room(PLAIN_HTTP, REFUSALS["refused"]), "Ada")
    says(page, "```\na secret\n```")
    sees(page, "a secret")
    other_tab = page.context.new_page()
    other_tab.goto(page.url)
    here(other_tab)
    page.bring_to_front()
    page.locator("#m-1").hover()
    if "copy-code" not in button:
        page.locator("#m-1 .message__actions").click()
    page.locator(button).first.click()
    dialog = page.get_by_role("dialog", name="Copy this text")
    expect(dialog.get_by_role("textbox")).to_have_value(re.compile("a secret"))

    choose(other_tab, 1, "delete")
    other_tab.locator("#delete").get_by_role("button", name="Delete").click()

    expect(dialog).to_be_hidden()
    expect(page.locator("#copy textarea")).to_have_value("")
