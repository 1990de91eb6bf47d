"""The page in Chromium while the server is down: nothing is lost or duplicated."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, WebSocketRoute, expect
from sqlalchemy import text as sql

from tests.browser.test_reading import WHOLE
from tests.clients import Stranger
from tests.servers import ConfabServer, flask_run, free_port

pytestmark = [pytest.mark.browser, pytest.mark.servers]

BACK_MS = 15_000  # the longest pause between two attempts is 5 s
SECURE, PLAIN = (
    "127.0.0.1",
    "confab.test",
)  # to a browser, an address of this machine is as good as https


class Client:
    """A page open in somebody's browser."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page = context.new_page()
        self.address = address
        self.line = self.page.locator("#connection")
        self.field = self.page.get_by_role("textbox", name="Message", exact=True)
        self.texts = self.page.locator("#messages .message__text")

    def opens(self) -> "Client":
        """Open the room."""
        self.page.goto(self.address)
        return self

    def is_called(self, name: str) -> "Client":
        """Put a name into its field."""
        self.page.get_by_role("textbox", name="Your name").fill(name)
        return self

    def says(self, *texts: str) -> None:
        """Type something and send it."""
        for text in texts:
            self.field.fill(text)
            self.field.press("Enter")

    def shows(self, state: str, *texts: str) -> None:
        """Wait until exactly these messages are shown, all of them in this state."""
        expect(self.texts).to_have_text(list(texts), timeout=BACK_MS)
        expect(self.page.locator(f'#messages .message[data-state="{state}"]')).to_have_count(
            len(texts), timeout=BACK_MS
        )


# Writes down the states of the line, when they began, and whether its words moved.
SEEN = """
() => {
  window.seen = []
  const line = document.querySelector("#connection")
  const note = (state) => window.seen.push([state, performance.now()])
  const look = () => window.seen.at(-1)?.[0] !== line.dataset.state && note(line.dataset.state)
  new MutationObserver(look).observe(line, { attributeFilter: ["data-state"] })
  window.moved = []
  // The page notices that the connection is lost.
  new MutationObserver(() => { window.lost ??= performance.now() })
    .observe(document.querySelector("#room"), { attributeFilter: ["data-joined"] })
  new PerformanceObserver((all) => {
    for (const { value, sources } of all.getEntries()) {
      if (sources.some(({ node }) => line.contains(node))) moved.push(value)
    }
  }).observe({ type: "layout-shift" })
}
"""
SAY_ALL = """
(texts) => {
  const { form } = document.activeElement
  for (const text of texts) {
    form.elements.message.value = text
    form.requestSubmit()
  }
}
"""
Browsing = Callable[[], BrowserContext]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ConfabServer]:
    """What `make run` serves."""
    with flask_run(tmp_path / "server", ALLOWED_HOSTS="*") as started:
        yield started


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Callable[[], BrowserContext]]:
    """Somebody's browser: its tabs share what they remember."""
    opened: list[BrowserContext] = []

    def begin() -> BrowserContext:
        opened.append(chromium.new_context(locale="en-GB", timezone_id="UTC"))
        opened[-1].set_default_timeout(BACK_MS)
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


def kitchen(server: ConfabServer, host: str = SECURE) -> str:
    """The address of the room."""
    return f"http://{host}:{server.port}/kitchen/"


def stored(server: ConfabServer) -> list[str]:
    """What the database holds, in order."""
    with server.database() as engine, engine.connect() as connection:
        return list(connection.scalars(sql("SELECT message FROM messages ORDER BY seq")))


def test_what_ada_says_while_the_server_is_away_survives_her_reload_and_arrives_once(
    server: ConfabServer, browser: Browsing
) -> None:
    hers = browser()
    ada = Client(hers, kitchen(server)).opens().is_called("Ada")
    ben = Client(browser(), kitchen(server)).opens()
    ada.says("before")
    ada.shows("sent", "before")

    server.kill()
    ada.says("first", "second")
    expect(ada.page.locator('#messages [data-state="pending"]')).to_have_count(2)
    with pytest.raises(Error, match="ERR_CONNECTION_REFUSED"):
        ada.page.reload()  # the browser has nothing but its own words to show now
    server.start()
    ada.opens()

    for person in (ada, ben):
        person.shows("sent", "before", "first", "second")
    assert stored(server) == ["before", "first", "second"]


def test_a_tab_that_crashes_has_kept_what_was_said(server: ConfabServer, browser: Browsing) -> None:
    hers = browser()
    ada = Client(hers, kitchen(server)).opens().is_called("Ada")
    server.kill()
    ada.says("first")
    with ada.page.expect_event("crash"), pytest.raises(Error):
        ada.page.goto("chrome://crash")
    server.start()

    Client(hers, kitchen(server)).opens().shows("sent", "first")
    assert stored(server) == ["first"]


