"""The HTML of long messages, kept so that a page does not render them again.

Rendering 4,000 characters of markup takes milliseconds, and a page has 50 messages.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable

from markupsafe import Markup

from chat.text import markdown

MIN_CACHED_CHARACTERS = 200
"""Shorter messages are rendered in less than a millisecond."""

MAX_CACHED_CHARACTERS = 4_000_000
"""Of all sources and their HTML together, in one process."""


class RenderedMessages:
    """Renders messages, and keeps what was used last (an LRU cache). Safe for threads.

    The key is the text: the HTML depends on nothing else, so an edit needs no invalidation.
    `yield_now` is called after each long message that was rendered. Under eventlet it lets other
    greenlets run, so that nobody waits for a whole page.
    """

    def __init__(
        self, yield_now: Callable[[], None], max_characters: int = MAX_CACHED_CHARACTERS
    ) -> None:
        self._yield_now = yield_now
        self._max_characters = max_characters
        self._html_by_source: OrderedDict[str, Markup] = OrderedDict()
        self._characters = 0
        self._lock = threading.Lock()

    def html(self, source: str) -> Markup:
        """Return a message as HTML."""
        if len(source) < MIN_CACHED_CHARACTERS:
            return markdown.html(source)
        with self._lock:
            found = self._html_by_source.get(source)
            if found is not None:
                self._html_by_source.move_to_end(source)
                return found
        rendered = markdown.html(source)
        self._keep(source, rendered)
        self._yield_now()
        return rendered

    def _keep(self, source: str, rendered: Markup) -> None:
        with self._lock:
            if source in self._html_by_source:  # rendered by another thread meanwhile
                return
            self._html_by_source[source] = rendered
            self._characters += len(source) + len(rendered)
            while self._characters > self._max_characters:
                oldest, html = self._html_by_source.popitem(last=False)
                self._characters -= len(oldest) + len(html)
