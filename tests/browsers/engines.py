"""The three browser engines that the page is tested in."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.browsers.chromium import Chromium
from tests.browsers.firefox import Firefox
from tests.browsers.interface import Browser
from tests.browsers.webkit import WebKit

ENGINES: dict[str, type[Browser]] = {engine.name: engine for engine in (Chromium, Firefox, WebKit)}


@contextmanager
def running_browser(engine: type[Browser], folder: Path) -> Iterator[Browser]:
    """Start a browser; end it whatever happens."""
    browser = engine(folder)
    try:
        browser.start()
        yield browser
    finally:
        browser.close()


@contextmanager
def running_browsers(folder: Path) -> Iterator[dict[str, Browser]]:
    """Start a browser of each engine, with its folder below the given one."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(running_browser(engine, folder / name.lower()))
            for name, engine in ENGINES.items()
        }
