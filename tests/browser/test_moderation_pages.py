"""The pages of hosts and moderators in Chromium without JavaScript.

Hana is the host; Ben and Cy are in her room. axe is a script, so the pages that it checks are
opened in a browser with JavaScript.
"""

import re
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.browser.conftest import DEFAULT_SETTINGS, PAGE_TIMEOUT_MS
from tests.browser.test_reading import violations
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]

SMALLEST: ViewportSize = {"width": 320, "height": 568}
Theme: TypeAlias = Literal["light", "dark"]
MIN_TARGET_PX = 44
SMALL_TARGETS = f"""(controls) => controls
  .filter((each) => each.checkVisibility() && !each.closest("p:not([class]), dd, li:not([class])"))
  .map((each) => [each.outerHTML.slice(0, 100), (each.closest("label") ?? each)])
  .filter(([, each]) => each.getBoundingClientRect().height < {MIN_TARGET_PX})
  .map(([html]) => html)"""
TARGETS = "main button, main select, main input:not([type=hidden]), main a.button"

OpenBrowser = Callable[[], Page]


@pytest.fixture
def open_browser(chromium: Browser) -> Iterator[OpenBrowser]:
    """A function that opens a browser without JavaScript, for somebody new."""
    contexts: list[BrowserContext] = []

    def open_page() -> Page:
        context = chromium.new_context(java_script_enabled=False, **DEFAULT_SETTINGS)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PAGE_TIMEOUT_MS)
        return page

    yield open_page
    for context in contexts:
        context.close()


class Salon:
    """A room with a host, Hana, and a moderator's form for each of the others."""

    def __init__(self, server: ConfabServer, open_browser: OpenBrowser) -> None:
        self._open_browser = open_browser
        self.hana = open_browser()
        self.hana.goto(server.url)
        self.hana.get_by_role("button", name="New private room").press("Enter")
        self.url = self.hana.url
        self.post(self.hana, "Hana", "welcome")
        self.ben = self.enter("Ben")

    def enter(self, name: str) -> Page:
        """Open the room in a browser of its own, and post a message."""
        page = self._open_browser()
        page.goto(self.url)
        self.post(page, name, f"{name} is here")
        return page

    def post(self, page: Page, name: str, text: str) -> None:
        """Post a message with the form."""
        page.get_by_role("textbox", name="Your name").fill(name)
        page.get_by_role("textbox", name="Message", exact=True).fill(text)
        page.get_by_role("button", name="Send").press("Enter")
        expect(page.locator(".message__text", has_text=text)).to_have_count(1)

    def settings(self) -> Page:
        """Open the settings as Hana."""
        self.hana.goto(f"{self.url}settings")
        return self.hana

    def person(self, name: str) -> Page:
        """Open the page about a person as Hana, by the links of the settings."""
        page = self.settings()
        page.get_by_role("link", name="People and bans").press("Enter")
        page.get_by_role("link", name=re.compile(f"^{name} ")).press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text(name)
        return page

    def sees(self, page: Page, sentence: str) -> None:
        """Load the room, and check that it announces what was done."""
        page.goto(self.url)
        expect(page.locator('.message[data-kind="moderation"]', has_text=sentence)).to_have_count(1)


@pytest.fixture
def salon(server: ConfabServer, open_browser: OpenBrowser) -> Salon:
    """A room of Hana in which Ben is too."""
    return Salon(server, open_browser)


def test_a_host_mutes_and_bans_with_the_keyboard_alone(salon: Salon) -> None:
    hana = salon.person("Ben")
    hana.get_by_label("For", exact=True).select_option("1 hour")
    hana.get_by_role("button", name="Mute").press("Enter")
    expect(hana.locator(".document__room")).to_contain_text("Muted until")
    salon.sees(salon.ben, "Hana muted Ben for 1 hour")
    hana.get_by_role("button", name="Unmute").press("Enter")
    expect(hana.get_by_role("button", name="Unmute")).to_have_count(0)

    hana.get_by_role("checkbox", name="Ban their network address too").press("Space")
    hana.get_by_role("button", name="Ban", exact=True).press("Enter")
    expect(hana.locator(".document__room")).to_contain_text("Banned, address too")

    salon.ben.goto(salon.url)
    expect(salon.ben.get_by_role("heading", level=1)).to_have_text("You are banned from this room")
    salon.ben.get_by_role("link", name="About your data").press("Enter")
    expect(salon.ben.get_by_role("button", name="Delete everything")).to_be_visible()
    hana.get_by_role("button", name="Lift the ban").press("Enter")
    salon.sees(salon.ben, "Hana unbanned Ben")


def test_the_time_and_the_links_of_a_message_are_below_its_text(salon: Salon) -> None:
    for message in salon.hana.locator(".message:not([data-kind])").all():
        text = message.locator(".message__text").bounding_box()
        meta = message.locator(".message__meta").bounding_box()
        assert text
        assert meta
        assert meta["y"] >= text["y"] + text["height"] - 1


