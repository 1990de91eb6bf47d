"""Reports: what is stored, who is listed, and when they are dealt with."""

import pytest
from flask import Flask

from chat.errors import Gone, NotFound
from chat.models import Room
from chat.storage.reports import (
    create_report,
    reportable_message,
    reports_of_room,
    reports_to_operator,
    resolve_report,
)
from tests.conftest import Client, create_room

CY = "c" * 16


def test_a_report_keeps_a_copy_of_the_message(app: Flask, ada: Client, kitchen: str) -> None:
    seq = ada.post("something bad")["seq"]
    with app.app_context():
        room = Room.find(kitchen)
        message = reportable_message(room, seq)
        create_report(room, CY, "It is bad.", message, to_operator=False)

        assert ada.ask("delete", {"seq": seq})["ok"]

        [report] = reports_of_room(room)
        assert (report.seq, report.handle, report.message) == (seq, "Ada", "something bad")
        assert (report.reporter, report.reason) == (CY, "It is bad.")
        assert report.target == room.mark(message.author)
        assert report.label == kitchen
        assert reports_to_operator() == []


def test_the_operator_sees_reports_of_all_rooms_that_are_for_the_operator(
    app: Flask, kitchen: str
) -> None:
    with app.app_context():
        rooms = [Room.find(kitchen), Room.find(create_room(app, "garden"))]
        for room in rooms:
            create_report(room, CY, room.label, None, to_operator=True)
            create_report(room, CY, "only for hosts", None, to_operator=False)

        assert [each.reason for each in reports_to_operator()] == ["garden", "kitchen"]
        assert [each.reason for each in reports_of_room(rooms[0])] == ["only for hosts", "kitchen"]


def test_a_resolved_report_is_listed_on_request_only(app: Flask, kitchen: str) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        report = create_report(room, CY, "", None, to_operator=True)

        resolve_report(report, room)
        resolve_report(report)

        assert reports_of_room(room) == reports_to_operator() == []
        [listed] = reports_of_room(room, include_resolved=True)
        assert listed.resolved_at is not None


def test_a_host_cannot_resolve_a_report_of_another_room(app: Flask, kitchen: str) -> None:
    with app.app_context():
        garden = Room.find(create_room(app, "garden"))
        report = create_report(Room.find(kitchen), CY, "", None, to_operator=False)

        with pytest.raises(NotFound):
            resolve_report(report, garden)
        with pytest.raises(NotFound):
            resolve_report(report + 1)

        assert len(reports_of_room(Room.find(kitchen))) == 1


def test_only_messages_of_people_can_be_reported(app: Flask, ada: Client, kitchen: str) -> None:
    deleted = ada.post("oops")["seq"]
    assert ada.ask("delete", {"seq": deleted})["ok"]
    renamed = ada.post("hello")["seq"] + 1
    assert ada.ask("rename", {"handle": "Adele"})["rev"] == renamed

    with app.app_context():
        room = Room.find(kitchen)
        with pytest.raises(Gone):
            reportable_message(room, deleted)
        for seq in (renamed, 999):
            with pytest.raises(NotFound):
                reportable_message(room, seq)
