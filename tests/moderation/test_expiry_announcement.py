"""What the room is told when a host sets the expiry: never more than the server keeps."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from chat.storage.moderation_commands import duration_name
from config import Config
from tests.conftest import Client
from tests.moderation.conftest import Salon

DAY = 86_400


@pytest.mark.parametrize(
    ("longest", "chosen", "sentence"),
    [
        (0, 7 * DAY, "Hana set messages to disappear after 7 days"),
        (0, 0, "Hana set messages to be kept"),
        (7 * DAY, 0, "Hana set messages to disappear after 7 days"),
        (7 * DAY, 365 * DAY, "Hana set messages to disappear after 7 days"),
        (7 * DAY, DAY, "Hana set messages to disappear after 24 hours"),
        (2 * DAY, 7 * DAY, "Hana set messages to disappear after 2 days"),
    ],
)
def test_the_announcement_names_how_long_messages_are_kept(
    make_app: Callable[[Config], Flask], tmp_path: Path, longest: int, chosen: int, sentence: str
) -> None:
    app = make_app(Config(instance=tmp_path, limits=False, max_expiry=longest))
    salon = Salon(app, lambda: Client(app, None))

    assert salon.moderate("expiry", seconds=chosen)["ok"]

    [announcement] = salon.ada.received("chat")
    assert announcement["message"] == sentence
    assert announcement["details"]["rules"]["expiry_seconds"] == (
        min(chosen or longest, longest) if longest else chosen
    )


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (90, "90 seconds"),
        (120, "2 minutes"),
        (7_200, "2 hours"),
        (DAY, "24 hours"),
        (2 * DAY, "2 days"),
        (90 * DAY, "90 days"),
        (730 * DAY, "730 days"),
    ],
)
def test_durations_have_the_names_that_the_page_gives_them(seconds: int, name: str) -> None:
    assert duration_name(seconds) == name
