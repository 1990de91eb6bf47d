"""What a person does on the page of a room, and sees there, in any browser."""

from tests.browsers.interface import Browser, Target, by_css, by_role

COMPOSER = by_role("textbox", "Message")
NAME = by_role("textbox", "Your name")
SEND = by_role("button", "Send")
MENU = by_css("#menu")
EVERYTHING_IS_LOADED = """
() => document.querySelector("#room")?.dataset.joined === "true" &&
  document.querySelector("#connection").dataset.state === "hidden" &&
  import(document.querySelector("script[data-entry]").dataset.entry)
    .then(({ secondary }) => secondary)
    .then(() => true)
"""
IS_ON_SAME_SERVER = "(url) => location.origin === new URL(url).origin"
REMEMBER_NAME = "(name) => localStorage.setItem('confab:name', JSON.stringify(name))"
# The seq of the message with a text, when it has been stored; a new one is followed by nothing.
SEQ_OF = """
(text) => {
  const texts = [...document.querySelectorAll("#messages .message__text")]
  const found = texts.findLast((each) => each.innerText.trim() === text)?.closest(".message")
  return found?.dataset.state === "pending" ? 0 : Number(found?.dataset.seq ?? 0)
}
"""
TEXTS = """
() => [...document.querySelectorAll("#messages .message__text")].map((text) => text.innerText)
"""
IS_FOCUSED = "(css) => document.activeElement?.closest(css) !== null"


class RoomPage:
    """The page of a room in somebody's browser."""

    def __init__(self, browser: Browser, url: str, person: str) -> None:
        self.browser = browser
        self.url = url
        self.person = person

    def enter(self, fragment: str = "") -> None:
        """Open the room as a person whose name the browser knows."""
        if not self.browser.evaluate(IS_ON_SAME_SERVER, self.url):
            self.browser.open(self.url)
        self.browser.evaluate(REMEMBER_NAME, self.person)
        self.browser.open(self.url + fragment)
        self.wait_until_loaded()

    def enter_without_memory(self) -> None:
        """The same in a browser that has forgotten everything but who it is."""
        self.browser.open(self.url)
        self.browser.evaluate("() => localStorage.clear()")
        self.browser.open("about:blank")
        self.enter()

    def wait_until_loaded(self) -> None:
        """Wait until the page has joined its room and all scripts run."""
        self.browser.wait_for(EVERYTHING_IS_LOADED, what="the page is loaded and has joined")

    def write(self, text: str) -> None:
        """Type into the composer."""
        self.browser.click(COMPOSER)
        self.browser.type(text)

    def send(self, text: str) -> int:
        """Type a message and send it with Enter; return its seq, once it has been stored."""
        self.write(text)
        self.browser.press("Enter")
        return self.seq_of(text)

    def seq_of(self, text: str) -> int:
        """Wait until a stored message with a text is shown; return its seq."""
        return int(self.browser.wait_for(SEQ_OF, text, what=f"the message {text!r} is shown"))

    def texts(self) -> list[str]:
        """Return the texts of all messages that are loaded."""
        return [str(text) for text in self.browser.evaluate(TEXTS)]

    def draft(self) -> str:
        """Return the text in the composer."""
        return str(self.browser.evaluate("() => document.querySelector('#composer-text').value"))

    def wait_for_draft(self, text: str) -> None:
        """Wait until the composer contains exactly a text."""
        is_there = "(text) => document.querySelector('#composer-text').value === text"
        self.browser.wait_for(is_there, text, what=f"the composer contains {text!r}")

    def wait_for_text(self, css: str, text: str, seconds: float = 15.0) -> None:
        """Wait until an element contains a text."""
        contains = "(css, text) => document.querySelector(css)?.innerText.includes(text)"
        self.browser.wait_for(contains, css, text, seconds=seconds, what=f"{css} shows {text!r}")

    def wait_for_focus(self, css: str) -> None:
        """Wait until the focus is in an element."""
        self.browser.wait_for(IS_FOCUSED, css, what=f"the focus is in {css}")

    def open_menu(self, seq: int) -> None:
        """Open the menu of a message with the mouse."""
        self.browser.point_at(text_of(seq))
        self.browser.click(menu_button(seq))
        self.browser.wait_until_shown(MENU)

    def choose(self, seq: int, action: str) -> None:
        """Choose an entry of the menu of a message with the mouse."""
        self.open_menu(seq)
        self.browser.click(menu_entry(action))


def menu_button(seq: int) -> Target:
    """Return the button that opens the menu of a message."""
    return by_css(f'#m-{seq} [data-action="menu"]')


def menu_entry(action: str) -> Target:
    """Return an entry of the open menu of a message."""
    return by_css(f'#menu [data-action="{action}"]')


def text_of(seq: int) -> Target:
    """Return the text of a message."""
    return by_css(f"#m-{seq} .message__text")
