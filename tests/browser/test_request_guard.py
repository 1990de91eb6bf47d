"""The request guard in Chromium: other hosts and other pages are refused, and this is shown.

Chromium resolves confab.test to this machine, as it would after DNS rebinding.
"""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.test_people import field, is_called, says
from tests.browser.test_reading import here
from tests.servers import ConfabServer, flask_run

pytestmark = [pytest.mark.browser, pytest.mark.servers]

OPEN_SOCKET = """
(url) => new Promise((resolve) => {
  const socket = new WebSocket(`${url}/socket.io/?EIO=4&transport=websocket`)
  socket.onopen = () => resolve("open")
  socket.onerror = () => resolve("refused")
})
"""
START_POLLING = """
(url) => fetch(`${url}/socket.io/?EIO=4&transport=polling`).then(() => "read", () => "refused")
"""
RECONNECT_MS = 20_000


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Callable[[], BrowserContext]]:
    """A function that opens a new browser context."""
    opened: list[BrowserContext] = []

    def open_context() -> BrowserContext:
        context = chromium.new_context(viewport={"width": 375, "height": 700})
        opened.append(context)
        return context

    yield open_context
    for each in opened:
        each.close()


@pytest.fixture
def other_site() -> Iterator[str]:
    """The URL of another program's page on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<h1>Other</h1>")

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{site.server_port}/"
        site.shutdown()
        thread.join()


def rebound(server: ConfabServer) -> str:
    """Return the URL of a server under a name that is not its own."""
    return server.url.replace("127.0.0.1", "confab.test")


def test_a_rebound_host_is_refused_with_the_setting_that_allows_it(
    server: ConfabServer, browser: Callable[[], BrowserContext]
) -> None:
    page = browser().new_page()
    page.set_default_timeout(15_000)

    response = page.goto(f"{rebound(server)}/kitchen/")

    assert response
    assert response.status == 400
    expect(page.get_by_role("heading", name="Address not allowed")).to_be_visible()
    expect(page.locator("code")).to_have_text(f"PUBLIC_URL={rebound(server)}")
    # The policy allows the style of the page.
    assert page.locator("pre").evaluate("(each) => getComputedStyle(each).userSelect") == "all"
    assert page.evaluate("document.documentElement.scrollWidth") == 375


@pytest.mark.parametrize("host", ["127.0.0.1", "confab.test"], ids=["another port", "a new name"])
def test_only_a_page_of_the_server_can_open_a_socket(
    tmp_path: Path, browser: Callable[[], BrowserContext], other_site: str, host: str
) -> None:
    with flask_run(tmp_path) as server:
        own = browser().new_page()
        own.goto(server.url)
        assert own.evaluate(OPEN_SOCKET, server.url.replace("http", "ws")) == "open"
        assert own.evaluate(START_POLLING, server.url) == "read"

        other = browser().new_page()
        other.goto(other_site.replace("127.0.0.1", host))
        assert other.evaluate(OPEN_SOCKET, server.url.replace("http", "ws")) == "refused"
        assert other.evaluate(START_POLLING, server.url) == "refused"
        assert f"(origin_refused): Host '127.0.0.1:{server.port}'" in server.log()


def test_a_page_shows_that_the_server_refuses_its_address(
    tmp_path: Path, browser: Callable[[], BrowserContext]
) -> None:
    with flask_run(tmp_path) as server:
        public_url = rebound(server)
        restart(server, PUBLIC_URL=public_url)
        page = browser().new_page()
        page.goto(f"{public_url}/kitchen/")
        is_called(here(page), "Ada")
        says(page, "hello")
        expect(page.locator("#m-1")).to_be_visible()

        restart(server, PUBLIC_URL="")
        says(page, "are you there?")

        connection = page.locator("#connection")
        expect(connection).to_contain_text(f"PUBLIC_URL={public_url}", timeout=RECONNECT_MS)
        expect(connection).not_to_contain_text("will be sent")
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        expect(field(page)).to_be_visible()

        restart(server, PUBLIC_URL=public_url)

        expect(page.locator("#m-2")).to_contain_text("are you there?", timeout=RECONNECT_MS)
        expect(connection).to_have_attribute("data-state", "hidden", timeout=RECONNECT_MS)


def test_the_page_works_at_an_ipv6_address(
    tmp_path: Path, browser: Callable[[], BrowserContext]
) -> None:
    complaints: list[str] = []
    with flask_run(tmp_path, FLASK_RUN_HOST="::") as server:
        page = browser().new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"http://[::1]:{server.port}/kitchen/")
        is_called(here(page), "Ada")
        says(page, "hello")

        expect(page.locator("#m-1")).to_contain_text("hello")
        assert opener_is_isolated(page)
    assert complaints == []


def restart(server: ConfabServer, **environment: str) -> None:
    """Restart a server with other settings."""
    server.stop()
    server.environment.update(environment)
    server.start()


def opener_is_isolated(page: Page) -> bool:
    """Return whether a page of another site that this page opens has no access to it."""
    page.context.route("http://other.test/", lambda route: route.fulfill(body="<h1>Other</h1>"))
    with page.expect_popup() as popup:
        page.evaluate("() => { window.open('http://other.test/') }")
    popup.value.wait_for_load_state()
    return bool(popup.value.evaluate("window.opener === null"))
