"""The expiry that a host sets: what can be chosen, and what the room is told."""

import re
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


def test_a_host_may_choose_what_the_settings_say(
    make_app: Callable[[Config], Flask], tmp_path: Path
) -> None:
    config = Config(
        instance=tmp_path, limits=False, default_expiry=3 * DAY // 2, max_expiry=2 * DAY
    )
    app = make_app(config)
    salon = Salon(app, lambda: Client(app, None))
    page = app.test_client().get(f"/{salon.label}/").text
    options = re.search(r'<select[^>]* name="expiry">(.*?)</select>', page)

    assert options is not None
    assert re.findall(r'value="(\d+)">([^<]*)<', options[1]) == [
        ("3600", "1 hour"),
        ("86400", "24 hours"),
        ("129600", "36 hours"),
        ("172800", "2 days"),
    ]
    for seconds in (129_600, 172_800):
        assert salon.moderate("expiry", seconds=seconds)["ok"]
    assert salon.moderate("expiry", seconds=172_801)["code"] == "bad_request"


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
def test_durations_are_written_in_the_largest_unit_that_fits(seconds: int, name: str) -> None:
    assert duration_name(seconds) == name
