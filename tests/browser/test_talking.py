"""Real pages in Chromium: people who open a link and talk."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from tests.browser.test_reading import WHOLE
from tests.clients import Stranger
from tests.servers import SERVERS, ConfabServer, flask_run, free_port

pytestmark = [pytest.mark.browser, pytest.mark.servers]

PATIENCE_MS = 15_000
OUTAGE = re.compile(
    r"ERR_CONNECTION|WebSocket connection to .* failed|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE"
)
INJECTION = (
    "<img src=x onerror=hit()>",
    "</script><script>hit()</script><svg onload=hit()><img src=x onerror=hit()>",
)

# What a message looks like in the page, without what depends on the reader's clock, calendar and
# keyboard focus. The names of buttons contain the time.
SHAPES = """
(root) => {
  const isForScripts = (node) => !node.classList?.contains("without-script")
  const shape = (node) => node.nodeType === Node.TEXT_NODE ? node.data.replace(/\\s+/g, " ") : [
    node.localName,
    Object.fromEntries([...node.attributes].map(({ name, value }) => [name, value])
      .filter(([name]) => name !== "data-day" && name !== "tabindex")
      .filter(([name]) => !(node.localName === "button" && name === "aria-label"))
      .filter(([name]) => !(node.localName === "time" && name === "title"))
      .sort()),
    node.localName === "time" ? [] : [...node.childNodes].filter(isForScripts).map(shape),
  ]
  return [...root.querySelectorAll("#messages > *")].map(shape)
}
"""


class Visitor:
    """Somebody with a browser of their own, in which one page is open."""

    def __init__(self, page: Page, address: str, *, outage: bool) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        self._outage = outage
        self.name = page.get_by_role("textbox", name="Your name")
        self.field = page.get_by_role("textbox", name="Message", exact=True)
        self.texts = page.locator("#messages .message__text")
        self.names = page.locator("#messages .message__name")
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)

    def goes(self, path: str) -> None:
        """Open a page of Confab."""
        self.page.goto(self.address + path)

    def is_called(self, name: str) -> None:
        """Put a name into its field."""
        self.name.fill(name)

    def says(self, text: str) -> None:
        """Type something and send it."""
        self.field.press_sequentially(text)
        self.field.press("Enter")

    def sees(self, *texts: str) -> None:
        """Wait until these messages, all of them stored, are what is in the page."""
        expect(self.texts).to_have_text(list(texts), timeout=PATIENCE_MS)
        expect(
            self.page.locator('#messages .message:not([data-state="sent"], [data-state="deleted"])')
        ).to_have_count(0)

    def shapes(self) -> Any:
        """The elements of the messages and of the lines between days, as they stand.

        Those that are shown only without scripts are left out.
        """
        return self.page.evaluate(f"({SHAPES})(document)")

    def written_shapes(self) -> Any:
        """The same, as the server writes them."""
        text = "await (await fetch(location.href)).text()"
        parsed = f"new DOMParser().parseFromString({text}, 'text/html')"
        return self.page.evaluate(f"async () => ({SHAPES})({parsed})")

    def _console(self, message: ConsoleMessage) -> None:
        # The page asks why it cannot connect; a server that has just come back answers with 400.
        is_polling = "transport=polling" in message.location["url"]
        is_question = is_polling and "status of 400" in message.text
        is_outage = self._outage and (is_question or OUTAGE.search(message.text))
        if message.type in ("error", "warning") and not is_outage:
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.complaints.append(f"asked another host: {request.url}")


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Open pages in new browser contexts; in the end no page has logged an error."""
    visitors: list[Visitor] = []

    def come(address: str, path: str = "/", *, outage: bool = False, **settings: Any) -> Visitor:
        context = chromium.new_context(**{"locale": "en-GB", "timezone_id": "UTC", **settings})
        visitors.append(Visitor(context.new_page(), address, outage=outage))
        visitors[-1].goes(path)
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.page.context.close()
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """What `make run` serves."""
    with flask_run(tmp_path_factory.mktemp("server"), ALLOWED_HOSTS="*") as started:
        yield started


@pytest.fixture
def kitchen(request: pytest.FixtureRequest) -> str:
    """The path of a room that only this test knows."""
    return f"/{re.sub(r'[^a-z0-9]+', '-', request.node.name[5:])[:50]}/"


