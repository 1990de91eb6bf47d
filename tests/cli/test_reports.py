"""`flask confab reports`."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from chat.models import Room
from chat.storage.reports import create_report, reportable_message
from tests.cli.conftest import Confab
from tests.moderation.conftest import Salon

Run = Callable[..., Any]


@pytest.fixture
def report(app: Flask, salon: Salon) -> int:
    """A report of what Ben wrote, to the operator, beside one that is for the hosts only."""
    with app.app_context():
        room = Room.find(salon.label)
        message = reportable_message(room, 4)
        create_report(room, salon.ada_mark, "for the hosts", None, to_operator=False)
        return create_report(room, salon.ada_mark, "rude", message, to_operator=True)


def test_reports_to_the_operator_are_listed(confab_json: Run, confab: Confab, report: int) -> None:
    [found] = confab_json("reports")

    assert found == confab_json("reports", "list")[0]
    assert found["id"] == report
    assert found["label"] == "salon"
    assert found["reason"] == "rude"
    assert found["message"] == "Ben is here"
    assert found["resolved_at"] is None
    assert "rude" in confab("reports").stdout


def test_all_reports_of_a_room_are_listed_on_request(confab_json: Run, report: int) -> None:
    found = confab_json("reports", "list", "--room", "salon")

    assert [each["reason"] for each in found] == ["rude", "for the hosts"]


def test_a_report_is_shown_and_resolved(confab_json: Run, confab: Confab, report: int) -> None:
    shown = confab_json("reports", "show", str(report))
    assert "Ben is here" in confab("reports", "show", str(report)).stdout

    resolved = confab_json("reports", "resolve", str(report))

    assert resolved == shown | {"resolved_at": resolved["resolved_at"]}
    assert resolved["resolved_at"] is not None
    assert confab_json("reports") == []
    assert confab_json("reports", "--resolved") == [resolved]


@pytest.mark.parametrize("command", ["show", "resolve"])
def test_a_report_that_does_not_exist_is_an_error(confab: Confab, command: str) -> None:
    result = confab("reports", command, "7")

    assert (result.exit_code, result.stderr) == (1, "Error: There is no such report.\n")
