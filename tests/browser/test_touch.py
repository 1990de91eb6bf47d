"""The room page on a phone, with trusted touch input sent by the browser itself."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_people import (
    SMALL,
    field,
    is_called,
    reactions,
    sees,
    typing_with_ta_and_tam,
)
from tests.browser.test_reading import WHOLE, Visit, fill, post, somebody
from tests.browser.touch import MIDDLE, PHONE, SMALL_PHONE, Finger
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]

NO_LONG_PRESS_MS = 900  # longer than a long press takes
# Enough to fill the screen: the menu covers the last ones, not the first ones.
MESSAGES = 12
HIGH, LOW = 3, MESSAGES

# Records whether the context menu of the browser was suppressed.
WATCH_CONTEXT_MENUS = """
() => {
  window.contextMenus = []
  addEventListener("contextmenu", (event) => window.contextMenus.push(event.defaultPrevented))
}
"""


def fill_screen(server: ConfabServer, room: str) -> None:
    """Ben posts as many short messages as a phone shows at once."""
    with somebody(server, room) as ben:
        for number in range(1, MESSAGES + 1):
            post(ben, f"number {number}")


def menu_of(page: Page) -> Locator:
    """The menu of a message."""
    return page.locator("#menu")


def words_of(page: Page, seq: int) -> Locator:
    """The text of a message."""
    return page.locator(f"#m-{seq} .message__text")


def dots_of(page: Page, seq: int) -> Locator:
    """The button that opens the menu of a message."""
    return page.locator(f"#m-{seq} .message__actions")


def open_with_long_press(finger: Finger, page: Page, seq: int) -> None:
    """Open the menu of a message with a finger that rests on it."""
    finger.long_press(words_of(page, seq), menu_of(page))


def open_with_dots(finger: Finger, page: Page, seq: int) -> None:
    """Open the menu of a message with its button, which a tap on the message shows."""
    if not dots_of(page, seq).is_visible():
        finger.tap(words_of(page, seq))
    finger.tap(dots_of(page, seq))
    expect(menu_of(page)).to_be_visible()


OpenMenu = Callable[[Finger, Page, int], None]


class MenuByTouch:
    """Uses the menus of messages on a phone, and notes which of their items were chosen."""

    def __init__(self, page: Page, finger: Finger, open_menu: OpenMenu) -> None:
        self._page = page
        self._finger = finger
        self._open = open_menu
        self.chosen: set[str] = set()

    def open(self, seq: int) -> None:
        """Open the menu of a message."""
        self._open(self._finger, self._page, seq)

    def choose(self, seq: int, action: str) -> None:
        """Choose something from the menu of a message."""
        self.open(seq)
        self.chosen.add(action)
        self._finger.tap(menu_of(self._page).locator(f'[data-action="{action}"]').first)
        expect(menu_of(self._page)).to_be_hidden()

    def offered(self, seq: int) -> set[str]:
        """What the menu of a message offers."""
        self.open(seq)
        items = menu_of(self._page).get_by_role("menuitem").all()
        offered = {item.get_attribute("data-action") or "" for item in items}
        self._finger.tap_at(5, 5)
        expect(menu_of(self._page)).to_be_hidden()
        return offered


PHONES = pytest.mark.parametrize("phone", [PHONE, SMALL_PHONE], ids=["375x667", "320x568"])
WAYS = pytest.mark.parametrize(
    "open_menu", [open_with_long_press, open_with_dots], ids=["long press", "button"]
)


def send(finger: Finger, page: Page) -> None:
    """Touch the button that sends."""
    finger.tap(page.get_by_role("button", name="Send"))


def meet(visit: Visit, room: str, phone: dict[str, Any] = PHONE) -> tuple[Page, Page]:
    """Ada on a phone and Ben at a desk, each after a first message."""
    ada = is_called(visit(f"/{room}/", **phone), "Ada")
    ben = is_called(visit(f"/{room}/"), "Ben")
    field(ada).fill("from Ada")
    field(ada).press("Control+Enter")
    sees(ben, "from Ada")
    field(ben).fill("from Ben")
    field(ben).press("Enter")
    sees(ada, "from Ada", "from Ben")
    return ada, ben


@pytest.mark.parametrize("seq", [HIGH, LOW], ids=["above the menu", "under the menu"])
def test_the_menu_opens_under_a_long_press_and_stays_open_when_the_finger_lifts(
    server: ConfabServer, visit: Visit, room: str, seq: int
) -> None:
    fill_screen(server, room)
    ada = visit(f"/{room}/", **PHONE)
    finger = Finger(ada)
    expect(ada.locator(".message__actions").first).to_be_hidden()

    finger.long_press(words_of(ada, seq), menu_of(ada))

    expect(menu_of(ada)).to_be_visible()
    assert ada.evaluate(SMALL) == []
    expect(menu_of(ada)).to_contain_text(f"number {seq}")
    expect(ada.locator(".composer__mode")).to_be_hidden()  # the lifting finger has chosen nothing
    assert ada.locator("#toast").inner_text() == ""
    assert reactions(ada, seq) == []
    finger.tap(menu_of(ada).get_by_role("menuitem", name="Reply"))
    expect(ada.locator(".composer__mode")).to_contain_text(f"number {seq}")


@PHONES
@WAYS
def test_all_one_can_do_with_the_message_of_another_person_can_be_done_by_touch(
    visit: Visit, room: str, phone: dict[str, Any], open_menu: OpenMenu
) -> None:
    ada, ben = meet(visit, room, phone)
    ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    finger = Finger(ada)
    menu = MenuByTouch(ada, finger, open_menu)

    menu.choose(2, "react")
    expect(ben.locator("#m-2 .reaction")).to_have_text("👍 1")
    menu.open(2)
    finger.tap(menu_of(ada).get_by_role("menuitem", name="More emoji"))
    finger.tap(menu_of(ada).get_by_role("menuitem", name="🚀"))
    expect(ben.locator("#m-2 .reaction")).to_have_text(["👍 1", "🚀 1"])

    menu.choose(2, "reply")
    field(ada).press_sequentially("I agree")
    send(finger, ada)
    sees(ben, "from Ada", "from Ben", "I agree")
    expect(ben.locator("#m-5 .reply")).to_have_text("Ben from Ben")

    menu.choose(2, "mention")
    expect(field(ada)).to_have_value("@Ben ")
    field(ada).press_sequentially("hello")
    send(finger, ada)
    sees(ben, "from Ada", "from Ben", "I agree", "@Ben hello")

    menu.choose(2, "copy")
    expect(ada.locator("#toast")).to_have_text("Text copied")
    assert ada.evaluate("navigator.clipboard.readText()") == "from Ben"
    menu.choose(2, "link")
    ada.wait_for_function("navigator.clipboard.readText().then((text) => text.endsWith('#m-2'))")
    menu.choose(2, "report")
    expect(ada.locator("#report .dialog__message")).to_have_text("Ben: from Ben")
    assert ada.evaluate(SMALL) == []
    finger.tap(ada.locator("#report").get_by_role("button", name="Send report"))
    expect(ada.locator("#toast")).to_have_text("Thank you, the report has been sent.")
    offered = menu.offered(2)
    menu.choose(2, "ignore")
    expect(ada.locator("#m-2")).to_be_hidden()
    sees(ben, "from Ada", "from Ben", "I agree", "@Ben hello")
    assert offered - menu.chosen == {"all-emoji"}  # tried first


@PHONES
@WAYS
def test_one_can_edit_react_to_and_delete_an_own_message_by_touch(
    visit: Visit, room: str, phone: dict[str, Any], open_menu: OpenMenu
) -> None:
    ada, ben = meet(visit, room, phone)
    finger = Finger(ada)
    menu = MenuByTouch(ada, finger, open_menu)
    offered = menu.offered(1)

    menu.choose(1, "edit")
    expect(field(ada)).to_have_value("from Ada")
    field(ada).fill("from Ada, again")
    send(finger, ada)
    sees(ben, "from Ada, again", "from Ben")

    menu.choose(1, "react")
    expect(ben.locator("#m-1 .reaction")).to_have_text("👍 1")
    finger.tap(ada.locator("#m-1 .reaction"))
    expect(ben.locator("#m-1 .reaction")).to_have_count(0)

    menu.choose(1, "delete")
    finger.tap(ada.get_by_role("dialog").get_by_role("button", name="Cancel"))
    sees(ben, "from Ada, again", "from Ben")
    menu.choose(1, "delete")
    finger.tap(ada.get_by_role("button", name="Delete", exact=True))
    sees(ben, "Message deleted", "from Ben")
    assert offered - menu.chosen == {
        "reply",
        "copy",
        "link",
        "all-emoji",
    }  # as with those of others

    finger.press(words_of(ada, 1))
    ada.wait_for_timeout(NO_LONG_PRESS_MS)
    expect(menu_of(ada)).to_be_hidden()  # nothing can be done with a deleted message
    finger.lift()
    finger.tap(words_of(ada, 1))
    expect(dots_of(ada, 1)).to_be_hidden()


@PHONES
def test_a_tap_on_a_message_shows_its_time_and_the_button_of_its_menu(
    server: ConfabServer, visit: Visit, room: str, phone: dict[str, Any]
) -> None:
    fill_screen(server, room)
    ada = visit(f"/{room}/", **phone)
    finger = Finger(ada)
    for seq in (LOW - 1, LOW):  # both follow a message of the same person
        expect(dots_of(ada, seq)).to_be_hidden()

    finger.tap(words_of(ada, LOW))
    expect(dots_of(ada, LOW)).to_be_in_viewport(ratio=1)
    expect(ada.locator(f"#m-{LOW} .message__time")).to_be_in_viewport(ratio=1)
    assert ada.evaluate(SMALL) == []
    finger.tap(words_of(ada, LOW - 1))
    expect(dots_of(ada, LOW)).to_be_hidden()
    expect(dots_of(ada, LOW - 1)).to_be_in_viewport(ratio=1)
    finger.tap(words_of(ada, LOW - 1))
    expect(dots_of(ada, LOW - 1)).to_be_hidden()


def test_a_message_that_is_not_sent_yet_has_no_button_of_a_menu(visit: Visit, room: str) -> None:
    ada = visit(f"/{room}/", **PHONE)
    ada.route("**/socket.io/**", lambda _: None)
    ada.route_web_socket(re.compile("/socket.io/"), lambda _: None)
    ada.reload()
    ada.evaluate(WHOLE)
    field(is_called(ada, "Ada")).fill("hello")
    finger = Finger(ada)
    send(finger, ada)
    message = ada.locator('.message[data-state="pending"]')

    finger.tap(message.locator(".message__text"))
    expect(message).to_have_attribute("data-tapped", "")
    expect(message.locator(".message__actions")).to_be_hidden()


def test_a_tap_elsewhere_hides_the_button_of_a_message(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill_screen(server, room)
    ada = visit(f"/{room}/", **PHONE)
    finger = Finger(ada)

    rename = ada.get_by_role("button", name="Rename room")
    for elsewhere in (field(ada), ada.locator(".day-divider__text"), rename):
        finger.tap(words_of(ada, LOW))
        expect(dots_of(ada, LOW)).to_be_visible()
        finger.tap(elsewhere)
        expect(dots_of(ada, LOW)).to_be_hidden()


def test_links_reactions_and_quotes_in_a_message_keep_their_own_tap(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, f"see {server.url}/elsewhere/")
        assert ben.ask("chat", {"handle": "Ben", "message": "again", "reply_to": 1})["ok"]
        assert ben.ask("react", {"seq": 1, "emoji": "👍", "on": True})["ok"]
    ada = visit(f"/{room}/", **PHONE)
    finger = Finger(ada)

    finger.tap(ada.locator("#m-1 .reaction"))
    expect(ada.locator("#m-1 .reaction")).to_have_text("👍 2")
    expect(dots_of(ada, 1)).to_be_hidden()
    finger.tap(ada.locator("#m-2 .reply"))
    expect(ada.locator("#m-1")).to_have_attribute("data-highlighted", "")
    expect(dots_of(ada, 2)).to_be_hidden()
    with ada.expect_popup() as popup:
        finger.tap(ada.locator("#m-1 .link"))
    expect(popup.value).to_have_url(f"{server.url}/elsewhere/")
    popup.value.close()
    expect(dots_of(ada, 1)).to_be_hidden()
    finger.tap(words_of(ada, 2))
    finger.tap(ada.locator("#m-2 .reply"))
    expect(dots_of(ada, 2)).to_be_visible()  # it belongs to the same message


def test_a_click_of_a_mouse_does_not_show_the_button_as_a_tap_does(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill_screen(server, room)
    ada = visit(f"/{room}/", viewport={"width": 1280, "height": 800})

    words_of(ada, LOW).click()

    expect(ada.locator(f"#m-{LOW}")).not_to_have_attribute("data-tapped", "")


def test_a_finger_that_scrolls_opens_no_menu(server: ConfabServer, visit: Visit, room: str) -> None:
    fill(server, room, 40)
    ada = visit(f"/{room}/", **PHONE)
    finger = Finger(ada)

    finger.press(words_of(ada, 36))
    finger.move(120)
    ada.wait_for_timeout(NO_LONG_PRESS_MS)
    expect(menu_of(ada)).to_be_hidden()
    assert ada.locator("#log").evaluate("(log) => log.scrollTop") < 0
    finger.lift()

    expect(menu_of(ada)).to_be_hidden()


def test_a_message_that_arrives_meanwhile_does_not_end_a_long_press(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 40)
    ada = visit(f"/{room}/", **PHONE)
    finger = Finger(ada)
    finger.press(words_of(ada, 36))
    finger.move(120)
    finger.lift()

    with somebody(server, room) as ben:
        finger.press(words_of(ada, 35))
        post(ben, "meanwhile")
        expect(ada.locator("#m-41")).to_be_attached()
        expect(menu_of(ada)).to_contain_text("number 35")
        finger.lift()

    expect(menu_of(ada)).to_be_visible()


def test_a_message_that_is_edited_under_the_finger_keeps_its_menu_open(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill_screen(server, room)
    with somebody(server, room) as ben:
        seq = post(ben, "some **bold** words")
        ada = visit(f"/{room}/", **PHONE)
        finger = Finger(ada)

        finger.press(ada.locator(f"#m-{seq} strong"))
        expect(menu_of(ada)).to_be_visible()
        assert ben.ask("edit", {"seq": seq, "message": "some *other* words"})["ok"]
        expect(words_of(ada, seq)).to_have_text("some other words")
        finger.lift()

    expect(menu_of(ada)).to_be_visible()
    expect(ada.locator(".composer__mode")).to_be_hidden()


def test_a_short_touch_and_two_fingers_open_no_menu(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill_screen(server, room)
    ada = visit(f"/{room}/", **PHONE)
    finger = Finger(ada)

    finger.tap(words_of(ada, HIGH))
    ada.wait_for_timeout(NO_LONG_PRESS_MS)
    expect(menu_of(ada)).to_be_hidden()
    finger.press(words_of(ada, HIGH))
    finger.press_beside(60)
    ada.wait_for_timeout(NO_LONG_PRESS_MS)
    expect(menu_of(ada)).to_be_hidden()
    finger.lift()
    finger.long_press(words_of(ada, HIGH), menu_of(ada))

    expect(menu_of(ada)).to_be_visible()


def test_a_touch_beside_the_menu_closes_it_and_does_nothing_else(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill_screen(server, room)
    ada = visit(f"/{room}/", **PHONE)
    finger = Finger(ada)
    x, y, _ = words_of(ada, HIGH + 1).evaluate(MIDDLE)
    for _ in range(2):
        finger.long_press(words_of(ada, HIGH), menu_of(ada))

        finger.tap_at(x, y)

        expect(menu_of(ada)).to_be_hidden()
        expect(dots_of(ada, HIGH + 1)).to_be_hidden()
    finger.long_press(words_of(ada, HIGH + 1), menu_of(ada))
    expect(menu_of(ada)).to_contain_text(f"number {HIGH + 1}")
    finger.tap(menu_of(ada).get_by_role("menuitem", name="Reply"))
    expect(ada.locator(".composer__mode")).to_contain_text(f"number {HIGH + 1}")


def test_a_touch_between_the_items_of_the_menu_does_not_close_it(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill_screen(server, room)
    ada = visit(f"/{room}/", **PHONE)
    finger = Finger(ada)
    finger.long_press(words_of(ada, HIGH), menu_of(ada))
    box = menu_of(ada).bounding_box()
    assert box

    finger.tap_at(box["x"] + box["width"] / 2, box["y"] + 3)
    finger.tap(menu_of(ada).locator(".menu__title"))

    expect(menu_of(ada)).to_be_visible()


def test_a_long_press_on_a_link_is_left_to_the_browser(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, f"see {server.url}/elsewhere/")
        assert ben.ask("chat", {"handle": "Ben", "message": "again", "reply_to": 1})["ok"]
    ada = visit(f"/{room}/", **PHONE)
    finger = Finger(ada)

    for link in ("#m-1 .link", "#m-1 .message__link", "#m-2 .reply"):
        finger.press(ada.locator(link))
        ada.wait_for_timeout(NO_LONG_PRESS_MS)
        expect(menu_of(ada)).to_be_hidden()
        finger.move(20)  # so that lifting the finger does not follow the link
        finger.lift()
    finger.long_press(ada.locator("#m-1 .message__name"), menu_of(ada))

    expect(menu_of(ada)).to_be_visible()


def test_a_long_press_on_a_reaction_opens_the_menu_and_does_not_react(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello")
        assert ben.ask("react", {"seq": 1, "emoji": "👍", "on": True})["ok"]
    ada = visit(f"/{room}/", **PHONE)
    finger = Finger(ada)

    finger.long_press(ada.locator("#m-1 .reaction"), menu_of(ada))

    expect(menu_of(ada)).to_be_visible()
    expect(ada.locator("#m-1 .reaction")).to_have_attribute("aria-pressed", "false")
    finger.tap(menu_of(ada).get_by_role("menuitem", name="👍"))
    expect(ada.locator("#m-1 .reaction")).to_have_text("👍 2")


def test_the_panel_of_people_is_used_by_touch(visit: Visit, room: str) -> None:
    ada, _ = meet(visit, room)
    finger = Finger(ada)
    panel = ada.locator("#people")

    finger.tap(ada.locator("#people-button"))
    ben = panel.locator(".person", has_text="Ben")
    finger.tap(ben.get_by_role("button", name="Actions for Ben"))
    finger.tap(ada.get_by_role("menuitem", name="Ignore this person"))
    expect(ada.locator("#m-2")).to_be_hidden()
    expect(panel).to_be_hidden()
    finger.tap(ada.locator("#people-button"))
    finger.tap(ben.get_by_role("button", name="Actions for Ben"))
    finger.tap(ada.get_by_role("menuitem", name="Stop ignoring"))
    finger.press(ben.locator(".person__mention"))
    ada.wait_for_timeout(NO_LONG_PRESS_MS)
    expect(panel).to_be_visible()
    finger.lift()

    expect(panel).to_be_hidden()
    expect(field(ada)).to_have_value("@Ben ")
    expect(field(ada)).to_be_focused()
    field(ada).press_sequentially("hello")
    send(finger, ada)
    expect(field(ada)).to_be_focused()  # the keyboard stays where it is
    sees(ada, "from Ada", "from Ben", "@Ben hello")


def test_a_name_is_chosen_by_touch_and_the_message_sent(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada, names = typing_with_ta_and_tam(server, visit, room, **PHONE)
    finger = Finger(ada)

    field(ada).press_sequentially("thanks @t")
    finger.press(names.nth(1))
    ada.wait_for_timeout(NO_LONG_PRESS_MS)
    finger.lift()
    expect(field(ada)).to_have_value("thanks @Tam ")
    expect(names).to_have_count(0)
    expect(field(ada)).to_be_focused()
    field(ada).press_sequentially("and @t")
    finger.tap(names.nth(0))
    expect(field(ada)).to_have_value("thanks @Tam and @Ta ")
    send(finger, ada)

    sees(ada, "hello", "hello", "thanks @Tam and @Ta")


def test_a_mouse_opens_the_menu_by_its_button_and_has_the_context_menu_of_the_browser(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill_screen(server, room)
    ada = visit(f"/{room}/")
    ada.evaluate(WATCH_CONTEXT_MENUS)

    words_of(ada, 3).click(button="right")
    words_of(ada, 3).click(delay=NO_LONG_PRESS_MS)
    expect(menu_of(ada)).to_be_hidden()
    assert ada.evaluate("contextMenus") == [False]
    ada.locator("#m-3").hover()
    ada.locator("#m-3 .message__actions").click()
    expect(menu_of(ada)).to_be_visible()
    ada.mouse.click(5, 400)
    expect(menu_of(ada)).to_be_hidden()