@pytest.mark.parametrize("kind", ["flask run", "gunicorn"])
def test_two_people_meet_in_a_new_room_and_another_room_hears_nothing(
    kind: str, visit: Visit, tmp_path: Path
) -> None:
    with SERVERS[kind](tmp_path) as server:
        ada, cy = visit(server.url), visit(server.url)
        for visitor in (ada, cy):
            visitor.page.get_by_role("button", name="New room").click()
            visitor.page.wait_for_url(re.compile(r"/[a-z]+-[a-z]+-[a-z2-9]{6}/$"))
        ben = visit(server.url, ada.page.url.removeprefix(server.url))
        for name, visitor in {"Ada": ada, "Ben": ben, "Cy": cy}.items():
            visitor.is_called(name)

        ada.says("Is anybody here?")
        ben.sees("Is anybody here?")
        ben.says("I am")
        ada.sees("Is anybody here?", "I am")
        cy.says("It is quiet here")

        cy.sees("It is quiet here")
        for visitor, sides in {ada: ["own", "other"], ben: ["other", "own"]}.items():
            visitor.sees("Is anybody here?", "I am")
            expect(visitor.names).to_have_text(["Ada", "Ben"])
            assert [
                one.get_attribute("data-side")
                for one in visitor.page.locator(".log .message").all()
            ] == sides
        for visitor in (ada, ben, cy):
            visitor.page.context.close()


def test_forty_messages_typed_fast_stay_in_order(
    server: ConfabServer, visit: Visit, kitchen: str
) -> None:
    ada, ben = visit(server.url, kitchen), visit(server.url, kitchen)
    forty = [f"no {number}" for number in range(40)]
    ada.is_called("Ada")
    ada.field.focus()

    for text in forty:
        ada.page.keyboard.type(text)
        ada.page.keyboard.press("Enter")

    ben.sees(*forty)
    ada.sees(*forty)


def test_two_who_type_at_once_see_one_order(
    server: ConfabServer, visit: Visit, kitchen: str
) -> None:
    ada, ben, cy = (visit(server.url, kitchen) for _ in range(3))
    ada.is_called("Ada")
    ben.is_called("Ben")

    for number in range(10):
        ada.says(f"a{number}")
        ben.says(f"b{number}")

    for visitor in (ada, ben, cy):
        expect(visitor.texts).to_have_count(20)
        expect(visitor.page.locator('#messages [data-state="pending"]')).to_have_count(0)
    assert ada.texts.all_inner_texts() == ben.texts.all_inner_texts() == cy.texts.all_inner_texts()
    places = [
        each.get_attribute("data-seq") for each in cy.page.locator("#messages .message").all()
    ]
    assert places == [str(seq) for seq in range(1, 21)]


def test_a_reload_shows_what_was_said(server: ConfabServer, visit: Visit, kitchen: str) -> None:
    ada = visit(server.url, kitchen)
    ada.is_called("Ada")
    ada.says("first")
    ada.says("second")
    ada.sees("first", "second")

    ada.page.reload()

    ada.sees("first", "second")


def test_the_last_fifty_are_there_and_the_earlier_ones_a_click_away(
    server: ConfabServer, visit: Visit, kitchen: str
) -> None:
    everything = [f"number {number}" for number in range(1, 61)]
    with in_room(server, kitchen) as ben:
        for text in everything:
            post(ben, text)
    ada = visit(server.url, kitchen)
    ada.sees(*everything[10:])

    # Not with `click`: it scrolls to the button first, which loads earlier messages as well.
    ada.page.get_by_role("button", name="Earlier messages").dispatch_event("click")

    ada.sees(*everything)
    expect(ada.page.get_by_role("button", name="Earlier messages")).to_be_hidden()


def test_html_in_a_name_and_a_message_is_text_live_and_written(
    server: ConfabServer, visit: Visit, kitchen: str
) -> None:
    name, text = INJECTION
    ada, ben = visit(server.url, kitchen), visit(server.url, kitchen)
    ada.is_called(name)
    ada.says(text)

    def is_text(reader: Visitor) -> None:
        reader.sees(text)
        expect(reader.names).to_have_text([name])
        expect(reader.page.locator("#messages :is(img, script, svg)")).to_have_count(0)

    is_text(ada)
    is_text(ben)
    ben.page.reload()
    is_text(ben)
    is_text(visit(server.url, kitchen, java_script_enabled=False))


