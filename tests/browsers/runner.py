"""Takes steps of the walkthrough; keeps pictures of the pages when one fails."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.browsers.engines import ENGINES
from tests.browsers.interface import Browser, BrowserError
from tests.browsers.walkthrough import STEPS_WITH_ERRORS, Step, Walk
from tests.servers import ConfabServer


def begin_walk(server: ConfabServer, browsers: dict[str, Browser], engine: str) -> Walk:
    """Open a new room in the browser of an engine, and in that of the next engine."""
    names = list(ENGINES)
    partner = names[(names.index(engine) + 1) % len(names)]
    return Walk.begin(server, browsers[engine], browsers[partner])


def take_step(walk: Walk, step: Step) -> None:
    """Take a step. Fails also when a page logs an error or a warning."""
    with pictures_of_failure(walk, step):
        _take_errors(walk)
        step(walk)
        errors = _take_errors(walk)
        assert step in STEPS_WITH_ERRORS or errors == [], errors


def title_of(step: Step) -> str:
    """Return the name of a step in words."""
    return step.__name__.replace("_", " ")


@cache
def picture_folder() -> Path:
    """Create the folder for the pictures of this run, which is left for whoever looks at them."""
    return Path(tempfile.mkdtemp(prefix="confab-walkthrough-"))


@contextmanager
def pictures_of_failure(walk: Walk, step: Step) -> Iterator[None]:
    """When a step fails, save pictures of both pages and open them anew for the next step."""
    try:
        yield
    except (AssertionError, BrowserError) as error:
        engine = walk.ada.browser.name
        for page in (walk.ada, walk.ben):
            name = f"{engine}-{step.__name__}-{page.person}.png"
            with suppress(BrowserError):
                page.browser.screenshot(picture_folder() / name)
        error.add_note(f"Pictures of the pages are in {picture_folder()}.")
        walk.open_pages()
        raise


def _take_errors(walk: Walk) -> list[str]:
    return [error for page in (walk.ada, walk.ben) for error in page.browser.take_errors()]
