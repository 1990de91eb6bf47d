"""Forms that a page of another site sends to Confab, in Chromium."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route

from tests.browser.conftest import DEFAULT_SETTINGS
from tests.servers import flask_run

pytestmark = [pytest.mark.browser, pytest.mark.servers]

OTHER_SITE = "http://localhost:9/"  # another site than 127.0.0.1; the browser never connects to it
FORM_PAGE = (
    '<!doctype html><meta name="referrer" content="{referrer}">'
    '<form method="post" action="{action}"></form><script>document.forms[0].submit()</script>'
)


@pytest.mark.parametrize("referrer", ["origin", "no-referrer"])
@pytest.mark.parametrize("host", ["127.0.0.1", "confab.test"], ids=["secure", "plain http"])
@pytest.mark.parametrize("path", ["/new/", "/kitchen/"])
def test_a_form_of_another_site_does_not_replace_the_identity_of_a_visitor(
    tmp_path: Path, chromium: Browser, host: str, path: str, referrer: str
) -> None:
    """Chromium sends Sec-Fetch-Site only to the secure host, and no useful Origin in half of it."""
    with (
        flask_run(tmp_path, ALLOWED_HOSTS="*") as server,
        chromium.new_context(**DEFAULT_SETTINGS) as context,
    ):
        address = server.url.replace("127.0.0.1", host)
        form_page = FORM_PAGE.format(referrer=referrer, action=address + path)

        def answer(route: Route) -> None:
            route.fulfill(body=form_page, content_type="text/html")

        context.route(OTHER_SITE, answer)
        page = context.new_page()
        page.goto(f"{address}/kitchen/")
        [before] = context.cookies(address)

        with page.expect_response(address + path) as response:
            page.goto(OTHER_SITE)

        assert response.value.status == 400
        page.wait_for_url(address + path)
        [after] = context.cookies(address)
        assert after["value"] == before["value"]