def test_a_host_locks_a_room_and_sets_a_password(salon: Salon) -> None:
    hana = salon.settings()
    hana.get_by_role("button", name="Lock room").press("Enter")
    expect(hana.get_by_role("button", name="Unlock room")).to_be_visible()
    hana.get_by_label("New password").fill("open sesame")
    hana.get_by_label("New password").press("Enter")
    expect(hana.get_by_role("button", name="Remove password")).to_be_visible()

    ben = salon.ben
    ben.goto(salon.url)
    expect(ben.get_by_role("heading", level=1)).to_have_text("This room has a password")
    ben.get_by_label("Password").fill("guess")
    ben.get_by_label("Password").press("Enter")
    expect(ben.get_by_role("alert")).to_have_text("This password is not right.")
    ben.get_by_label("Password").fill("open sesame")
    ben.get_by_label("Password").press("Enter")
    salon.sees(ben, "Hana locked the room")
    ben.get_by_role("textbox", name="Message", exact=True).fill("anyway")
    ben.get_by_role("button", name="Send").press("Enter")
    expect(ben.get_by_role("alert")).to_contain_text("locked")


def test_a_host_link_makes_a_second_browser_a_host(salon: Salon) -> None:
    hana = salon.settings()
    hana.get_by_role("button", name="Create host link").press("Enter")
    link = hana.get_by_label("Link", exact=True).input_value()
    assert "#host=" in link

    ben = salon.ben
    ben.goto(f"{salon.url}host")
    ben.get_by_label("Host link").fill(link)
    ben.get_by_label("Host link").press("Enter")
    salon.sees(ben, "Ben is a host now")
    ben.goto(f"{salon.url}settings")
    expect(ben.get_by_role("button", name="Lock room")).to_be_visible()

    ben.goto(f"{salon.url}host")
    ben.get_by_label("Host link").fill(link)
    ben.get_by_label("Host link").press("Enter")
    expect(ben.get_by_role("alert")).to_contain_text("already")


def test_closing_a_room_is_confirmed_and_can_be_cancelled(salon: Salon) -> None:
    hana = salon.settings()
    hana.get_by_role("button", name="Close room…").press("Enter")
    expect(hana.get_by_role("heading", level=1)).to_have_text("Close this room?")
    hana.get_by_role("link", name="Cancel").press("Enter")
    hana.get_by_role("button", name="Close room…").press("Enter")
    hana.get_by_role("button", name="Close room").press("Enter")

    for page in (hana, salon.ben):
        page.goto(salon.url)
        expect(page.get_by_role("heading", level=1)).to_have_text("This room is closed")
        expect(page.get_by_role("link", name="Try again")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_everything_fits(
    chromium: Browser, salon: Salon, theme: Theme
) -> None:
    mark = salon.person("Ben").url.rpartition("/")[2]
    paths = ["settings", "people", f"people/{mark}", "messages/2", "audit", "host", "your-data"]
    hana = with_scripts(chromium, salon.hana, theme)
    for path in paths:
        hana.goto(salon.url + path)
        check_look(hana)
    for action in ("Close room…", "Create host link"):
        hana.goto(f"{salon.url}settings")
        hana.get_by_role("button", name=action).click()
        check_look(hana)
    ben = with_scripts(chromium, salon.ben, theme)
    for path in ("settings", "host", "people", "report", "your-data"):
        ben.goto(salon.url + path)
        check_look(ben)
    for page in (hana, ben):
        page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_the_pages_of_people_who_may_not_enter(
    chromium: Browser, salon: Salon, theme: Theme
) -> None:
    hana = salon.settings()
    hana.get_by_label("New password").fill("open sesame")
    hana.get_by_label("New password").press("Enter")
    ben = with_scripts(chromium, salon.ben, theme)
    titles = []
    for action in ("", "Remove", "Ban", "Close room"):
        if action == "Close room":
            salon.settings().get_by_role("button", name="Close room…").press("Enter")
            hana.get_by_role("button", name=action).press("Enter")
        elif action:
            salon.person("Ben").get_by_role("button", name=action, exact=True).press("Enter")
        ben.goto(salon.url)
        titles.append(ben.get_by_role("heading", level=1).inner_text())
        check_look(ben)
    ben.context.close()

    assert titles == [
        "This room has a password",
        "You were removed from this room",
        "You are banned from this room",
        "This room is closed",
    ]


def with_scripts(chromium: Browser, page: Page, theme: Theme) -> Page:
    """Open a browser with JavaScript, on the smallest phone, for the person of another browser."""
    context = chromium.new_context(
        storage_state=page.context.storage_state(), color_scheme=theme, viewport=SMALLEST
    )
    return context.new_page()


def check_look(page: Page) -> None:
    """Check what axe finds, that nothing is cut off, and that controls are large enough."""
    page.wait_for_load_state()
    assert violations(page) == [], page.url
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), page.url
    assert page.locator(TARGETS).evaluate_all(SMALL_TARGETS) == [], page.url
