"""Nobody becomes the host of a room while somebody else may be in it on another worker."""

from pathlib import Path

import pytest

from tests.clients import JSON, Node, Person
from tests.presence.test_presence_of_workers import all_see, members_on_each_worker
from tests.servers import gunicorn, wait_until
from tests.services import Redis

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


def become_host(person: Person) -> JSON:
    """Press *Become host*; return the answer."""
    return person.ask("moderate", {"action": "become_host"})


def test_nobody_becomes_host_while_people_on_another_worker_may_be_there(
    tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, REDIS_URL=redis_server.url) as server, Node() as node:
        server.room("kitchen")
        ada, ben = members_on_each_worker(node, server, 1)
        wait_until(lambda: all_see([ada, ben], {ada.mark, ben.mark}), what="both see both")
        assert become_host(ada.client)["code"] == "forbidden"

        redis_server.kill()
        while not ada.is_partial:
            assert become_host(ada.client)["code"] in ("forbidden", "busy")
        refused = become_host(ada.client)
        assert (refused["code"], refused["retry"]) == ("busy", True)
        assert "whether you are alone" in refused["message"]

        redis_server.start()
        wait_until(lambda: become_host(ada.client)["code"] == "forbidden", 20, "Ben is known again")
        wait_until(lambda: ben.mark in ada.people, what="Ada sees Ben again")
        ben.client.close()
        wait_until(lambda: become_host(ada.client)["ok"], 20, "Ada is alone")


def test_nobody_becomes_host_on_several_workers_without_redis(tmp_path: Path) -> None:
    with gunicorn(tmp_path, 2) as server, Node() as node:
        server.room("kitchen")
        ada = node.person(server.url)
        ada.join("kitchen")

        assert become_host(ada)["code"] == "busy"
