"""Fixtures of the browser tests: Chromium, which resolves confab.test to this machine, a server, and visitors."""

import re
import shutil
from collections.abc import Iterator
from hashlib import md5
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.test_reading import Visit, here
from tests.servers import ConfabServer, flask_run

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--disable-gpu", "--disable-quic", "--disable-component-update", "--disable-sync"]
PLAIN_HTTP = "--host-resolver-rules=MAP confab.test 127.0.0.1"  # 127.0.0.1 itself is as good as https to a browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert found, "these tests need Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*QUIET, PLAIN_HTTP])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """What `make run` serves."""
    with flask_run(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def room(server: ConfabServer, request: pytest.FixtureRequest) -> str:
    """The label of a room that only this test knows."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name[5:]).strip("-")
    return server.room(f"{name[:30]}-{md5(name.encode(), usedforsecurity=False).hexdigest()[:8]}")


@pytest.fixture
def visit(chromium: Browser, server: ConfabServer) -> Iterator[Visit]:
    """Somebody comes with a browser of their own; in the end no page has had anything to complain about."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def come(path: str, **settings: Any) -> Page:
        contexts.append(
            chromium.new_context(**{"locale": "en-GB", "timezone_id": "UTC", **settings})
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                complaints.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        page.goto(server.url + path)
        return here(page)

    yield come
    for context in contexts:
        context.close()
    assert complaints == []
