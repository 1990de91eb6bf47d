"""The short form of the walkthrough in all three engines; `make browsers` takes all steps."""

from collections.abc import Iterator

import pytest

from tests.browsers.engines import ENGINES, running_browsers
from tests.browsers.interface import Browser
from tests.browsers.runner import begin_walk, take_step, title_of
from tests.browsers.walkthrough import SHORT_STEPS, STEPS, Step, Walk
from tests.servers import ConfabServer, gunicorn

START_SECONDS = 180  # for all programs, on a busy machine
pytestmark = [pytest.mark.browser, pytest.mark.servers, pytest.mark.timeout(START_SECONDS)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    """A server as in production."""
    with gunicorn(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Browser]]:
    """A browser of each engine."""
    with running_browsers(tmp_path_factory.mktemp("browsers")) as started:
        yield started


@pytest.fixture(scope="module", params=ENGINES)
def walk(
    request: pytest.FixtureRequest, server: ConfabServer, browsers: dict[str, Browser]
) -> Walk:
    """Ada's page in an engine, and Ben's in the next one."""
    return begin_walk(server, browsers, request.param)


@pytest.mark.parametrize("step", SHORT_STEPS, ids=title_of)
def test_a_step_of_the_walkthrough(walk: Walk, step: Step) -> None:
    take_step(walk, step)


def test_the_walkthrough_has_thirty_steps_of_which_ten_are_short() -> None:
    assert len(set(STEPS)) == 30
    assert len(set(SHORT_STEPS) & set(STEPS)) == 10
