"""Long messages are rendered once, in a bounded cache."""

import pytest
from flask import Flask
from markupsafe import Markup

from chat.models import Room
from chat.services import services_of
from chat.storage.commands import Command, PostMessage
from chat.text import markdown
from chat.text.rendered_messages import MIN_CACHED_CHARACTERS, RenderedMessages
from tests.conftest import Patch

COSTLY = ("*\u200b" * 2000)[:4000]


class Counter:
    """Counts the texts that are rendered, and the turns that other greenlets get."""

    def __init__(self, monkeypatch: Patch) -> None:
        self.rendered: list[str] = []
        self.turns = 0
        self._html = markdown.html
        monkeypatch.setattr(markdown, "html", self._count)

    def _count(self, source: str) -> Markup:
        self.rendered.append(source)
        return self._html(source)

    def yield_now(self) -> None:
        self.turns += 1


@pytest.fixture
def counter(monkeypatch: Patch) -> Counter:
    """Counts what is rendered."""
    return Counter(monkeypatch)


def long_text(text: str) -> str:
    return text.ljust(MIN_CACHED_CHARACTERS, ".")


def test_a_long_message_is_rendered_once_and_then_others_get_a_turn(counter: Counter) -> None:
    messages = RenderedMessages(counter.yield_now)

    results = {messages.html(long_text("**a**")) for _ in range(3)}

    assert results == {markdown.html(long_text("**a**"))}
    assert counter.rendered[:-1] == [long_text("**a**")]
    assert counter.turns == 1


def test_a_short_message_is_not_kept(counter: Counter) -> None:
    messages = RenderedMessages(counter.yield_now)

    assert [str(messages.html("*a*")) for _ in range(2)] == ["<em>a</em>"] * 2
    assert counter.rendered == ["*a*"] * 2
    assert counter.turns == 0


def test_the_messages_that_were_used_least_recently_are_dropped(counter: Counter) -> None:
    one, two, three = long_text("one"), long_text("two"), long_text("three")
    messages = RenderedMessages(counter.yield_now, max_characters=4 * MIN_CACHED_CHARACTERS)

    for source in (one, two, one, three, one, two):
        messages.html(source)

    assert counter.rendered == [one, two, three, two]


def test_a_message_above_the_bound_is_rendered_and_not_kept(counter: Counter) -> None:
    messages = RenderedMessages(counter.yield_now, max_characters=MIN_CACHED_CHARACTERS)

    for _ in range(2):
        assert messages.html(long_text("a")) == long_text("a")

    assert len(counter.rendered) == 2


def test_the_long_messages_of_a_page_are_rendered_for_the_first_visitor_only(
    app: Flask, kitchen: str, counter: Counter
) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        texts = [f"{number:04}{COSTLY[4:]}" for number in range(50)]
        batch: list[Command] = [PostMessage(room, "mallory", "Mallory", text) for text in texts]
        services_of(app).journal.store_and_publish(batch)

    pages = [app.test_client().get(f"/{kitchen}/").text for _ in range(3)]

    assert [page.count("<em>") > 40_000 for page in pages] == [True] * 3
    assert [source for source in counter.rendered if source in texts] == texts