@pytest.mark.parametrize("host", [SECURE, PLAIN])
def test_what_two_tabs_of_one_browser_say_waits_in_both_and_is_sent_once(
    host: str, server: ConfabServer, browser: Browsing
) -> None:
    hers = browser()
    one = Client(hers, kitchen(server, host)).opens().is_called("Ada")
    two = Client(hers, kitchen(server, host)).opens().is_called("Ada")
    ben = Client(browser(), kitchen(server)).opens()
    assert one.page.evaluate("!navigator.locks") == (host == PLAIN)
    said = [f"{open_client} {number}" for number in range(3) for open_client in ("one", "two")]

    server.kill()
    for text in said:
        (one if text.startswith("one") else two).says(text)
        for open_client in (one, two):
            expect(open_client.texts.last).to_have_text(text)
    for open_client in (one, two):
        open_client.shows("pending", *said)
    server.start()

    for open_client in (one, two, ben):
        open_client.shows("sent", *said)
    assert stored(server) == said
    one.page.wait_for_function(
        "() => !Object.keys(localStorage)"
        ".some((key) => key.includes('outbox') || key.includes('lease'))"
    )


def test_two_tabs_without_a_server_are_reloaded_and_send_once(
    server: ConfabServer, browser: Browsing
) -> None:
    hers = browser()
    tabs = [Client(hers, kitchen(server)).opens().is_called("Ada") for _ in range(2)]
    server.kill()
    for number, open_client in enumerate(tabs):
        open_client.says(f"tab {number}")
        expect(tabs[1 - number].texts.last).to_have_text(f"tab {number}")
    for open_client in tabs:
        with pytest.raises(Error):
            open_client.page.reload()
        # Its page about the error, which it loads again by itself, would interrupt `goto`.
        open_client.page.wait_for_url("chrome-error://**")
        open_client.page.goto("about:blank")
    server.start()
    for open_client in tabs:
        open_client.page.goto(open_client.address, wait_until="commit")

    for open_client in tabs:
        open_client.shows("sent", "tab 0", "tab 1")
    assert stored(server) == ["tab 0", "tab 1"]


@pytest.mark.slow
def test_the_page_says_how_it_is_and_never_sooner_than_it_matters(
    server: ConfabServer, browser: Browsing
) -> None:
    ada = Client(browser(), kitchen(server)).opens().is_called("Ada")
    ada.says("before")
    ada.shows("sent", "before")
    ada.page.evaluate(SEEN)

    server.kill()
    ada.says("first", "second")
    expect(ada.line).to_have_attribute("data-state", "offline", timeout=BACK_MS)
    expect(ada.line).to_contain_text("2 messages will be sent when you're back online.")
    ada.says("third")
    expect(ada.line).to_contain_text("3 messages will be sent when you're back online.")
    expect(ada.field).to_be_enabled()
    ada.page.get_by_role("button", name="Try now").click(trial=True)
    server.start()
    # The page may connect by itself first, which hides the button.
    ada.page.locator("#connection button").dispatch_event("click")
    ada.shows("sent", "before", "first", "second", "third")
    expect(ada.line).to_have_attribute("data-state", "hidden")

    lost = ada.page.evaluate("window.lost")
    seen = dict(ada.page.evaluate("window.seen"))
    assert list(seen) == ["connecting", "offline", "reconnected", "hidden"]
    assert 1700 <= seen["connecting"] - lost <= 4000
    assert 9700 <= seen["offline"] - lost <= 13_000
    assert 1400 <= seen["hidden"] - seen["reconnected"] <= 4000
    assert ada.page.evaluate("window.moved") == []


def test_a_short_absence_is_not_worth_a_word(server: ConfabServer, browser: Browsing) -> None:
    ada = Client(browser(), kitchen(server))
    lines: list[WebSocketRoute] = []

    def connected(line: WebSocketRoute) -> None:
        line.connect_to_server()
        lines.append(line)

    ada.page.route_web_socket("**/socket.io/**", connected)
    ada.opens().is_called("Ada").says("before")
    ada.shows("sent", "before")
    ada.page.evaluate(SEEN)

    lines[0].close()
    ada.says("after")

    ada.shows("sent", "before", "after")
    assert len(lines) == 2
    assert ada.page.evaluate("window.seen") == []


def test_a_line_that_has_died_in_silence_is_noticed_when_the_network_is_back(
    server: ConfabServer, browser: Browsing
) -> None:
    ada = Client(browser(), kitchen(server))
    ben = Client(browser(), kitchen(server)).opens().is_called("Ben")
    dead: list[WebSocketRoute] = []
    lines: list[WebSocketRoute] = []

    def connected(line: WebSocketRoute) -> None:
        lines.append(line)
        there = line.connect_to_server()
        line.on_message(lambda frame: None if line in dead else there.send(frame))
        there.on_message(lambda frame: None if line in dead else line.send(frame))

    ada.page.route_web_socket("**/socket.io/**", connected)
    ada.opens().is_called("Ada").says("before")
    ada.shows("sent", "before")
    ada.page.evaluate(WHOLE)
    dead.extend(lines)
    ben.says("are you there?")
    ben.shows("sent", "before", "are you there?")

    ada.page.evaluate("window.dispatchEvent(new Event('online'))")

    ada.shows("sent", "before", "are you there?")
    assert len(lines) == 2


