"""Ignoring people and deleting messages in Chromium: what disappears, and what must not."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_people import WIDE, choose, field, is_called, says, sees
from tests.browser.test_reading import DESKTOP, PHONE, Visit, fill, here, post, somebody
from tests.clients import Stranger
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]

IS_FULL = """
() => {
  const { scrollHeight, clientHeight } = document.querySelector("#log")
  return scrollHeight > clientHeight
}
"""
FOCUSED = "() => document.activeElement.tagName"
# All texts and attributes of the page, also of what is not visible, and what is stored.
EVERYTHING = """
() => document.documentElement.outerHTML
  + [...document.querySelectorAll("input, textarea")].map(({ value }) => value).join()
  + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + JSON.stringify(history.state)
"""


def flood(stranger: Stranger, count: int) -> None:
    """Post many messages."""
    for number in range(count):
        post(stranger, f"buy this {number}", "Spammer")


@pytest.mark.parametrize("count", [60, 400], ids=["more than a page", "more than is kept"])
def test_the_screen_fills_when_somebody_who_has_flooded_the_room_is_ignored(
    server: ConfabServer, visit: Visit, room: str, count: int
) -> None:
    fill(server, room, 100)
    with somebody(server, room) as spammer:
        flood(spammer, count)
        page = here(visit(f"/{room}/", **DESKTOP))
        last = page.locator(f"#m-{100 + count}")
        expect(last).to_be_visible()
        choose(page, 100 + count, "ignore")

        expect(last).to_be_hidden()
        page.wait_for_function(IS_FULL)
        expect(page.locator("#m-100")).to_be_in_viewport()
        page.reload()
        expect(here(page).locator("#m-100")).to_be_in_viewport()
        page.wait_for_function(IS_FULL)


def test_ignoring_can_be_undone_by_keyboard_and_the_focus_stays_in_the_page(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    page = here(visit(f"/{room}/", **DESKTOP))
    with somebody(server, room) as ben:
        post(ben, "one")
        post(ben, "two")
    expect(page.locator("#m-2")).to_be_visible()
    page.locator("#m-2").focus()
    page.keyboard.press("Enter")
    page.locator('#menu [data-action="ignore"]').focus()
    page.keyboard.press("Enter")

    expect(page.locator("#m-2")).to_be_hidden()
    expect(page.locator("#toast")).to_contain_text("You no longer see messages from Ben.")
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#m-2")).to_be_visible()
    assert page.evaluate(FOCUSED) != "BODY"


def test_ignoring_in_the_list_beside_the_messages_keeps_the_focus_there(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    page = here(visit(f"/{room}/", **WIDE))
    with somebody(server, room) as ben:
        post(ben, "one")
        expect(page.locator("#m-1")).to_be_visible()
        button = page.locator("#people .person__actions").filter(visible=True)
        for action, note in (("Ignore this person", "ignored"), ("Stop ignoring", "")):
            button.focus()
            page.keyboard.press("Enter")
            entry = page.locator('#person-menu [data-action="ignore"]')
            expect(entry).to_have_text(action)
            entry.focus()
            page.keyboard.press("Enter")
            expect(page.locator("#people .person__note").filter(has_text="you")).to_have_count(1)
            expect(
                page.locator(".person:has(.person__actions:not([hidden])) .person__note")
            ).to_have_text(note)
            expect(button).to_be_focused()


def test_ignoring_in_the_list_above_the_messages_closes_it_and_can_be_undone(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    page = here(visit(f"/{room}/", **PHONE))
    with somebody(server, room) as ben:
        post(ben, "one")
        expect(page.locator("#m-1")).to_be_visible()
        page.locator("#people-button").click()
        page.get_by_role("button", name="Actions for Ben").click()
        page.locator('#person-menu [data-action="ignore"]').click()

        expect(page.locator("#m-1")).to_be_hidden()
        expect(page.locator("#people")).to_be_hidden()
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#m-1")).to_be_visible()


def test_the_focus_stays_in_the_page_when_a_button_disappears_under_it(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 120)
    page = here(visit(f"/{room}/", **DESKTOP))
    page.locator("#log").evaluate("(log) => { log.scrollTop = -3000 }")
    expect(page.locator("#latest")).to_be_visible()
    page.locator("#latest").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#latest")).to_be_hidden()
    assert page.evaluate(FOCUSED) != "BODY"

    page.locator("#earlier").focus()
    for _ in range(3):
        page.keyboard.press("Enter")
        expect(page.locator("#earlier")).not_to_have_text("Loading…")
    expect(page.locator("#earlier")).to_be_hidden()
    assert page.evaluate(FOCUSED) != "BODY"


# Deleting


def expect_gone(page: Page, text: str) -> None:
    """Wait until a text is nowhere in the page and its storage."""
    page.wait_for_function(f"(text) => !({EVERYTHING})().includes(text)", arg=text)


def test_the_text_of_a_deleted_message_is_nowhere_in_the_page_of_a_reader(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada = is_called(visit(f"/{room}/", **DESKTOP), "Ada")
    with somebody(server, room) as ben:
        seq = post(ben, "a secret 7215")
        expect(ada.locator("#announcements")).to_contain_text("a secret 7215")
        choose(ada, seq, "reply")
        field(ada).fill("what?")
        ada.locator(f"#m-{seq}").focus()
        ada.keyboard.press("Enter")
        expect(ada.locator("#menu")).to_be_visible()
        assert ben.ask("delete", {"seq": seq})["ok"]

        sees(ada, "Message deleted")
        expect(ada.locator("#menu")).to_be_hidden()
        expect_gone(ada, "a secret 7215")
        expect(ada.locator(".composer__mode")).to_have_text("Replying to a deleted message")
        expect(field(ada)).to_have_value("what?")
        ada.reload()
        expect(here(ada).locator(".composer__mode")).to_have_text("Replying to a deleted message")


def test_an_unchanged_edit_of_a_deleted_message_ends(visit: Visit, room: str) -> None:
    ada = is_called(visit(f"/{room}/"), "Ada")
    says(ada, "a secret 7215")
    sees(ada, "a secret 7215")
    other = ada.context.new_page()
    other.goto(ada.url)
    field(ada).fill("before")
    choose(ada, 1, "edit")
    expect(field(ada)).to_have_value("a secret 7215")

    choose(here(other), 1, "delete")
    other.get_by_role("button", name="Delete", exact=True).click()

    expect(field(ada)).to_have_value("before")
    expect(ada.locator(".composer__mode")).to_be_hidden()
    expect(ada.locator("#composer-hint")).to_contain_text("was deleted")
    for page in (ada, other):
        expect_gone(page, "a secret 7215")


def test_a_message_deleted_while_nobody_is_there_leaves_no_draft_of_it(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada = is_called(visit(f"/{room}/", **DESKTOP), "Ada")
    with somebody(server, room) as ben:
        seq = post(ben, "a secret 7215")
        choose(ada, seq, "reply")
        field(ada).fill("what?")
        ada.goto(server.url)
        assert ben.ask("delete", {"seq": seq})["ok"]
    ada.goto(f"{server.url}/{room}/")

    expect_gone(here(ada), "a secret 7215")
    expect(field(ada)).to_have_value("what?")


def test_a_message_deleted_before_many_others_leaves_no_draft_of_it(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada = is_called(visit(f"/{room}/", **DESKTOP), "Ada")
    with somebody(server, room) as ben:
        seq = post(ben, "a secret 7215")
        choose(ada, seq, "reply")
        field(ada).fill("what?")
        ada.goto(server.url)
        assert ben.ask("delete", {"seq": seq})["ok"]
        for number in range(60):
            post(ben, f"new {number}")
    ada.goto(f"{server.url}/{room}/")

    expect_gone(here(ada), "a secret 7215")
    expect(field(ada)).to_have_value("what?")
