"""The page in Chromium when it sends more than the server accepts: it waits, and loses nothing."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.clients import Stranger
from tests.servers import ConfabServer, flask_run

pytestmark = [pytest.mark.browser, pytest.mark.servers]

SENT_MS = 60_000
MESSAGES = [f"message {number}" for number in range(6)]

# Writes down every text of the countdown, and where the composer was meanwhile.
OBSERVE = """
() => {
  const countdown = document.querySelector("#send-countdown")
  const composer = document.querySelector(".composer__pill")
  window.texts = []
  window.tops = [composer.getBoundingClientRect().top]
  const note = () => {
    texts.push(countdown.textContent)
    tops.push(composer.getBoundingClientRect().top)
  }
  const options = { childList: true, characterData: true, subtree: true }
  new MutationObserver(note).observe(countdown, options)
  window.announced = []
  new MutationObserver((all) => {
    for (const { addedNodes } of all) announced.push(...[...addedNodes].map((n) => n.textContent))
  }).observe(document.querySelector("#announcements"), { childList: true })
}
"""

# At once, because somebody who types on a slow machine never exceeds the limit.
SEND_ALL = """
(messages) => {
  const field = document.querySelector(".composer textarea")
  for (const message of messages) {
    field.value = message
    field.form.requestSubmit()
  }
}
"""


@pytest.fixture(scope="module")
def limited_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """A server whose limit of messages is soon reached."""
    folder = tmp_path_factory.mktemp("limited")
    with flask_run(folder, LIMITS="on", LIMIT_PERSON_MESSAGES="2, 1/s") as started:
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


def test_messages_above_the_limit_wait_with_a_countdown_and_are_sent_by_themselves(
    page: Page, limited_server: ConfabServer
) -> None:
    page.evaluate(OBSERVE)

    page.evaluate(SEND_ALL, MESSAGES)

    sent = page.locator('#messages .message[data-state="sent"]')
    expect(sent).to_have_count(len(MESSAGES), timeout=SENT_MS)
    expect(page.locator("#messages .message__text")).to_have_text(MESSAGES)
    expect(page.locator("#send-countdown")).to_have_text("")
    assert page.locator(".send-error").count() == 0
    with Stranger(limited_server.url) as ben:
        stored = ben.ask("join", {"label": "kitchen"})["messages"]
    assert [message["message"] for message in stored] == MESSAGES
    texts = page.evaluate("window.texts")
    assert any(re.fullmatch(r"\d messages waiting, next in \d s", text) for text in texts)
    assert "" not in texts[:-1], "it does not blink"
    assert len(set(page.evaluate("window.tops"))) == 1, "nothing moves"
    announced = [text for text in page.evaluate("window.announced") if "faster" in text]
    assert len(announced) == 1
