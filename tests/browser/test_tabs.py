"""Several tabs of one browser, in Chromium: what one of them changes, the others know."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_people import choose, field, is_called, says, sees
from tests.browser.test_reading import NOTIFICATIONS, Visit, here, post, somebody
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]

# In the tests every page has the focus: a page that is not watched says so itself.
NOT_WATCHED = "document.hasFocus = () => false; window.dispatchEvent(new Event('blur'))"
WATCHED = "document.hasFocus = () => true; window.dispatchEvent(new Event('focus'))"
# And every page is visible, until it is unloaded.
HIDDEN = """
Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
document.dispatchEvent(new Event('visibilitychange'));
"""
VISIBLE = """
delete document.visibilityState;
document.dispatchEvent(new Event('visibilitychange'));
"""


DRAFT_IS_LEFT = """() =>
  Object.values(localStorage).some((value) => value.includes('"left":true'))
"""
OUTBOX_IS_EMPTY = "() => !Object.keys(localStorage).some((key) => key.includes('outbox:'))"
# This tab waits longer for other tabs than it does by itself: they may be slow.
PATIENT = """() => {
  const setTimer = window.setTimeout.bind(window)
  window.setTimeout = (work, delayMs, ...rest) => {
    const isForOtherTab = delayMs >= 500 && delayMs < 2000
    return setTimer(work, isForOtherTab ? delayMs + 3000 : delayMs, ...rest)
  }
}"""
# Elections take long in this tab, so that another tab sends.
SLOW_ELECTION = """() => {
  const request = navigator.locks.request.bind(navigator.locks);
  navigator.locks.request = async (...args) => {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return request(...args);
  };
}"""


def open_tab(page: Page) -> Page:
    """Open the address of a page in another tab of the same browser."""
    tab = page.context.new_page()
    tab.goto(page.url)
    return here(tab)


def name_field(page: Page) -> str:
    """What is in the field for the name."""
    return page.get_by_role("textbox", name="Your name").input_value()


# Drafts


def test_a_message_sent_in_one_tab_leaves_the_draft_of_the_other(visit: Visit, room: str) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    second = open_tab(first)
    field(first).fill("half a thought")
    first.wait_for_function("() => JSON.stringify(localStorage).includes('half a thought')")
    says(second, "hello")
    sees(first, "hello")

    expect(field(first)).to_have_value("half a thought")
    first.reload()
    expect(field(here(first))).to_have_value("half a thought")
    expect(field(second)).to_have_value("")


def test_the_draft_of_a_closed_tab_is_in_the_next_one_and_only_there(
    visit: Visit, room: str
) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    second = open_tab(first)
    field(first).fill("half a thought")
    with first.expect_event("close"):
        first.close(run_before_unload=True)
    second.wait_for_function(DRAFT_IS_LEFT)

    third, fourth = open_tab(second), open_tab(second)
    expect(field(third)).to_have_value("half a thought")
    expect(field(fourth)).to_have_value("")
    says(third, "half a thought")
    sees(fourth, "half a thought")
    fourth.reload()
    expect(field(here(fourth))).to_have_value("")


def test_a_tab_that_leaves_the_room_and_returns_has_its_draft(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    page = is_called(visit(f"/{room}/"), "Ada")
    field(page).fill("half a thought")
    page.goto(server.url)
    page.go_back()

    expect(field(here(page))).to_have_value("half a thought")


def test_the_duplicate_of_a_tab_in_the_background_has_no_draft_in_common(
    visit: Visit, room: str
) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    field(first).fill("half a thought")
    first.evaluate(HIDDEN)
    with first.expect_popup() as opened:
        first.evaluate("window.open(location.href)")  # copies the sessionStorage, as duplicating
    duplicate = here(opened.value)
    expect(field(duplicate)).to_have_value("")
    says(duplicate, "hello")
    sees(duplicate, "hello")

    first.evaluate(VISIBLE)
    expect(field(first)).to_have_value("half a thought")
    first.reload()
    expect(field(here(first))).to_have_value("half a thought")


# Refused changes


def begin_refused_edit(first: Page, second: Page) -> None:
    """Edit a message in one tab that was deleted in the other."""
    says(first, "helo")
    for page in (first, second):
        sees(page, "helo")
    field(first).press("ArrowUp")
    field(first).fill("many words")
    choose(second, 1, "delete")
    second.get_by_role("button", name="Delete", exact=True).click()
    sees(first, "Message deleted")


@pytest.mark.parametrize("sender", ["this tab", "another tab"])
def test_a_refused_edit_comes_back_in_the_tab_where_it_was_made(
    visit: Visit, room: str, sender: str
) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    second = open_tab(first)
    begin_refused_edit(first, second)
    second.evaluate(PATIENT)
    if sender == "another tab":
        first.evaluate(SLOW_ELECTION)
    field(first).press("Enter")

    expect(field(first)).to_have_value("many words")
    expect(first.locator("#composer-hint")).to_contain_text("deleted")
    second.wait_for_function(OUTBOX_IS_EMPTY)
    expect(field(second)).to_have_value("")
    expect(field(first)).to_have_value("many words")


def test_a_refused_edit_of_a_hidden_tab_comes_back_in_the_visible_one(
    visit: Visit, room: str
) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    second = open_tab(first)
    begin_refused_edit(first, second)
    first.evaluate(HIDDEN)
    field(first).press("Enter")

    expect(field(second)).to_have_value("many words")
    expect(second.locator("#composer-hint")).to_contain_text("deleted")
    first.wait_for_function(OUTBOX_IS_EMPTY)
    first.evaluate(VISIBLE)
    expect(field(first)).to_have_value("")


def test_a_refused_edit_is_not_inserted_into_a_dialog(visit: Visit, room: str) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    second = open_tab(first)
    begin_refused_edit(first, second)
    second.get_by_role("button", name="Room menu").click()
    second.get_by_role("button", name="Report this room").click()
    reason = second.locator("#report-reason")
    reason.focus()
    first.evaluate(HIDDEN)
    field(first).press("Enter")

    second.wait_for_function(OUTBOX_IS_EMPTY)
    expect(reason).to_have_value("")
    second.keyboard.press("Escape")
    expect(field(second)).to_have_value("many words")


# Pages that are rendered ahead of a visit

STORED = "() => JSON.stringify([localStorage, sessionStorage])"
RENDERED_AHEAD = (
    "Object.defineProperty(document, 'prerendering', {value: true, configurable: true})"
)
VISITED = """() => {
  delete document.prerendering
  document.dispatchEvent(new Event("prerenderingchange"))
}"""


def test_a_page_rendered_ahead_stores_nothing_and_takes_no_draft(visit: Visit, room: str) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    field(first).fill("half a thought")
    address = first.url
    ahead = open_tab(first)
    ahead.goto("about:blank")
    ahead.add_init_script(RENDERED_AHEAD)
    with first.expect_event("close"):
        first.close(run_before_unload=True)
    ahead.goto(address)
    ahead.wait_for_function(DRAFT_IS_LEFT)
    stored = ahead.evaluate(STORED)
    ahead.reload()
    assert ahead.evaluate(STORED) == stored
    assert ahead.evaluate("document.querySelector('#composer-text').value") == ""

    ahead.evaluate(VISITED)

    expect(field(here(ahead))).to_have_value("half a thought")


# Names


def test_a_new_name_is_in_every_tab_and_the_old_one_does_not_come_back(
    visit: Visit, room: str
) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    says(first, "hello")
    sees(first, "hello")
    second = open_tab(first)
    is_called(first, "Bea")
    expect(second.get_by_role("textbox", name="Your name")).to_have_value("Bea")
    says(second, "it is me")

    expect(first.locator("#messages .message__text").last).to_have_text("it is me")
    expect(first.locator("#messages .message").last.locator(".message__name")).to_have_text("Bea")
    expect(first.locator('.message[data-kind="rename"]')).to_have_count(1)
    first.reload()
    assert name_field(here(first)) == "Bea"


def test_a_name_that_is_being_typed_is_not_replaced(visit: Visit, room: str) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    second = open_tab(first)
    second.get_by_role("textbox", name="Your name").fill("Cleo")
    is_called(first, "Bea")
    third = open_tab(first)

    assert name_field(third) == "Bea"
    assert name_field(second) == "Cleo"
    field(second).focus()
    expect(first.get_by_role("textbox", name="Your name")).to_have_value("Cleo")


# What is unread


def test_what_is_read_in_one_tab_is_not_unread_in_the_title_of_the_others(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    second = open_tab(first)
    for page in (first, second):
        page.evaluate(NOT_WATCHED)
    with somebody(server, room) as ben:
        post(ben, "one")
        post(ben, "two")
    for page in (first, second):
        expect(page).to_have_title(re.compile(r"^\(2\) "))

    first.evaluate(WATCHED)

    for page in (first, second):
        expect(page).to_have_title(re.compile(rf"^{re.escape(room)} "))
    expect(second.locator("link[rel=icon]")).to_have_attribute("href", re.compile("confab.svg"))


@pytest.mark.parametrize("is_watched", [True, False], ids=["watched", "not watched"])
def test_a_hidden_tab_notifies_only_about_what_no_other_tab_shows(
    server: ConfabServer, visit: Visit, room: str, is_watched: bool
) -> None:
    first = visit(f"/{room}/")
    first.context.add_init_script(NOTIFICATIONS)
    first.context.add_init_script("window.Notification.permission = 'granted'")
    first.goto(f"{server.url}/{room}/")
    is_called(here(first), "Ann")
    second = open_tab(first)
    second.evaluate(PATIENT)
    second.evaluate(NOT_WATCHED)
    first.evaluate(WATCHED if is_watched else NOT_WATCHED)
    expected = ["Ben: Ann, and this?"]
    with somebody(server, room) as ben:
        post(ben, "Ann, you see this")
        expect(first.locator("#m-1")).to_be_visible()
        expect(second.locator("#m-1")).to_be_visible()
        if not is_watched:
            second.wait_for_function("() => notices.length === 1")
            expected.insert(0, "Ben: Ann, you see this")
        first.evaluate(NOT_WATCHED)
        post(ben, "Ann, and this?")

        last = "() => notices.at(-1)?.[1].includes('and this?')"
        second.wait_for_function(last)
    assert second.evaluate("notices.map(([, body]) => body)") == expected


# Settings


def test_whoever_is_ignored_in_one_tab_is_ignored_in_the_others(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    first = is_called(visit(f"/{room}/"), "Ada")
    second = open_tab(first)
    with somebody(server, room) as ben:
        post(ben, "buy this")
    expect(second.locator("#m-1")).to_be_visible()
    choose(first, 1, "ignore")
    expect(second.locator("#m-1")).to_be_hidden()

    first.get_by_role("button", name="Undo").click()
    expect(second.locator("#m-1")).to_be_visible()


def test_theme_and_notifications_of_one_tab_are_those_of_the_others(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    first = visit(f"/{room}/", color_scheme="light")
    first.context.add_init_script(NOTIFICATIONS)
    first.context.add_init_script("window.Notification.permission = 'granted'")
    first.goto(f"{server.url}/{room}/")
    second = open_tab(here(first))
    home = first.context.new_page()
    home.goto(server.url)

    first.get_by_role("button", name="Room menu").click()
    first.get_by_text("Dark", exact=True).click()
    first.keyboard.press("Escape")
    first.get_by_role("button", name="Notifications", exact=True).click()
    first.get_by_label("All messages").check()

    for page in (second, home):
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        expect(page.locator("input[name=theme][value=dark]")).to_be_checked()
    expect(second.locator("#bell")).to_have_attribute("data-level", "all")
    home.get_by_text("System", exact=True).click()
    expect(second.locator("html")).not_to_have_attribute("data-theme", "dark")


def test_the_list_of_rooms_follows_what_other_tabs_do(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    home = visit(f"/{room}/")
    home.goto(server.url)
    expect(home.get_by_role("link", name=room)).to_be_visible()
    tab = home.context.new_page()
    tab.goto(f"{server.url}/{room}/")
    here(tab)
    home.get_by_role("button", name=f"Remove {room} from the list").click()
    tab.get_by_role("button", name="Rename room").click()
    tab.get_by_role("textbox", name="Room name").fill("Supper")
    tab.keyboard.press("Enter")
    expect(tab).to_have_title(re.compile("^Supper "))
    expect(home.locator(".recent-room")).to_have_count(0)

    other = server.room("another-room-of-" + room[-8:])
    tab.goto(f"{server.url}/{other}/")
    expect(home.get_by_role("link", name=other)).to_be_visible()
