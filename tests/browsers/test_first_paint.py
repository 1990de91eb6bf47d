"""On a slow connection, the first paint shows the whole page: also the composer, at its end."""

from pathlib import Path

import pytest

from tests.browser.test_reading import fill
from tests.browsers.engines import ENGINES, running_browser
from tests.browsers.slow_pages import slow_pages
from tests.servers import flask_run

START_SECONDS = 180  # for all programs, on a busy machine
pytestmark = [pytest.mark.browser, pytest.mark.servers, pytest.mark.timeout(START_SECONDS)]

PAUSE_SECONDS = 2.0  # shorter than the page waits
MIDDLE = b'id="m-25"'
FIRST_PAINT = """
() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime
"""
RESPONSE_END = "() => performance.getEntriesByType('navigation')[0].responseEnd || undefined"
TOLERANCE_MS = 200  # much less than the pause; the browser may note the end of the page late


@pytest.mark.parametrize("engine", ["Chromium", "Firefox"])
def test_half_of_a_page_is_not_painted(engine: str, tmp_path: Path) -> None:
    with (
        flask_run(tmp_path / "server") as server,
        slow_pages(server.port, MIDDLE, PAUSE_SECONDS) as proxy,
        running_browser(ENGINES[engine], tmp_path / "browser") as browser,
    ):
        fill(server, server.room("slow"), 50)

        browser.open(f"{proxy.url}/slow/")

        first_paint = browser.wait_for(FIRST_PAINT, what="the page is painted")
        page_end = browser.wait_for(RESPONSE_END, what="all of the page has arrived")
        assert first_paint >= page_end - TOLERANCE_MS
