"""What the walkthrough relies on in each browser engine."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browsers.engines import ENGINES, running_browser
from tests.browsers.interface import Browser, BrowserError, by_role
from tests.servers import wait_until

START_SECONDS = 120  # for a browser, on a busy machine
pytestmark = [pytest.mark.browser, pytest.mark.servers, pytest.mark.timeout(START_SECONDS)]

PAGE = """
<!doctype html>
<label>Name <input></label>
<button style="display: none">Go</button>
<button onclick="this.textContent = 'Done'">Go</button>
<p style="height: 3000px"></p>
<button id="below" aria-label="Below">x</button>
<script>
  function fail() {
    console.warn("a warning")
    setTimeout(() => { throw new Error("an error") })
  }
  events = []
  for (const type of ["keydown", "input", "mousemove", "pointerdown", "touchstart", "click"]) {
    addEventListener(type, (event) => events.push([type, event.isTrusted]))
  }
</script>
"""
EVENTS = "() => events.splice(0).map(([type, isTrusted]) => isTrusted ? type : `untrusted ${type}`)"


@pytest.fixture(scope="module", params=ENGINES)
def browser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A browser of each engine, one after the other."""
    engine = ENGINES[request.param]
    with running_browser(engine, tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Browser:
    """The browser with PAGE."""
    browser.open(f"data:text/html,{quote(PAGE)}")
    browser.take_errors()
    return browser


def test_functions_get_arguments_and_return_what_their_promise_resolves_with(
    page: Browser,
) -> None:
    add = "async (object, number) => ({ sum: object.one + number, text: 'ä😀' })"
    assert page.evaluate(add, {"one": 1}, 2) == {"sum": 3, "text": "ä😀"}
    assert page.evaluate("() => undefined") is None
    with pytest.raises(BrowserError, match="on purpose"):
        page.evaluate("() => { throw new Error('on purpose') }")


def test_mouse_and_keyboard_create_trusted_events(page: Browser) -> None:
    page.click(by_role("textbox", "Name"))
    assert page.evaluate(EVENTS)[-2:] == ["pointerdown", "click"]
    page.type("aä")
    page.press("Shift+ArrowLeft")
    page.type("B")
    assert page.evaluate("() => document.querySelector('input').value") == "aB"
    assert set(page.evaluate(EVENTS)) == {"keydown", "input"}


def test_a_target_is_found_by_role_and_name_and_clicked_when_it_is_visible(page: Browser) -> None:
    page.click(by_role("button", "Go"))
    page.wait_until_shown(by_role("button", "Done"))
    assert page.count(by_role("button", "Go")) == 0
    page.click(by_role("button", "Below"))
    assert page.evaluate("() => scrollY") > 0
    assert page.evaluate("() => document.activeElement.id") in ("below", "")


def test_a_touch_clicks(page: Browser) -> None:
    page.touch(by_role("button", "Go"))
    page.wait_until_shown(by_role("button", "Done"))
    assert "click" in page.evaluate(EVENTS)


@pytest.mark.parametrize("size", [(1280, 800), (375, 667), (320, 568)])
def test_the_page_gets_exactly_the_size_that_was_asked_for(
    page: Browser, size: tuple[int, int]
) -> None:
    page.resize(*size)
    assert page.evaluate("() => [innerWidth, innerHeight]") == list(size)


def test_what_a_page_logs_as_an_error_or_a_warning_is_reported_once(page: Browser) -> None:
    page.evaluate("() => console.log('nothing')")
    assert page.take_errors() == []
    page.evaluate("() => fail()")
    errors: list[str] = []

    def have_both_arrived() -> bool:
        errors.extend(page.take_errors())
        return len(errors) == 2

    wait_until(have_both_arrived, what="both errors are reported")
    assert "a warning" in errors[0]
    assert "an error" in errors[1]
    assert page.take_errors() == []


def test_tabs_share_what_they_remember(page: Browser, tmp_path: Path) -> None:
    page.open("about:blank")
    page.open_tab()
    page.open(f"data:text/html,{quote('<title>second</title>')}")
    assert page.evaluate("() => document.title") == "second"
    page.screenshot(tmp_path / "picture.png")
    page.close_tab()
    assert page.evaluate("() => location.href") == "about:blank"
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_browser_leaves_no_process_behind_even_when_a_test_fails(
    engine: str, tmp_path: Path
) -> None:
    def fail_with_a_browser() -> None:
        with running_browser(ENGINES[engine], tmp_path):
            assert processes_in(tmp_path)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_with_a_browser()

    wait_until(lambda: not processes_in(tmp_path), what="all processes have ended")


def processes_in(folder: Path) -> list[str]:
    """Return the names of the processes whose home or profile is in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            known = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            name = (process / "comm").read_text().strip()
        except OSError:  # it has ended meanwhile
            continue
        if str(folder).encode() in known:
            found.append(name)
    return found