@pytest.mark.slow
def test_after_a_long_absence_the_newest_page_and_all_the_rest_by_scrolling(
    server: ConfabServer, browser: Browsing
) -> None:
    ada = Client(browser(), kitchen(server)).opens().is_called("Ada")
    ada.says("before")
    ada.shows("sent", "before")
    here, elsewhere = server.port, free_port()
    meanwhile = [f"meanwhile {number}" for number in range(260)]

    server.kill()
    server.move(elsewhere)
    server.start()
    ben = Stranger(server.url)
    assert ben.ask("join", {"label": "kitchen"})["ok"]
    for text in meanwhile:
        assert ben.ask("chat", {"handle": "Ben", "message": text})["ok"]
    ben.close()
    server.stop()
    server.move(here)
    server.start()

    ada.shows("sent", *meanwhile[-50:])
    expect(ada.page.locator("#unread-bar")).to_contain_text(re.compile("^260 new since "))
    ada.page.locator("#log").hover()
    for _ in range(100):
        ada.page.mouse.wheel(0, -2000)
        if ada.texts.count() == 261:
            break
        ada.page.wait_for_timeout(100)
    ada.shows("sent", "before", *meanwhile)
    line = ada.page.locator('.message[data-seq="2"] .unread-divider')  # it stands where she was
    expect(line).to_have_text("New")
    expect(ada.page.locator(".day-divider")).to_have_count(1)


def test_a_server_that_comes_back_with_other_transports_is_followed(
    tmp_path: Path, browser: Browsing
) -> None:
    with flask_run(tmp_path / "server", TRANSPORTS="polling") as server:
        ada = Client(browser(), kitchen(server)).opens().is_called("Ada")
        ada.says("over polling")
        ada.shows("sent", "over polling")

        server.kill()
        server.environment["TRANSPORTS"] = "websocket"
        server.start()
        ada.says("over a socket")

        ada.shows("sent", "over polling", "over a socket")


@pytest.mark.slow
def test_what_the_server_cannot_store_now_says_so_and_goes_by_itself(
    server: ConfabServer, browser: Browsing
) -> None:
    ada = Client(browser(), kitchen(server)).opens().is_called("Ada")
    ada.says("before")
    ada.shows("sent", "before")

    with server.database() as engine, engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        ada.says("first")
        reason = ada.page.locator(".send-error__text")
        expect(reason).to_contain_text("Your message will be sent automatically.", timeout=BACK_MS)
        expect(ada.page.get_by_role("button", name="Discard")).to_be_hidden()
        connection.exec_driver_sql("ROLLBACK")

    ada.shows("sent", "before", "first")
    expect(reason).to_have_count(0)


def test_what_is_refused_for_good_can_be_changed(server: ConfabServer, browser: Browsing) -> None:
    ada = Client(browser(), kitchen(server)).opens().is_called("Ada")
    ada.says("no \a text")
    ada.page.get_by_role("button", name="Edit").click()
    expect(ada.field).to_have_value("no \a text")
    ada.says("text")

    ada.shows("sent", "text")


def test_a_hundred_wait_and_the_next_one_stays_in_the_composer(
    server: ConfabServer, browser: Browsing
) -> None:
    ada = Client(browser(), kitchen(server)).opens().is_called("Ada")
    server.kill()
    hundred = [f"number {number}" for number in range(100)]
    ada.page.evaluate(SAY_ALL, hundred)
    ada.says("one too many")
    expect(ada.field).to_have_value("one too many")
    expect(ada.page.locator("#composer-hint")).to_contain_text("stays here")
    server.start()

    ada.shows("sent", *hundred)


def test_a_long_text_that_does_not_fit_into_the_outbox_stays_complete_in_the_composer(
    server: ConfabServer, browser: Browsing
) -> None:
    ada = Client(browser(), kitchen(server)).opens().is_called("Ada")
    server.kill()
    waiting = [f"number {number}" for number in range(98)]
    ada.page.evaluate(SAY_ALL, waiting)
    part = "word " * 799 + "end "
    ada.says(3 * part)
    ada.page.get_by_role("button", name="Send as 3 messages").click()
    expect(ada.page.locator("#composer-hint")).to_contain_text("stays here")
    expect(ada.field).to_have_value(3 * part)
    expect(ada.texts).to_have_count(98)
    server.start()
    ada.shows("sent", *waiting)

    ada.field.press("Enter")
    ada.page.get_by_role("button", name="Send as 3 messages").click()
    expect(ada.field).to_have_value("")
    ada.shows("sent", *waiting, *3 * [part.strip()])
    assert stored(server) == [*waiting, *3 * [part.strip()]]


def test_a_text_of_more_than_twenty_parts_is_not_offered_in_parts(
    server: ConfabServer, browser: Browsing
) -> None:
    ada = Client(browser(), kitchen(server)).opens().is_called("Ada")
    ada.says("x" * 80_000)
    expect(ada.page.get_by_role("button", name="Send as 20 messages")).to_be_visible()
    ada.page.keyboard.type("x")
    ada.field.press("Enter")
    expect(ada.page.locator("#composer-hint")).to_contain_text(
        "76,001 characters too long. More than 20 messages"
    )

    expect(ada.page.get_by_role("button", name="Send as")).to_have_count(0)
