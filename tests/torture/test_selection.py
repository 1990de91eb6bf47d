"""A selection of short fault scenarios and all mutations, as part of every run of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import Postgres, postgres
from tests.torture.harness import Need, Scenario
from tests.torture.mutations import (
    MODERATED,
    REDIS_KILLED,
    Mutation,
    inject_nothing,
    mutations_in_use,
)
from tests.torture.runner import run_scenario
from tests.torture.scenarios import disconnect_all, kill_workers
from tests.torture.transports import ALL_TRANSPORTS

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(240)]

SEED = 1
SELECTION = (
    Scenario("F1", "a worker is killed", kill_workers, page_clients=40, short=True),
    Scenario(
        "F1",
        "one of four workers is killed, all transports",
        kill_workers,
        node_clients=6,
        python_clients=6,
        short=True,
        workers=4,
        transports=ALL_TRANSPORTS,
    ),
    Scenario(
        "F14",
        "16 clients are disconnected at once",
        disconnect_all,
        page_clients=16,
        senders=16,
        needs=frozenset({Need.PROXY_FOR_HALF}),
        short=True,
    ),
    REDIS_KILLED,
    MODERATED,
)


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as service:
        yield service


@pytest.mark.parametrize("scenario", SELECTION, ids=lambda scenario: scenario.title)
def test_nothing_is_lost_duplicated_or_out_of_order(scenario: Scenario) -> None:
    assert run_scenario(scenario, "SQLite", SEED, postgres=None).failures == []


def test_nothing_is_lost_duplicated_or_out_of_order_on_postgresql_without_faults(
    postgres_server: Postgres,
) -> None:
    scenario = Scenario("F0", "no fault", inject_nothing)

    assert run_scenario(scenario, "PostgreSQL", SEED, postgres_server).failures == []


@pytest.mark.parametrize("mutation", mutations_in_use(), ids=lambda mutation: mutation.patch)
def test_a_mutation_is_detected(
    mutation: Mutation, postgres_server: Postgres, tmp_path: Path
) -> None:
    tree = mutation.apply(tmp_path)

    outcome = run_scenario(mutation.scenario, mutation.database, SEED, postgres_server, tree=tree)

    assert mutation.is_detected(outcome.failures), outcome.failures
