"""People under sanctions can still download and delete what is theirs; they cannot report."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chat.models import Room
from chat.storage.reports import reports_of_room
from tests.conftest import Client, in_room
from tests.moderation.conftest import Salon
from tests.pages import hidden_fields
from tests.storage.test_erasure import whole_database

ACTIONS = [
    ("mute", {"seconds": 3_600}),
    ("remove", {}),
    ("ban", {"address": True}),
    ("lock", {}),
    ("password", {"password": "open sesame"}),
    ("close", {}),
]


@pytest.fixture
def dora_browser(app: Flask, salon: Salon) -> FlaskClient:
    """The browser of Dora, who has visited the room."""
    browser = app.test_client()
    assert browser.get(f"/{salon.label}/").status_code == 200
    return browser


@pytest.fixture
def dora(
    open_client: Callable[..., Client], dora_browser: FlaskClient, salon: Salon
) -> tuple[Client, str]:
    """Dora, who has posted in the room, and her mark."""
    client = in_room(open_client(dora_browser), salon.label)
    assert client.post("the secret of Dora", handle="Dora")["ok"]
    return client, client.join(salon.label)["you"]["mark"]


def salon_action(salon: Salon, action: str, mark: str, arguments: dict[str, object]) -> None:
    """Let Hana perform an action, on the person with a mark if it is about a person."""
    target = {"target": mark} if action in ("mute", "remove", "ban") else {}
    assert salon.hana.ask("moderate", {"action": action, **target, **arguments})["ok"]


def delete_everything(browser: FlaskClient, label: str) -> str:
    """Delete everything without scripts; return the page that answers."""
    page = browser.get(f"/{label}/your-data")
    assert "You have" in page.text
    form = {"csrf": hidden_fields(page.text)["csrf"], "confirm": "yes"}
    return browser.post(f"/{label}/your-data/delete", data=form).text


@pytest.mark.parametrize(("action", "arguments"), ACTIONS)
def test_everything_can_be_deleted_whatever_the_hosts_have_done(
    app: Flask,
    salon: Salon,
    dora: tuple[Client, str],
    dora_browser: FlaskClient,
    action: str,
    arguments: dict[str, object],
) -> None:
    salon_action(salon, action, dora[1], arguments)

    exported = dora_browser.get(f"/{salon.label}/your-data/messages.json").get_json()
    page = delete_everything(dora_browser, salon.label)

    assert exported["messages"][0]["text"] == "the secret of Dora"
    assert "Everything you wrote in this room has been deleted." in page
    stored = whole_database(app)
    assert "the secret of Dora" not in stored
    assert "Dora" not in stored
    assert "Ada is here" in stored


def test_a_sanction_stays_in_force_when_everything_is_deleted(
    app: Flask, salon: Salon, dora: tuple[Client, str], dora_browser: FlaskClient
) -> None:
    salon.moderate("ban", target=dora[1])
    salon.ben.received()

    delete_everything(dora_browser, salon.label)

    assert dora_browser.get(f"/{salon.label}/").status_code == 403
    erased = salon.ben.received("change")
    announced = next(row for row in erased if row.get("kind") == "moderation")
    assert announced["deleted"]
    assert announced["message"] == announced["handle"] == announced["mark"] == ""
    assert set(announced["details"]) == {"rules"}
    assert dora[1] not in str(announced)


def test_lines_about_others_stay(
    salon: Salon, dora: tuple[Client, str], dora_browser: FlaskClient
) -> None:
    salon.moderate("mute", target=salon.ada_mark)
    salon.moderate("mute", target=dora[1])

    delete_everything(dora_browser, salon.label)

    texts = [row["message"] for row in salon.messages()]
    assert "Hana muted Ada" in texts
    assert "Hana muted Dora" not in texts


@pytest.mark.parametrize(("action", "arguments"), ACTIONS[1:3] + ACTIONS[4:])
def test_who_may_not_enter_cannot_report(
    app: Flask,
    salon: Salon,
    dora: tuple[Client, str],
    dora_browser: FlaskClient,
    action: str,
    arguments: dict[str, object],
) -> None:
    path = f"/{salon.label}/report"
    form = hidden_fields(dora_browser.get(f"{path}?seq=1").text)
    salon_action(salon, action, dora[1], arguments)

    shown = dora_browser.get(f"{path}?seq=1")
    answer = dora_browser.post(path, data=form)

    assert shown.status_code == answer.status_code
    assert answer.status_code in (401, 403, 410)
    assert "Hana is here" not in shown.text
    with app.app_context():
        assert reports_of_room(Room.find(salon.label)) == []


def test_a_muted_person_can_report(
    app: Flask, salon: Salon, dora: tuple[Client, str], dora_browser: FlaskClient
) -> None:
    salon.moderate("mute", target=dora[1])
    form = hidden_fields(dora_browser.get(f"/{salon.label}/report?seq=1").text)

    assert dora_browser.post(f"/{salon.label}/report", data=form).status_code == 303
    with app.app_context():
        [report] = reports_of_room(Room.find(salon.label))
    assert (report.message, report.reporter) == ("Hana is here", dora[1])
