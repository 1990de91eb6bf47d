"""The data of a person, in Chromium: About your data, reports, privacy, private rooms."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DEFAULT_SETTINGS
from tests.browser.test_people import is_called, says, sees
from tests.browser.test_reading import (
    DEVICES,
    Visit,
    here,
    post,
    somebody,
    violations,
)
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]


def open_your_data(page: Page) -> None:
    """Open the dialog About your data."""
    page.get_by_role("button", name="Room menu").click()
    page.get_by_role("button", name="About your data").click()
    expect(page.get_by_role("dialog", name="About your data")).to_be_visible()


def test_everything_is_deleted_after_a_question(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "the words of Ben")
    ada = is_called(visit(f"/{room}/"), "Ada")
    for text in ("secret one", "secret two"):
        says(ada, text)
    sees(ada, "the words of Ben", "secret one", "secret two")

    open_your_data(ada)
    dialog = ada.get_by_role("dialog", name="About your data")
    expect(dialog.get_by_role("status")).to_have_text("You have 2 messages in this room.")
    dialog.get_by_role("button", name="Delete everything I wrote here").click()
    question = ada.get_by_role("dialog", name="Delete everything you wrote here?")
    question.get_by_role("button", name="Cancel").click()
    sees(ada, "the words of Ben", "secret one", "secret two")

    open_your_data(ada)
    dialog.get_by_role("button", name="Delete everything I wrote here").click()
    question.get_by_role("button", name="Delete everything").click()

    expect(question.get_by_role("status")).to_have_text(
        "Everything you wrote in this room has been deleted."
    )
    expect(ada.locator('.message[data-state="deleted"]')).to_have_count(2)
    question.get_by_role("button", name="Close").click()
    expect(ada.locator("#messages")).not_to_contain_text("secret")
    expect(ada.locator("#messages")).to_contain_text("the words of Ben")


def test_messages_are_downloaded(visit: Visit, room: str) -> None:
    ada = is_called(visit(f"/{room}/"), "Ada")
    says(ada, "to be kept")
    sees(ada, "to be kept")

    open_your_data(ada)
    with ada.expect_download() as download:
        ada.get_by_role("link", name="Download my messages").click()

    assert download.value.suggested_filename == f"confab-{room}.json"
    exported = json.loads(download.value.path().read_text())
    assert [each["text"] for each in exported["messages"]] == ["to be kept"]


def test_leaving_forgets_the_room_in_all_tabs(
    visit: Visit, server: ConfabServer, room: str
) -> None:
    page = visit(f"/{room}/")
    says(is_called(page, "Ada"), "hello")
    sees(page, "hello")
    page.get_by_role("textbox", name="Message", exact=True).fill("a draft")
    other = page.context.new_page()
    other.goto(page.url)
    here(other)

    open_your_data(page)
    page.get_by_role("button", name="Leave room").click()
    question = page.get_by_role("dialog", name="Leave this room?")
    question.get_by_role("button", name="Leave room").click()

    for each in (page, other):
        each.wait_for_url(lambda url: room not in url)
    expect(page.locator("#recent-rooms")).to_be_hidden()
    keys = page.evaluate("Object.keys(localStorage)")
    assert not [key for key in keys if room in key or key.endswith(":name")]
    page.goto(f"{server.url}/{room}/")
    here(page)
    expect(page.locator("#m-1")).to_have_attribute("data-side", "own")
    expect(page.get_by_role("textbox", name="Your name")).to_have_value("")
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_have_value("")


def test_a_message_is_reported_with_the_keyboard(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "something rude")
    ada = is_called(visit(f"/{room}/"), "Ada")
    ada.locator("#m-1").focus()
    ada.keyboard.press("Enter")
    ada.get_by_role("menuitem", name="Report").press("Enter")
    dialog = ada.get_by_role("dialog", name="Report this message")
    expect(dialog).to_contain_text("something rude")

    dialog.get_by_role("textbox").fill("It is rude.")
    dialog.get_by_role("button", name="Send report").press("Enter")

    expect(dialog).to_be_hidden()
    expect(ada.locator("#toast")).to_contain_text("the report has been sent")


def test_the_copy_in_the_report_disappears_with_the_message(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada = visit(f"/{room}/")
    with somebody(server, room) as ben:
        post(ben, "something rude")
        ada.locator("#m-1").focus()
        ada.keyboard.press("Enter")
        ada.get_by_role("menuitem", name="Report").press("Enter")
        expect(ada.locator("#report")).to_contain_text("something rude")

        assert ben.ask("delete", {"seq": 1})["ok"]

    expect(ada.locator("#report")).to_be_hidden()
    expect(ada.locator("#report .dialog__message")).to_be_empty()


def test_the_room_is_reported(visit: Visit, room: str) -> None:
    ada = visit(f"/{room}/")
    ada.get_by_role("button", name="Room menu").click()
    ada.get_by_role("button", name="Report this room").click()
    dialog = ada.get_by_role("dialog", name="Report this room")
    dialog.get_by_role("button", name="Send report").click()

    expect(ada.locator("#toast")).to_contain_text("the report has been sent")


def test_without_scripts_the_pages_do_the_same(
    chromium: Browser, server: ConfabServer, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "something rude")
    page = chromium.new_page(java_script_enabled=False, **DEFAULT_SETTINGS)
    page.goto(f"{server.url}/{room}/")
    page.get_by_role("textbox", name="Your name").fill("Ada")
    page.get_by_role("textbox", name="Message", exact=True).fill("secret")
    page.get_by_role("button", name="Send").click()

    page.get_by_role("link", name="Report").click()
    page.get_by_role("radio", name="something rude").check()
    page.get_by_role("button", name="Send report").click()
    expect(page.get_by_role("heading", name="Report sent")).to_be_visible()

    page.get_by_role("link", name="Back to the room").click()
    page.get_by_role("link", name="About your data").click()
    expect(page.locator("main")).to_contain_text("You have 1 message in this room.")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete everything").click()
    expect(page.get_by_role("status")).to_contain_text("has been deleted")
    page.get_by_role("link", name="Back to the room").click()
    expect(page.locator("#messages")).not_to_contain_text("secret")
    page.close()


def test_a_private_room_is_made_and_named(chromium: Browser, server: ConfabServer) -> None:
    page = chromium.new_page(**DEFAULT_SETTINGS)
    page.goto(server.url)
    page.get_by_role("button", name="New private room").click()
    here(page)

    expect(page.locator("#welcome")).to_contain_text("Only people with the link can find")
    page.get_by_role("button", name="Rename room").click()
    page.get_by_role("textbox", name="Room name").fill("Our plans")
    page.keyboard.press("Enter")
    expect(page).to_have_title("Our plans · Confab")
    page.reload()
    expect(page).to_have_title("Our plans · Confab")
    page.get_by_role("textbox", name="Your name").fill("Ada")
    says(page, "hello")
    expect(page.locator("#m-2")).to_have_attribute("data-state", "sent")

    ben = chromium.new_page(**DEFAULT_SETTINGS)
    ben.goto(page.url)
    expect(here(ben).locator("#newcomer")).to_contain_text("Only people with the link can find")
    ben.close()
    page.close()


@DEVICES
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_about_data_and_reports(
    server: ConfabServer, visit: Visit, room: str, device: dict[str, Any], theme: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "something rude")
    page = visit(f"/{room}/", color_scheme=theme, reduced_motion="reduce", **device)
    says(is_called(page, "Ada"), "mine")
    sees(page, "something rude", "mine")
    open_your_data(page)
    expect(page.locator(".own-data__summary")).not_to_be_empty()
    for opener in ("leave", "erasure"):
        assert violations(page) == []
        page.locator(f'#your-data [data-opens="{opener}"]').click()
        assert violations(page) == []
        page.keyboard.press("Escape")
        open_your_data(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Room menu").click()
    page.get_by_role("button", name="Report this room").click()
    assert violations(page) == []
    for path in ("/privacy", f"/{room}/your-data", f"/{room}/report", f"/{room}/report?seq=1"):
        page.goto(server.url + path)
        assert violations(page) == []
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
