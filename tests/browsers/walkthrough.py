"""The walkthrough: thirty steps of Ada through a room, with Ben in a browser of another engine.

A step begins with both pages open, and leaves them so. It does not depend on other steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from tests.browser.test_reading import READ_BACK, fill
from tests.browsers.interface import Browser, by_css, by_role
from tests.browsers.room_page import (
    COMPOSER,
    MENU,
    NAME,
    SEND,
    RoomPage,
    menu_button,
    menu_entry,
    text_of,
)
from tests.servers import ConfabServer, wait_until

OUTAGE_SECONDS = 30.0  # until the page is connected again
LONG_PRESS_SECONDS = 2.0  # the page opens the menu after half a second
WIDER_THAN_A_PHONE = 60  # letters
HISTORY = 250
PAGE = 50  # messages that are loaded at once
DESKTOP = (1280, 800)
TABLET = (900, 800)  # too narrow for the list of people beside the messages
PHONE = (375, 667)
BESIDE_EVERYTHING = (5, 400)
DARK = 60  # at most the lightness, of 255, of a dark color

LIGHTNESS = """
() => {
  const probe = new OffscreenCanvas(1, 1).getContext("2d")
  probe.fillStyle = getComputedStyle(document.documentElement).backgroundColor
  probe.fillRect(0, 0, 1, 1)
  return Math.max(...probe.getImageData(0, 0, 1, 1).data.slice(0, 3))
}
"""
TYPING = "() => document.querySelector('#typing').innerText.trim()"
IS_OUTAGE_SHOWN = "() => document.querySelector('#connection').dataset.state !== 'hidden'"
IS_AT_END = "() => document.querySelector('#log').scrollTop > -2"
IS_SCROLLED_SIDEWAYS = "() => document.documentElement.scrollWidth > innerWidth"


@dataclass
class Walk:
    """Ada's page in the browser that is tested, and Ben's in another one."""

    server: ConfabServer
    ada: RoomPage
    ben: RoomPage

    @classmethod
    def begin(cls, server: ConfabServer, browser: Browser, partner: Browser) -> "Walk":
        """Open a new room in both browsers."""
        url = f"{server.url}/{new_label(server)}/"
        walk = cls(server, RoomPage(browser, url, "Ada"), RoomPage(partner, url, "Ben"))
        walk.open_pages()
        return walk

    def open_pages(self) -> None:
        """Open both pages in the size of a desktop."""
        for page in (self.ada, self.ben):
            page.browser.resize(*DESKTOP)
            page.enter_without_memory()


Step = Callable[[Walk], None]


def new_label(server: ConfabServer) -> str:
    """Create a room; return its label."""
    return server.room(f"walk-{uuid4().hex[:12]}")


def open_a_room(walk: Walk) -> None:
    ada = RoomPage(walk.ada.browser, f"{walk.server.url}/{new_label(walk.server)}/", "Ada")
    ada.enter()
    ada.browser.wait_until_shown(by_role("log", "Messages"), COMPOSER)
    ada.wait_for_focus("#composer-text")
    ada.browser.type("I can type at once")
    ada.wait_for_draft("I can type at once")
    ada.browser.press("Control+a")
    ada.browser.press("Delete")
    walk.ada.enter()


def choose_a_name(walk: Walk) -> None:
    ada = walk.ada
    ada.browser.evaluate("() => localStorage.removeItem('confab:name')")
    ada.browser.reload()
    ada.wait_until_loaded()
    ada.browser.fill(NAME, "Ada Lovelace")
    seq = ada.send("Under my own name")
    walk.ben.wait_for_text(f"#m-{seq}", "Ada Lovelace")
    ada.enter()


def send_a_message(walk: Walk) -> None:
    seq = walk.ada.send("Hello from Ada")
    walk.ada.wait_for_draft("")
    assert walk.ben.seq_of("Hello from Ada") == seq
    walk.ada.write("With the button")
    walk.ada.browser.click(SEND)
    walk.ben.seq_of("With the button")


def receive_from_another_engine(walk: Walk) -> None:
    sent = [walk.ben.send(f"Number {number} from Ben") for number in (1, 2, 3)]
    assert walk.ada.seq_of("Number 3 from Ben") == sent[-1]
    expected = [f"Number {number} from Ben" for number in (1, 2, 3)]
    assert walk.ada.texts()[-3:] == expected


def see_who_is_typing(walk: Walk) -> None:
    def does_ada_see_it() -> bool:
        walk.ben.browser.type(".")  # the page reports this at most once in a few seconds
        return "Ben is typing" in walk.ada.browser.evaluate(TYPING)

    walk.ben.write("Wait")
    wait_until(does_ada_see_it, 15, "Ada sees that Ben is typing")
    text = walk.ben.draft()
    walk.ben.browser.press("Enter")
    walk.ada.seq_of(text)
    walk.ada.browser.wait_for(f"() => ({TYPING})() === ''", what="nobody is typing")


def edit_a_message(walk: Walk) -> None:
    seq = walk.ada.send("With a tpyo")
    walk.ada.browser.press("ArrowUp")
    walk.ada.wait_for_draft("With a tpyo")
    for _ in "tpyo":
        walk.ada.browser.press("Backspace")
    walk.ada.browser.type("typo")
    walk.ada.browser.press("Enter")
    assert walk.ben.seq_of("With a typo") == seq
    walk.ada.wait_for_draft("")


def delete_a_message(walk: Walk) -> None:
    seq = walk.ada.send("To be deleted")
    walk.ada.choose(seq, "delete")
    walk.ada.browser.click(by_role("button", "Delete", within="#delete"))
    walk.ben.wait_for_text(f"#m-{seq}", "Message deleted")
    assert "To be deleted" not in walk.ben.texts()


def react(walk: Walk) -> None:
    seq = walk.ben.send("Who likes this?")
    walk.ada.seq_of("Who likes this?")
    walk.ada.choose(seq, "react")
    walk.ben.wait_for_text(f"#m-{seq} .reaction", "1")
    walk.ben.browser.click(by_css(f"#m-{seq} .reaction"))
    walk.ada.wait_for_text(f"#m-{seq} .reaction", "2")
    walk.ada.browser.click(by_css(f"#m-{seq} .reaction"))
    walk.ben.wait_for_text(f"#m-{seq} .reaction", "1")


def reply(walk: Walk) -> None:
    original = walk.ben.send("A question")
    walk.ada.seq_of("A question")
    walk.ada.choose(original, "reply")
    walk.ada.wait_for_text(".composer__mode", "A question")
    seq = walk.ada.send("An answer")
    walk.ben.wait_for_text(f"#m-{seq} .reply", "A question")
    walk.ben.browser.click(by_css(f"#m-{seq} .reply"))
    walk.ben.wait_for_focus(f"#m-{original}")


def use_the_message_menu(walk: Walk) -> None:
    seq = walk.ben.send("A message with a menu")
    walk.ada.seq_of("A message with a menu")
    walk.ada.open_menu(seq)
    actions = ("react", "reply", "mention", "copy", "link")
    walk.ada.browser.wait_until_shown(*map(menu_entry, actions))
    assert walk.ada.browser.count(menu_entry("edit")) == 0
    assert walk.ada.browser.count(menu_entry("delete")) == 0
    walk.ada.browser.press("Escape")
    walk.ada.browser.wait_until_hidden(MENU)
    walk.ada.open_menu(seq)
    walk.ada.browser.click_at(*BESIDE_EVERYTHING)
    walk.ada.browser.wait_until_hidden(MENU)


def use_the_menu_by_touch(walk: Walk) -> None:
    seq = walk.ben.send("A message under a finger")
    walk.ada.seq_of("A message under a finger")
    if walk.ada.browser.has_touch_screen:
        walk.ada.browser.touch(text_of(seq), LONG_PRESS_SECONDS)
    else:
        walk.ada.browser.touch(menu_button(seq))
    walk.ada.browser.wait_until_shown(MENU)
    walk.ada.browser.touch(menu_entry("reply"))
    walk.ada.browser.wait_until_hidden(MENU)
    walk.ada.wait_for_text(".composer__mode", "A message under a finger")
    walk.ada.browser.touch(by_css(".composer__cancel"))
    walk.ada.browser.wait_until_hidden(by_css(".composer__mode"))


def share_the_room(walk: Walk) -> None:
    browser = walk.ada.browser
    browser.click(by_role("button", "Room menu"))
    browser.wait_until_shown(by_role("dialog", within="html"), by_css("#room-menu"))
    browser.wait_for("() => document.querySelector('#room-menu img').naturalWidth > 0")
    walk.ada.wait_for_text("#room-menu [data-link]", walk.ada.url)
    can_share = browser.evaluate("() => 'share' in navigator")
    assert browser.count(by_css("#share")) == (1 if can_share else 0)
    browser.press("Escape")
    browser.wait_until_hidden(by_css("#room-menu"))
    walk.ada.wait_for_focus("[data-opens='room-menu']")


def copy_the_link(walk: Walk) -> None:
    walk.ada.browser.click(by_css(".header [data-copy-link]"))
    walk.ada.wait_for_text(".header [data-copy-link]", "Copied")
    walk.ada.browser.click(COMPOSER)
    walk.ada.browser.press("Control+v")
    walk.ada.wait_for_draft(walk.ada.url)
    walk.ada.browser.press("Control+a")
    walk.ada.browser.press("Delete")


def mention_somebody_in_the_list_of_people(walk: Walk) -> None:
    browser = walk.ada.browser
    walk.ben.send("I am here")
    walk.ada.seq_of("I am here")
    walk.ada.send("So am I")
    browser.resize(*TABLET)
    browser.click(by_css("#people-button"))
    browser.wait_until_shown(by_css("#people"))
    walk.ada.wait_for_text("#people", "Ada")
    browser.click(by_css("#people .person__mention[data-name='Ben']"))
    walk.ada.wait_for_draft("@Ben ")
    browser.wait_until_hidden(by_css("#people"))
    browser.resize(*DESKTOP)
    browser.type("hello")  # the focus is in the composer
    browser.press("Enter")
    walk.ben.seq_of("@Ben hello")


def complete_a_mention(walk: Walk) -> None:
    walk.ben.send("Mention me")
    walk.ada.seq_of("Mention me")
    walk.ada.write("Thanks @b")
    walk.ada.browser.wait_until_shown(by_role("option", "Ben"))
    walk.ada.browser.press("Enter")
    walk.ada.wait_for_draft("Thanks @Ben ")
    walk.ada.browser.type("and @b")
    walk.ada.browser.click(by_role("option", "Ben"))
    walk.ada.wait_for_draft("Thanks @Ben and @Ben ")
    walk.ada.browser.press("Enter")
    walk.ben.seq_of("Thanks @Ben and @Ben")


def send_a_code_block(walk: Walk) -> None:
    lines = ("```", "if ready:", "    start()", "```")
    walk.ada.browser.click(COMPOSER)
    for line in lines:
        walk.ada.browser.type(line)
        if line is not lines[-1] or line != "```":
            walk.ada.browser.press("Shift+Enter")
    walk.ada.browser.press("Enter")
    is_code = "(text) => [...document.querySelectorAll('#messages pre')].at(-1)?.innerText === text"
    walk.ben.browser.wait_for(is_code, "if ready:\n    start()", what="Ben sees the code")


def send_a_link(walk: Walk) -> None:
    text = f"See {walk.server.url}/elsewhere/?a=1&b=2."
    seq = walk.ada.send(text)
    walk.ben.seq_of(text)
    link = walk.ben.browser.evaluate(
        "(css) => { const { href, rel } = document.querySelector(css); return [href, rel] }",
        f"#m-{seq} .message__text a",
    )
    assert link[0] == f"{walk.server.url}/elsewhere/?a=1&b=2"
    assert "noopener" in link[1]


def open_a_link_to_a_message(walk: Walk) -> None:
    label = new_label(walk.server)
    fill(walk.server, label, HISTORY)
    ada = RoomPage(walk.ada.browser, f"{walk.server.url}/{label}/", "Ada")
    ada.enter("#m-30")
    ada.wait_for_focus("#m-30")
    is_visible = """
    () => {
      const { top, bottom } = document.querySelector("#m-30").getBoundingClientRect()
      return top >= 0 && bottom <= innerHeight
    }
    """
    ada.browser.wait_for(is_visible, what="the message is in the window")
    walk.ada.enter()


def scroll_back(walk: Walk) -> None:
    label = new_label(walk.server)
    fill(walk.server, label, HISTORY)
    ada = RoomPage(walk.ada.browser, f"{walk.server.url}/{label}/", "Ada")
    ada.enter()
    oldest = HISTORY - PAGE + 1
    while oldest > 1:
        moved, _, oldest = ada.browser.evaluate(READ_BACK)
        assert moved <= 2, f"the messages moved {moved} px when those before {oldest} were loaded"
    walk.ada.enter()


def jump_to_the_latest_message(walk: Walk) -> None:
    label = new_label(walk.server)
    fill(walk.server, label, HISTORY)
    ada = RoomPage(walk.ada.browser, f"{walk.server.url}/{label}/", "Ada")
    ada.enter("#m-30")
    ada.browser.click(by_css("#latest"))
    ada.browser.wait_until_shown(by_css(f"#m-{HISTORY}"))
    ada.browser.wait_for(IS_AT_END, what="the end of the list is shown")
    ada.browser.wait_until_hidden(by_css("#latest"))
    walk.ada.enter()


def see_the_unread_line(walk: Walk) -> None:
    last = walk.ada.send("The last one that I read")
    walk.ada.browser.open(walk.server.url)
    unread = walk.ben.send("While you were away")
    walk.ada.browser.open(walk.ada.url)
    walk.ada.wait_until_loaded()
    assert unread > last
    walk.ada.browser.wait_until_shown(by_css(f"#m-{unread} .unread-divider"))


def rename_the_room(walk: Walk) -> None:
    walk.ada.browser.click(by_role("button", "Rename room"))
    walk.ada.browser.fill(by_role("textbox", "Room name"), "Saturday walk")
    walk.ada.browser.press("Enter")
    walk.ben.wait_for_text(".header h1", "Saturday walk")
    walk.ben.browser.wait_for("() => document.title.includes('Saturday walk')")


def choose_the_dark_theme(walk: Walk) -> None:
    browser = walk.ada.browser
    assert browser.evaluate(LIGHTNESS) > DARK
    browser.click(by_role("button", "Room menu"))
    browser.click(by_css("#theme label:has([value='dark'])"))
    browser.press("Escape")
    browser.wait_for(f"() => ({LIGHTNESS})() <= {DARK}", what="the page is dark")
    browser.reload()
    walk.ada.wait_until_loaded()
    assert browser.evaluate(LIGHTNESS) <= DARK
    browser.click(by_role("button", "Room menu"))
    browser.click(by_css("#theme label:has([value='system'])"))
    browser.press("Escape")
    browser.wait_for(f"() => ({LIGHTNESS})() > {DARK}", what="the page is light again")


def use_a_narrow_screen(walk: Walk) -> None:
    browser = walk.ada.browser
    browser.resize(*PHONE)
    browser.wait_for(f"() => !({IS_SCROLLED_SIDEWAYS})()", what="nothing is wider than the screen")
    walk.ben.send("w" * WIDER_THAN_A_PHONE)
    browser.wait_for(f"() => !({IS_SCROLLED_SIDEWAYS})()", what="nothing is wider than the screen")
    browser.touch(COMPOSER)
    browser.type("From a phone")
    browser.touch(SEND)
    walk.ben.seq_of("From a phone")
    browser.touch(by_css("#people-button"))
    browser.wait_until_shown(by_css("#people"))
    browser.touch(by_role("button", "Close", within="#people"))
    browser.wait_until_hidden(by_css("#people"))
    browser.resize(*DESKTOP)


def use_only_the_keyboard(walk: Walk) -> None:
    browser = walk.ada.browser
    seq = walk.ben.send("Answer me with the keyboard")
    walk.ada.seq_of("Answer me with the keyboard")
    walk.ada.enter()
    browser.press("Shift+F6")
    walk.ada.wait_for_focus("#log")
    browser.press("End")
    walk.ada.wait_for_focus(f"#m-{seq}")
    browser.press("Enter")
    browser.wait_until_shown(MENU)
    walk.ada.wait_for_focus("#menu")
    browser.press("Escape")
    browser.wait_until_hidden(MENU)
    walk.ada.wait_for_focus(f"#m-{seq}")
    browser.press("r")
    walk.ada.wait_for_focus("#composer-text")
    browser.type("With the keyboard")
    browser.press("Control+Enter")
    answer = walk.ben.seq_of("With the keyboard")
    walk.ben.wait_for_text(f"#m-{answer} .reply", "Answer me with the keyboard")


def keep_a_draft_across_a_reload(walk: Walk) -> None:
    walk.ada.write("Half a sentence")
    walk.ada.browser.reload()
    walk.ada.wait_until_loaded()
    walk.ada.wait_for_draft("Half a sentence")
    walk.ada.browser.click(COMPOSER)
    walk.ada.browser.press("Enter")
    walk.ben.seq_of("Half a sentence")
    walk.ada.browser.reload()
    walk.ada.wait_until_loaded()
    assert walk.ada.draft() == ""


def use_a_second_tab(walk: Walk) -> None:
    browser = walk.ada.browser
    browser.open_tab()
    try:
        browser.open(walk.ada.url)
        walk.ada.wait_until_loaded()
        walk.ada.send("From the second tab")
    finally:
        browser.close_tab()
    walk.ada.seq_of("From the second tab")
    walk.ada.send("From the first tab")
    walk.ben.seq_of("From the first tab")
    own = "(css) => document.querySelector(css).dataset.side"
    seq = walk.ada.seq_of("From the second tab")
    assert browser.evaluate(own, f"#m-{seq}") == "own"


def send_during_an_outage(walk: Walk) -> None:
    walk.ada.send("Before the outage")
    walk.server.kill()
    try:
        walk.ada.write("During the outage")
        walk.ada.browser.press("Enter")
        is_pending = "() => document.querySelectorAll('.message[data-state=pending]').length === 1"
        walk.ada.browser.wait_for(is_pending, what="the message waits")
        walk.ada.browser.wait_for(IS_OUTAGE_SHOWN, what="the page shows that it is not connected")
    finally:
        walk.server.start()
    none = "() => document.querySelector('.message[data-state=pending]') === null"
    walk.ada.browser.wait_for(none, seconds=OUTAGE_SECONDS, what="the message is sent")
    is_connected = "() => document.querySelector('#room').dataset.joined === 'true'"
    walk.ben.browser.wait_for(is_connected, seconds=OUTAGE_SECONDS, what="Ben is back")
    walk.ben.seq_of("During the outage")
    assert walk.ben.texts().count("During the outage") == 1


def begin_on_the_front_page(walk: Walk) -> None:
    browser = walk.ada.browser
    browser.open(walk.server.url)
    browser.click(by_role("button", "New room"))
    browser.wait_for("() => location.pathname !== '/' && document.querySelector('#room') !== null")
    room = RoomPage(browser, str(browser.evaluate("() => location.href")), "Ada")
    room.wait_until_loaded()
    room.send("First")
    browser.click(by_role("link", "Confab home page"))
    browser.click(by_css(f".recent-room a[href='/{room.url.rstrip('/').rpartition('/')[2]}/']"))
    room.wait_until_loaded()
    room.seq_of("First")
    walk.ada.enter()


def forget_me(walk: Walk) -> None:
    browser = walk.ada.browser
    seq = walk.ada.send("I was here")
    browser.click(by_role("button", "Room menu"))
    browser.click(by_css("[data-opens='forget']"))
    browser.click(by_role("button", "Forget me", within="#forget"))
    browser.wait_for("() => location.pathname === '/'", what="the home page is shown")
    assert browser.evaluate("() => localStorage.getItem('confab:name')") is None
    browser.open(walk.ada.url)
    walk.ada.wait_until_loaded()
    browser.wait_until_shown(NAME)
    side = "(css) => document.querySelector(css).dataset.side"
    assert browser.evaluate(side, f"#m-{seq}") == "other"
    walk.ada.enter()


STEPS: tuple[Step, ...] = (
    open_a_room,
    choose_a_name,
    send_a_message,
    receive_from_another_engine,
    see_who_is_typing,
    edit_a_message,
    delete_a_message,
    react,
    reply,
    use_the_message_menu,
    use_the_menu_by_touch,
    share_the_room,
    copy_the_link,
    mention_somebody_in_the_list_of_people,
    complete_a_mention,
    send_a_code_block,
    send_a_link,
    open_a_link_to_a_message,
    scroll_back,
    jump_to_the_latest_message,
    see_the_unread_line,
    rename_the_room,
    choose_the_dark_theme,
    use_a_narrow_screen,
    use_only_the_keyboard,
    keep_a_draft_across_a_reload,
    use_a_second_tab,
    send_during_an_outage,
    begin_on_the_front_page,
    forget_me,
)
# The steps that `make test` takes: those in which the engines differ most.
SHORT_STEPS: tuple[Step, ...] = (
    send_a_message,
    receive_from_another_engine,
    edit_a_message,
    react,
    reply,
    use_the_menu_by_touch,
    scroll_back,
    use_a_narrow_screen,
    keep_a_draft_across_a_reload,
    send_during_an_outage,
)
# These cut the connection, which browsers report.
STEPS_WITH_ERRORS: frozenset[Step] = frozenset({send_during_an_outage})
