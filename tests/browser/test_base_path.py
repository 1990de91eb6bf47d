"""A site below a path of its host in Chromium, with and without JavaScript."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.base_path import PATH_IN_HEADER, PATH_KEPT, sites_below_a_path
from tests.browser.conftest import DEFAULT_SETTINGS, PAGE_TIMEOUT_MS
from tests.browser.test_people import sees
from tests.browser.test_reading import here, says

pytestmark = [pytest.mark.browser, pytest.mark.servers]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with sites_below_a_path(tmp_path_factory.mktemp("sites")) as urls:
        yield urls


@pytest.mark.parametrize("style", [PATH_KEPT, PATH_IN_HEADER])
def test_a_room_below_a_path_works_with_and_without_javascript(
    chromium: Browser, sites: dict[str, str], style: str
) -> None:
    site = sites[style]
    problems: list[str] = []
    ada_context = chromium.new_context(ignore_https_errors=True, **DEFAULT_SETTINGS)
    ben_context = chromium.new_context(
        ignore_https_errors=True, java_script_enabled=False, **DEFAULT_SETTINGS
    )
    try:
        ada = ada_context.new_page()
        ben = ben_context.new_page()
        for page in (ada, ben):
            page.set_default_timeout(PAGE_TIMEOUT_MS)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on(
                "requestfinished",
                lambda request: problems.append(request.url) if site not in request.url else None,
            )
        room = new_room(ada, site)
        says(ada, "hello from Ada", "Ada")
        sees(ada, "hello from Ada")
        post_without_javascript(ben, room)
        check_page_of(ada, site, room)
    finally:
        ada_context.close()
        ben_context.close()
    assert problems == []


def new_room(ada: Page, site: str) -> str:
    """Create a room with the button of the home page; return its address."""
    ada.goto(f"{site}/")
    ada.get_by_role("button", name="New room").click()
    here(ada)
    assert ada.url.startswith(f"{site}/")
    return ada.url


def post_without_javascript(ben: Page, room: str) -> None:
    """Post with the form of a room, and open another page of it and come back."""
    ben.goto(room)
    expect(ben.locator(".message__text", has_text="hello from Ada")).to_have_count(1)
    ben.get_by_role("textbox", name="Your name").fill("Ben")
    ben.get_by_role("textbox", name="Message", exact=True).fill("hello from Ben")
    ben.get_by_role("button", name="Send").press("Enter")
    expect(ben.locator(".message__text", has_text="hello from Ben")).to_have_count(1)
    ben.get_by_role("link", name="Room settings").click()
    ben.get_by_role("link", name="Back to the room").click()
    assert ben.url == room


def check_page_of(ada: Page, site: str, room: str) -> None:
    """Check what Ada's page shows, keeps after a reload, and stores in the browser."""
    expect(ada.locator(".message__text", has_text="hello from Ben")).to_have_count(1)
    ada.reload()
    here(ada)
    expect(ada.locator(".message__text", has_text="hello from Ada")).to_have_count(1)
    expect(ada.get_by_role("textbox", name="Your name")).to_have_value("Ada")
    assert ada.locator("[data-link]").first.text_content() == room
    keys = ada.evaluate("() => Object.keys(localStorage)")
    assert keys
    assert all(key.startswith("confab/chat:") for key in keys)
    [cookie] = ada.context.cookies()
    assert (cookie["name"], cookie["path"]) == ("__Secure-confab", "/chat")
    ada.get_by_role("link", name="Confab home page").click()
    ada.locator("#recent-rooms a").click()
    here(ada)
    assert ada.url == room
    assert ada.url.startswith(site)
