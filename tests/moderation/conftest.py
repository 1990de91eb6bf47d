"""A room with a host: Hana. Ada and Ben are in it too; Cy is in another room."""

import time
from collections.abc import Callable

import pytest
from flask import Flask

from tests.conftest import JSON, Client, create_room, in_room

SALON = "salon"
PATIENCE_SECONDS = 10.0


class Salon:
    """A room whose host is Hana. Each person has posted once, so that they have a handle."""

    def __init__(self, app: Flask, open_client: Callable[..., Client]) -> None:
        self.app = app
        self.open_client = open_client
        self.label = create_room(app, SALON)
        self.hana, self.hana_mark = self.enter("Hana")
        assert self.moderate("become_host")["ok"]
        self.ada, self.ada_mark = self.enter("Ada")
        self.ben, self.ben_mark = self.enter("Ben")
        for client in (self.hana, self.ada, self.ben):
            client.received()

    def enter(self, handle: str) -> tuple[Client, str]:
        """Connect somebody, who posts once; return the client and the mark."""
        client = self.open_client()
        mark = client.join(self.label)["you"]["mark"]
        assert client.post(f"{handle} is here", handle=handle)["ok"]
        return client, mark

    def moderate(self, action: str, who: Client | None = None, **arguments: object) -> JSON:
        """Perform an action, by default as Hana; return the answer."""
        return (who or self.hana).ask("moderate", {"action": action, **arguments})

    def wait_until_disconnected(self, client: Client) -> None:
        """Wait until the server has disconnected a client, which it does in the background."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while client.is_connected:
            assert time.monotonic() < deadline, "the client is still connected"
            time.sleep(0.01)

    def messages(self) -> list[JSON]:
        """Return the last messages of the room as the database has them."""
        reader = self.open_client()
        answer: list[JSON] = in_room(reader, self.label).ask("history", {})["messages"]
        reader.close()
        return answer


@pytest.fixture
def salon(app: Flask, open_client: Callable[..., Client]) -> Salon:
    """A room with a host, Hana; Ada and Ben are in it too."""
    return Salon(app, open_client)
