"""Fixtures of the browser tests: Chromium, a server, and pages of visitors.

Chromium resolves confab.test to this machine: http://127.0.0.1 counts as secure, as https does, and
some tests need a page that does not.
"""

import re
import shutil
from collections.abc import Iterator
from hashlib import md5
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    sync_playwright,
)

from tests.browser.test_reading import Visit, here
from tests.servers import ConfabServer, flask_run

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_OPTIONS = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP confab.test 127.0.0.1",
]
DEFAULT_SETTINGS: dict[str, Any] = {"locale": "en-GB", "timezone_id": "UTC"}
PAGE_TIMEOUT_MS = 15_000


def chromium_path() -> str:
    """Return the path of Chromium on this machine."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert path, "these tests need Chromium"
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser of this machine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """A server that the tests of a module share."""
    with flask_run(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def room(server: ConfabServer, request: pytest.FixtureRequest) -> str:
    """The label of a room that only this test uses, made from the name of the test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_")).strip("-")
    digest = md5(name.encode(), usedforsecurity=False).hexdigest()[:8]
    return server.room(f"{name[:30]}-{digest}")


@pytest.fixture
def visit(chromium: Browser, server: ConfabServer) -> Iterator[Visit]:
    """A function that opens a path in a new browser context, with settings of Playwright.

    The test fails when a page logs an error or a warning.
    """
    errors: list[str] = []
    contexts: list[BrowserContext] = []

    def keep_page_error(error: Error) -> None:
        errors.append(str(error))

    def keep_console_message(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    def open_page(path: str, **settings: Any) -> Page:
        context = chromium.new_context(**{**DEFAULT_SETTINGS, **settings})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PAGE_TIMEOUT_MS)
        page.on("pageerror", keep_page_error)
        page.on("console", keep_console_message)
        page.goto(server.url + path)
        return here(page)

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