def test_a_name_is_remembered_in_every_room_of_a_browser_and_in_no_other(
    server: ConfabServer, visit: Visit, kitchen: str
) -> None:
    ada = visit(server.url, kitchen)
    ada.is_called("Ada")
    ada.says("hello")
    ada.sees("hello")

    ada.page.reload()
    expect(ada.name).to_have_value("Ada")
    ada.goes("/some-other-room/")
    expect(ada.name).to_have_value("Ada")
    expect(visit(server.url, kitchen).name).to_have_value("")


def test_the_field_is_empty_and_focused_after_sending(
    server: ConfabServer, visit: Visit, kitchen: str
) -> None:
    ada = visit(server.url, kitchen)
    ada.is_called("Ada")
    ada.field.fill("by the button")

    ada.page.get_by_role("button", name="Send").click()
    expect(ada.field).to_have_value("")
    expect(ada.field).to_be_focused()
    ada.page.keyboard.type("by the key")
    ada.page.keyboard.press("Enter")

    expect(ada.field).to_have_value("")
    expect(ada.field).to_be_focused()
    ada.sees("by the button", "by the key")


def test_without_a_name_nothing_is_sent_and_nothing_lost(
    server: ConfabServer, visit: Visit, kitchen: str
) -> None:
    ada = visit(server.url, kitchen)

    ada.says("who am I?")

    expect(ada.name).to_be_focused()
    expect(ada.field).to_have_value("who am I?")
    expect(ada.texts).to_have_count(0)


def test_shift_and_enter_break_the_line(server: ConfabServer, visit: Visit, kitchen: str) -> None:
    ada, ben = visit(server.url, kitchen), visit(server.url, kitchen)
    ada.is_called("Ada")

    ada.field.press_sequentially("roses")
    ada.field.press("Shift+Enter")
    ada.says("violets")

    ben.sees("roses\nviolets")
    for visitor in (ada, ben):
        assert visitor.texts.all_inner_texts() == ["roses\nviolets"]


def test_what_changes_changes_in_the_page(server: ConfabServer, visit: Visit, kitchen: str) -> None:
    ada = visit(server.url, kitchen)
    with in_room(server, kitchen) as ben:
        first, second = post(ben, "frist"), post(ben, "never mind")
        ada.sees("frist", "never mind")

        assert ben.ask("edit", {"seq": first, "message": "first"})["ok"]
        assert ben.ask("delete", {"seq": second})["ok"]

    ada.sees("first", "Message deleted")
    expect(ada.page.locator("#messages .message__note")).to_have_text(["edited", ""])
    assert ada.shapes() == ada.written_shapes()


def test_times_are_those_of_the_reader(server: ConfabServer, visit: Visit, kitchen: str) -> None:
    with in_room(server, kitchen) as ben:
        post(ben, "what time is it?")

    for zone in ("Asia/Tokyo", "America/New_York"):
        shown = visit(server.url, kitchen, timezone_id=zone).page.locator("#messages .message time")
        expect(shown).to_have_count(1)
        said = datetime.fromisoformat(shown.get_attribute("datetime") or "")
        expect(shown).to_have_text(
            said.astimezone(ZoneInfo(zone)).strftime("%-H:%M")
        )  # as the British write it


def test_live_and_written_messages_are_one_shape(
    server: ConfabServer, visit: Visit, kitchen: str
) -> None:
    ada, ben = visit(server.url, kitchen), visit(server.url, kitchen)
    ada.is_called("Ada")
    ben.is_called("Ben")
    ada.says("one")
    ada.sees("one")
    ben.says("two")
    ada.sees("one", "two")
    ben.sees("one", "two")

    for reader in (ada, ben):
        live = reader.shapes()
        assert reader.written_shapes() == live
        reader.page.reload()
        reader.sees("one", "two")
        assert reader.shapes() == live


