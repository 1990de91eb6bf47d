"""The page in Chromium when it sends more than the server accepts: it waits, and loses nothing."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.clients import Stranger
from tests.servers import ConfabServer, flask_run

pytestmark = [pytest.mark.browser, pytest.mark.servers]

SENT_MS = 20_000
MESSAGES = [f"message {number}" for number in range(9)]

# Writes down every text of the countdown and how far the layout has moved since.
OBSERVE = """
() => {
  const countdown = document.querySelector("#send-countdown")
  window.texts = []
  const note = () => texts.push(countdown.textContent)
  const options = { childList: true, characterData: true, subtree: true }
  new MutationObserver(note).observe(countdown, options)
  window.announced = []
  new MutationObserver((all) => {
    for (const { addedNodes } of all) announced.push(...[...addedNodes].map((n) => n.textContent))
  }).observe(document.querySelector("#announcements"), { childList: true })
  const composer = document.querySelector(".composer__pill")
  window.top0 = composer.getBoundingClientRect().top
}
"""


@pytest.fixture(scope="module")
def limited_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """A server with the default limits."""
    with flask_run(tmp_path_factory.mktemp("limited"), LIMITS="on") as started:
        yield started


@pytest.fixture
def page(chromium: Browser, limited_server: ConfabServer) -> Iterator[Page]:
    """The page of a room, opened by Ada."""
    context = chromium.new_context(locale="en-GB", timezone_id="UTC")
    opened = context.new_page()
    opened.goto(f"{limited_server.url}/kitchen/")
    opened.get_by_role("textbox", name="Your name").fill("Ada")
    yield opened
    context.close()


def say(page: Page, *texts: str) -> None:
    """Type and send messages, as fast as possible."""
    field = page.get_by_role("textbox", name="Message", exact=True)
    for text in texts:
        field.fill(text)
        field.press("Enter")


def test_messages_above_the_limit_wait_with_a_countdown_and_are_sent_by_themselves(
    page: Page, limited_server: ConfabServer
) -> None:
    page.evaluate(OBSERVE)

    say(page, *MESSAGES)
    countdown = page.locator("#send-countdown")
    expect(countdown).to_contain_text("next in 1 s")
    assert page.locator(".send-error").count() == 0
    top = page.evaluate("document.querySelector('.composer__pill').getBoundingClientRect().top")
    assert top == page.evaluate("window.top0")

    sent = page.locator('#messages .message[data-state="sent"]')
    expect(sent).to_have_count(len(MESSAGES), timeout=SENT_MS)
    expect(page.locator("#messages .message__text")).to_have_text(MESSAGES)
    expect(countdown).to_have_text("")
    with Stranger(limited_server.url) as ben:
        stored = ben.ask("join", {"label": "kitchen"})["messages"]
    assert [message["message"] for message in stored] == MESSAGES
    texts = page.evaluate("window.texts")
    assert "" not in texts[:-1], "it does not blink"
    announced = [text for text in page.evaluate("window.announced") if "faster" in text]
    assert len(announced) == 1
