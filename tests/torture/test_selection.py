"""Some evenings of the torture, short ones, and the checker's own test: what fits into every run of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import Postgres, postgres
from tests.torture.__main__ import scenario
from tests.torture.mutations import MUTATIONS, Mutation, nothing_happens, redis_is_dead
from tests.torture.scenarios import BAD_LINE, TWO_HOSTS, a_worker_is_killed, everybody_is_cut_off
from tests.torture.stage import Fault

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(240)]

SEED = 1
EVENINGS = (
    Fault("F1", "a worker is killed", a_worker_is_killed, people=40, talkers=10, brief=True),
    Fault(
        "F14",
        "some are cut off at once",
        everybody_is_cut_off,
        people=16,
        needs=BAD_LINE,
        brief=True,
    ),
    Fault(
        "M4",
        "Redis is dead while one talks",
        redis_is_dead,
        talkers=1,
        rate=4,
        bots=0,
        needs=TWO_HOSTS,
    ),
)


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as service:
        yield service


@pytest.mark.parametrize("fault", EVENINGS, ids=lambda fault: fault.sentence)
def test_nothing_is_lost_doubled_or_out_of_order(fault: Fault) -> None:
    assert scenario(fault, "SQLite", SEED, None).broken == []


def test_an_evening_on_postgres_on_which_nothing_happens_is_as_promised(
    postgres_server: Postgres,
) -> None:
    calm = Fault("F0", "nothing happens", nothing_happens, bots=3)
    assert scenario(calm, "PostgreSQL", SEED, postgres_server).broken == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.patch)
def test_a_program_broken_on_purpose_is_found_out(
    mutation: Mutation, postgres_server: Postgres, tmp_path: Path
) -> None:
    tree = mutation.plant(tmp_path)

    outcome = scenario(mutation.fault, mutation.database, SEED, postgres_server, tree=tree)

    assert mutation.is_found(outcome.broken), outcome.broken
