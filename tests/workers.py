"""Workers in this process, which share a database and a Redis server, and their people.

Each is an app of its own. Their reconcilers poll seldom: what arrives has arrived over Redis.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from flask import Flask

from chat.delivery import reconciler
from chat.delivery.redis_names import RedisNames
from chat.services import Services, services_of
from config import Config
from tests.conftest import Client, create_room, in_room, open_app
from tests.servers import wait_until

SECRET_KEY = "the same for all workers"
NAMES = RedisNames(SECRET_KEY)


class Worker:
    """One worker. Its bus is started, and stopped when the context ends."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.app: Flask
        self._config = Config(
            instance=folder / "instance",
            secret_key=SECRET_KEY,
            limits=False,
            reaction_seconds=0,
            **settings,
        )
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self.app = self._cleanup.enter_context(open_app(self._config))
        self.services.bus.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @property
    def services(self) -> Services:
        """The services of the app."""
        return services_of(self.app)

    def enter(self, label: str = "kitchen", **data: Any) -> Client:
        """Return somebody who has entered a room, which is created if necessary."""
        create_room(self.app, label)
        client = self.connect(**data)
        return in_room(client, label)

    def connect(self, **data: Any) -> Client:
        """Return somebody who is in no room."""
        client = Client(self.app, None, **data)
        self._cleanup.callback(client.close)
        return client

    @property
    def presence_is_known(self) -> bool:
        """Whether the people of other workers in the rooms of this one are known."""
        return not self.services.presence.roster.labels_to_load()


@contextmanager
def workers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int = 2, **settings: Any
) -> Iterator[list[Worker]]:
    """Run so many workers."""
    monkeypatch.setattr(reconciler, "POLL_SECONDS", (60.0, 60.0))
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(folder, **settings)) for _ in range(number)]


def wait_for(received: Callable[[], list[Any]], number: int = 1) -> list[Any]:
    """Wait until a client has received so many more events; return what it received."""
    collected: list[Any] = []

    def is_complete() -> bool:
        collected.extend(received())
        return len(collected) >= number

    wait_until(is_complete)
    return collected


def texts(client: Client, number: int) -> list[str]:
    """Wait until a client has received so many messages; return their texts."""
    return [message["message"] for message in wait_for(lambda: client.received("chat"), number)]
