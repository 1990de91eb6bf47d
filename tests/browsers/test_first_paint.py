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
RESPONSE_START = "() => performance.getEntriesByType('navigation')[0].responseStart"


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
        assert first_paint - browser.evaluate(RESPONSE_START) >= PAUSE_SECONDS * 1000 * 0.9
