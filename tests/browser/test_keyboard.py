"""The room page with the keyboard and a screen reader: focus, menus, shortcuts and names."""

import re
from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_people import GONE_MS, field, is_called, says, sees
from tests.browser.test_reading import (
    DESKTOP,
    Visit,
    fill,
    here,
    post,
    somebody,
    up,
    violations,
)
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]

FOCUSED = """
() => {
  const { activeElement } = document
  return activeElement.id || activeElement.className.split(" ")[0] || activeElement.tagName
}
"""
IN_LIST = "() => document.activeElement.closest('#messages') !== null"
ON_SCREEN = """
(selector) => {
  const log = document.querySelector("#log").getBoundingClientRect()
  const { top, bottom } = document.querySelector(selector).getBoundingClientRect()
  return bottom > log.top && top < log.bottom
}
"""
STOPS = 80
"""More than a page has without the messages."""


def press(page: Page, *keys: str) -> None:
    """Press keys one after the other."""
    for key in keys:
        page.keyboard.press(key)


def type_key(page: Page, key: str, code: str) -> None:
    """Press a key of another keyboard layout."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Input.dispatchKeyEvent", {"type": "keyDown", "key": key, "code": code})
    devtools.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": key, "code": code})


def stops_of_tab(page: Page, key: str = "Tab") -> list[str]:
    """Press Tab until the focus is back where it was; return where it was inside the list."""
    start = page.evaluate(FOCUSED)
    stops = []
    for _ in range(STOPS):
        page.keyboard.press(key)
        focused = page.evaluate(FOCUSED)
        if focused == start:
            break
        if page.evaluate(IN_LIST):
            stops.append(focused)
    return stops


def accessible(page: Page) -> list[dict[str, Any]]:
    """The nodes of the accessibility tree that screen readers see."""
    devtools = page.context.new_cdp_session(page)
    nodes = devtools.send("Accessibility.getFullAXTree")["nodes"]
    return [node for node in nodes if not node["ignored"]]


def names(page: Page, role: str) -> list[str]:
    """The names of everything that has a role."""
    return [
        node["name"]["value"]
        for node in accessible(page)
        if node["role"]["value"] == role and "name" in node
    ]


def a_room_with_everything(server: ConfabServer, room: str) -> None:
    """Messages with links, a reply and reactions; the last of them is 44."""
    fill(server, room, 40)
    with somebody(server, room) as ben:
        post(ben, "see https://example.com and https://example.org")
        assert ben.ask("chat", {"handle": "Ben", "message": "**again**", "reply_to": 41})["ok"]
        assert ben.ask("react", {"seq": 42, "emoji": "👍", "on": True})["ok"]
        post(ben, "the last")


# The tab stop of the list


def test_the_messages_have_one_tab_stop(server: ConfabServer, visit: Visit, room: str) -> None:
    a_room_with_everything(server, room)
    page = here(visit(f"/{room}/", **DESKTOP))
    page.locator(".header__home").focus()

    assert stops_of_tab(page) == ["m-44"]
    page.locator("#composer-text").focus()
    assert stops_of_tab(page, "Shift+Tab") == ["m-44"]


def test_tab_goes_through_what_is_inside_the_current_message_and_leaves_the_list(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    a_room_with_everything(server, room)
    page = here(visit(f"/{room}/", **DESKTOP))

    page.locator("#m-42").focus()
    assert stops_of_tab(page) == ["reply", "reaction"]
    page.locator("#m-41").focus()
    assert stops_of_tab(page) == ["link", "link"]
    page.locator("#m-40").focus()
    assert stops_of_tab(page) == []
    page.locator("#composer-text").focus()
    assert stops_of_tab(page, "Shift+Tab")[0] == "m-40"  # the one that was left


def test_the_tab_stop_is_a_message_on_the_screen(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 60)
    page = here(visit(f"/{room}/", **DESKTOP))
    page.locator("#m-60").focus()
    field(page).focus()
    up(page, 1500)
    top = page.locator("#log").evaluate("(log) => log.scrollTop")

    while not page.evaluate(IN_LIST):
        press(page, "Shift+Tab")

    assert page.evaluate(ON_SCREEN, f"#{page.evaluate(FOCUSED)}")
    assert abs(page.locator("#log").evaluate("(log) => log.scrollTop") - top) < 100


def test_a_message_that_arrives_or_changes_keeps_the_one_tab_stop(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 5)
    page = here(visit(f"/{room}/", **DESKTOP))
    page.locator("#m-5").focus()
    with somebody(server, room) as ben:
        seq = post(ben, "see https://example.com")
        expect(page.locator(f"#m-{seq}")).to_be_visible()
        assert ben.ask("react", {"seq": 5, "emoji": "👍", "on": True})["ok"]
        expect(page.locator("#m-5 .reaction")).to_be_visible()
        expect(page.locator("#m-5")).to_be_focused()
        assert stops_of_tab(page) == ["reaction"]
        page.locator(f"#m-{seq}").focus()
        assert ben.ask("edit", {"seq": seq, "message": "see https://example.org now"})["ok"]
        expect(page.locator(f"#m-{seq}")).to_have_attribute(
            "aria-label", re.compile("example.org now, edited")
        )
        assert stops_of_tab(page) == ["link"]
        assert ben.ask("delete", {"seq": seq})["ok"]
        expect(page.locator(f"#m-{seq}")).to_contain_text("deleted")

    page.locator(f"#m-{seq}").focus()
    assert stops_of_tab(page) == []


def test_a_program_is_a_tab_stop_only_in_the_current_message(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "```\nprint(1)\n```")
        post(ben, "the last")
    page = here(visit(f"/{room}/", **DESKTOP))
    page.locator(".header__home").focus()

    assert stops_of_tab(page) == ["m-2"]
    page.locator("#m-1").focus()
    assert stops_of_tab(page) == ["fence", "code__tool", "code__tool"]


def test_showing_folded_messages_moves_the_focus_to_the_message_of_the_button(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        for text in ("one", "two", "three"):
            assert ben.ask("delete", {"seq": post(ben, text)})["ok"]
    page = here(visit(f"/{room}/", **DESKTOP))
    expect(page.locator("#m-1")).to_be_hidden()

    page.locator("#m-5 .message__fold").focus()  # a deletion has a number too
    press(page, "Enter")

    expect(page.locator("#m-1")).to_be_visible()
    expect(page.locator("#m-5")).to_be_focused()


# The list of people


def test_the_focus_stays_on_a_person_while_others_arrive_and_leave(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    page = here(visit(f"/{room}/", **DESKTOP))
    people = page.locator("#people .person")
    ben_item = people.filter(has_text="Ben")
    with somebody(server, room) as ben:
        post(ben, "hello")
        expect(ben_item).to_have_count(1)
        ben_item.locator(".person__mention").focus()
        with somebody(server, room) as ada:
            post(ada, "hello", "Ada")  # is listed before Ben
            expect(people.filter(has_text="Ada")).to_have_count(1)
            expect(ben_item.locator(".person__mention")).to_be_focused()
            ben_item.locator(".person__actions").focus()
            press(page, "Enter")
            expect(page.locator("#person-menu")).to_be_visible()
        expect(people).to_have_count(2, timeout=GONE_MS)
        press(page, "Escape")
        expect(page.locator("#person-menu")).to_be_hidden()
        expect(ben_item.locator(".person__actions")).to_be_focused()


def test_the_button_of_the_list_of_people_says_whether_it_is_open(visit: Visit, room: str) -> None:
    page = here(visit(f"/{room}/", **DESKTOP))
    button = page.locator("#people-button")
    expect(button).to_have_attribute("aria-expanded", "true")
    page.set_viewport_size({"width": 1000, "height": 800})
    expect(button).to_have_attribute("aria-expanded", "false")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    press(page, "Escape")
    expect(button).to_have_attribute("aria-expanded", "false")
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "false")


def test_the_list_of_people_takes_no_focus_when_it_opens_beside_the_messages(
    visit: Visit, room: str
) -> None:
    page = here(visit(f"/{room}/", **DESKTOP, has_touch=True, is_mobile=True))

    expect(page.locator("#people")).to_be_visible()
    assert page.evaluate(FOCUSED) == "BODY"


# The menu


def test_arrow_keys_home_end_and_letters_move_in_the_menu(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 3)
    page = here(visit(f"/{room}/", **DESKTOP))
    page.locator("#m-3").focus()
    press(page, "ArrowRight")
    item = page.locator("#menu :focus")
    expect(item).to_have_text("👍")

    press(page, "ArrowRight")
    expect(item).to_have_text("❤️")
    press(page, "ArrowLeft", "ArrowLeft")
    expect(item).to_have_text("Report")
    press(page, "Home", "ArrowDown")
    expect(item).to_have_text("Reply")
    press(page, "ArrowDown", "ArrowDown")
    expect(item).to_have_text("Copy text")
    press(page, "End")
    expect(item).to_have_text("Report")
    press(page, "ArrowDown")
    expect(item).to_have_text("👍")
    press(page, "ArrowUp")
    expect(item).to_have_text("Report")
    press(page, "Home")
    expect(item).to_have_text("👍")
    press(page, "c")
    expect(item).to_have_text("Copy text")
    press(page, "c")
    expect(item).to_have_text("Copy link")
    press(page, "r")
    expect(item).to_have_text("Report")
    press(page, "r")
    expect(item).to_have_text("Reply")
    type_key(page, "\u044c", "KeyM")  # in a Cyrillic layout
    expect(item).to_have_text("Mention")


def test_arrow_keys_move_through_the_rows_of_all_emoji(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 3)
    page = here(visit(f"/{room}/", **DESKTOP))
    page.locator("#m-3").focus()
    press(page, "Enter", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    page.locator('#menu [data-action="all-emoji"]').focus()
    press(page, "Enter")
    item = page.locator("#menu :focus")
    expect(item).to_have_text("👍")

    press(page, "ArrowDown", "ArrowRight", "ArrowDown")
    below = item.evaluate("(each) => each.getBoundingClientRect().top")
    press(page, "ArrowUp")
    above = item.evaluate("(each) => each.getBoundingClientRect().top")
    assert above < below
    emoji = item.inner_text()
    press(page, "Enter")

    expect(page.locator("#m-3 .reaction")).to_have_text(f"{emoji} 1")
    expect(page.locator("#m-3")).to_be_focused()


def test_the_focus_returns_to_the_message_when_its_menu_closes(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as cy:
        post(cy, "from Cy", "Cy")
    with somebody(server, room) as ben:
        post(ben, "from Ben")
    page = is_called(here(visit(f"/{room}/", **DESKTOP)), "Ada")
    says(page, "mine")
    sees(page, "from Cy", "from Ben", "mine")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    for key in ("Escape", "Enter"):
        page.locator("#m-3").focus()
        press(page, "Enter", key)
        expect(page.locator("#menu")).to_be_hidden()
        expect(page.locator("#m-3")).to_be_focused()
    for letters in ("cc", "c"):  # copies the link, and the text
        press(page, "Enter", *letters, "Enter")
        expect(page.locator("#m-3")).to_be_focused()
    page.locator("#m-3").hover()
    page.locator("#m-3 .message__actions").click()
    page.mouse.click(5, 400)
    expect(page.locator("#m-3")).to_be_focused()
    press(page, "Enter", "End", "Enter")  # the last item asks whether to delete the message
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("#m-3")).to_have_attribute("data-state", "deleted")
    expect(page.locator("#m-3")).to_be_focused()


# Shortcuts


@pytest.mark.parametrize(
    ("reply", "edit"),
    [
        (("r", "KeyR"), ("e", "KeyE")),
        (("R", "KeyR"), ("E", "KeyE")),
        (("\u043a", "KeyR"), ("\u0443", "KeyE")),
        (("\u041a", "KeyR"), ("\u0423", "KeyE")),
        (("\u03c1", "KeyR"), ("\u03b5", "KeyE")),
        (("\u05e8", "KeyR"), ("\u05e7", "KeyE")),
        (("r", "KeyO"), ("e", "KeyD")),
    ],
    ids=["Latin", "Caps Lock", "Cyrillic", "Cyrillic Caps Lock", "Greek", "Hebrew", "Dvorak"],
)
def test_letters_are_shortcuts_in_every_keyboard_layout(
    visit: Visit, room: str, reply: tuple[str, str], edit: tuple[str, str]
) -> None:
    page = is_called(here(visit(f"/{room}/", **DESKTOP)), "Ada")
    says(page, "hello")
    sees(page, "hello")

    page.locator("#m-1").focus()
    type_key(page, *reply)
    expect(page.locator(".composer__mode")).to_contain_text("Replying to Ada")
    press(page, "Escape")
    page.locator("#m-1").focus()
    type_key(page, *edit)
    expect(page.locator(".composer__mode")).to_contain_text("Editing")
    press(page, "Escape")
    page.locator("#m-1").focus()
    type_key(page, "p", "KeyR")  # a Latin layout in which another letter is at this place
    expect(page.locator(".composer__mode")).to_be_hidden()


# What screen readers read


def test_marks_are_read_only_where_they_tell_people_apart(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello")
        page = here(visit(f"/{room}/", **DESKTOP))
        mark = page.locator("#m-1 .message__mark").text_content() or ""
        assert re.fullmatch("[0-9a-f]{10}", mark)
        expect(page.locator("#people .person")).to_have_count(2)

        assert mark not in str(accessible(page))
        with somebody(server, room) as other:
            post(other, "I am Ben too")
            expect(page.locator("#m-2")).to_be_visible()
            assert mark in str(accessible(page))


def test_no_two_buttons_have_the_same_name(server: ConfabServer, visit: Visit, room: str) -> None:
    fill(server, room, 30)
    with somebody(server, room) as ben, somebody(server, room) as cy:
        for stranger, name in ((ben, "Ben"), (cy, "Cy")):
            post(stranger, "\n".join(f"line {number}" for number in range(40)), name)
            for text in ("in the same minute", "and again"):
                post(stranger, text, name)
        for seq in (17, 18):
            assert ben.ask("react", {"seq": seq, "emoji": "👍", "on": True})["ok"]
        page = here(visit(f"/{room}/", **DESKTOP))
        expect(page.locator("#people .person")).to_have_count(3)
        found = Counter(names(page, "button"))
        assert "Message actions, Ada, 9:18, number 18 and more words" in found
        assert "👍 1, Ben, 9:17, number 17" in found
        assert any(re.fullmatch(r"Show more, Cy, [\d:]+, line 0", name) for name in found)
        assert {"Actions for Ben", "Actions for Cy"} <= set(found)
        assert [name for name, count in found.items() if count > 1] == []


def test_the_characters_of_markdown_are_not_read_aloud(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    page = is_called(here(visit(f"/{room}/", **DESKTOP)), "Ada")
    with somebody(server, room) as ben:
        post(ben, "**bold** and `code`")
        post(ben, "> quoted\nand *answered*")
        assert ben.ask("chat", {"handle": "Ben", "message": "```\nx\n```", "reply_to": 1})["ok"]
        spoken = page.locator("#announcements p")
        expect(spoken).to_have_text(
            ["Ben: bold and code", re.compile(r"^Ben: quoted\s+and answered$"), "Ben: x"]
        )
    page.locator("#m-1").focus()
    expect(page.locator("#m-1")).to_have_attribute("aria-label", re.compile("bold and code$"))
    press(page, "Enter")
    expect(page.get_by_role("dialog", name="Ben: bold and code")).to_be_visible()
    press(page, "r", "Enter")
    expect(page.locator(".composer__mode")).to_contain_text("Replying to Ben: bold and code")
    read = str([node.get("name", {}).get("value", "") for node in accessible(page)])
    assert not re.search(r"\*|`|> ", read)
    page.reload()
    expect(page.locator("#m-3 .reply")).to_have_text("Ben bold and code")
    assert violations(here(page)) == []
