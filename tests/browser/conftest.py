"""The browser of all tests that need one: Chromium, quiet, and sure that confab.test is this machine."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

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