def test_after_the_server_was_killed_the_page_comes_back_and_shows_what_was_said_meanwhile(
    visit: Visit, tmp_path: Path
) -> None:
    with flask_run(tmp_path) as server:
        address, port = server.url, server.port
        ada = visit(address, "/kitchen/", outage=True)
        ada.is_called("Ada")
        ada.says("before")
        ada.sees("before")
        ada.page.evaluate(WHOLE)

        server.kill()
        ada.says("into the void")
        expect(ada.page.locator('#messages [data-state="pending"]')).to_have_text(
            re.compile("into the void")
        )
        expect(ada.page.locator("#connection")).to_contain_text("Reconnecting", timeout=PATIENCE_MS)
        server.move(free_port())  # where the page does not find it
        server.start()
        with in_room(server, "/kitchen/") as ben:
            post(ben, "meanwhile")
        server.stop()
        server.move(port)
        server.start()

        ada.sees("before", "meanwhile", "into the void")
        expect(ada.page.locator("#connection")).to_have_attribute(
            "data-state", "hidden", timeout=PATIENCE_MS
        )
        with in_room(server, "/kitchen/") as ben:
            post(ben, "welcome back")
        ada.sees("before", "meanwhile", "into the void", "welcome back")
        ada.page.context.close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "confab.test"], ids=["where the clipboard is", "over plain http"]
)
def test_the_link_can_be_copied(
    server: ConfabServer, visit: Visit, kitchen: str, host: str
) -> None:
    address = server.url.replace("127.0.0.1", host)
    ada = visit(address, kitchen)
    assert ada.page.evaluate("isSecureContext") == (host == "127.0.0.1")
    ada.page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    ada.page.locator("header").get_by_role("button", name="Copy link").click()
    expect(ada.page.locator("header [data-copy-link]")).to_have_text("Copied")
    ada.field.focus()
    ada.page.keyboard.press("Control+v")

    expect(ada.field).to_have_value(address + kitchen)


def test_on_a_narrow_phone_nothing_scrolls_sideways_and_the_composer_is_in_sight(
    server: ConfabServer, visit: Visit, kitchen: str
) -> None:
    ada = visit(
        server.url, "/", viewport={"width": 320, "height": 568}, has_touch=True, is_mobile=True
    )
    sideways = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
    assert ada.page.evaluate(sideways) == 0
    with in_room(server, kitchen) as ben:
        for text in ("word " * 60, "w" * 300, "https://example.com/" + "path/" * 40):
            post(ben, text.strip())

    ada.goes(kitchen)

    expect(ada.texts).to_have_count(3)
    assert ada.page.evaluate(sideways) == 0
    assert ada.page.evaluate("innerWidth") == 320
    log = ada.page.get_by_role("log")
    assert log.evaluate("(log) => log.scrollWidth - log.clientWidth") == 0
    for part in (ada.name, ada.field, ada.page.get_by_role("button", name="Send")):
        expect(part).to_be_in_viewport(ratio=1)


def test_somebody_without_manners_breaks_no_page(
    server: ConfabServer, visit: Visit, kitchen: str
) -> None:
    ada = visit(server.url, kitchen)
    ada.is_called("Ada")
    with in_room(server, kitchen) as mallory:
        for bad in (
            "null",
            "[]",
            '{"handle":NaN,"message":"bad"}',
            r'{"handle":"\ud800","message":"bad"}',
            "9" * 5000,
        ):
            mallory.emit("chat", bad)
            mallory.emit("join", bad)
        mallory.send(b"\x00\xff")
        mallory.send("zzz")
        mallory.send('42["change",{"seq":1}]')
        post(mallory, "sorry")
        mallory.emit("chat", json.dumps({"handle": "Mallory", "message": "b" * 100_000}))
    ada.sees("sorry")

    ada.says("never mind")

    ada.sees("sorry", "never mind")
    ada.page.reload()
    ada.sees("sorry", "never mind")


def in_room(server: ConfabServer, path: str) -> Stranger:
    """Somebody without a browser, in the room of a path."""
    label = server.room(path.strip("/"))
    stranger = Stranger(server.url)
    assert stranger.ask("join", {"label": label})["ok"]
    return stranger


def post(stranger: Stranger, text: str) -> int:
    """Say something as Ben; its place."""
    answer = stranger.ask("chat", {"handle": "Ben", "message": text})
    assert answer["ok"], answer
    place: int = answer["seq"]
    return place
