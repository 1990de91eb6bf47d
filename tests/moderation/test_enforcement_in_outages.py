"""What a host imposes is enforced as soon as the database is available again."""

import pytest

from chat.errors import Busy
from chat.models import Room
from chat.moderation import enforcement
from tests.moderation.conftest import Salon

ATTEMPTS = 300


class RoomsAfterOutage:
    """Finds rooms, but not in the first attempts."""

    def __init__(self) -> None:
        self.attempts = 0

    def find(self, label: str) -> Room:
        """Return a room. Raises Busy during the outage."""
        self.attempts += 1
        if self.attempts <= ATTEMPTS:
            raise Busy
        return Room.find(label)


def test_a_removed_person_is_disconnected_after_a_long_outage(
    salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_outage = RoomsAfterOutage()
    monkeypatch.setattr(enforcement, "Room", after_outage)
    monkeypatch.setattr(enforcement, "RETRY_SECONDS", 0.001)

    assert salon.moderate("remove", target=salon.ada_mark)["ok"]

    salon.wait_until_disconnected(salon.ada)
    assert after_outage.attempts > ATTEMPTS
    assert salon.ben.is_connected
