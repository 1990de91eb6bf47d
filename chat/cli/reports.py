"""`flask confab reports`: what people have reported to the operator."""

from typing import Any

import click
from flask.cli import AppGroup

from chat.cli.arguments import find_room
from chat.cli.output import (
    iso,
    json_option,
    print_json,
    print_properties,
    print_result,
    print_table,
)
from chat.storage.reports import (
    StoredReport,
    find_report,
    reports_of_room,
    reports_to_operator,
    resolve_report,
)

resolved_option = click.option(
    "--resolved", is_flag=True, help="Also those that have been dealt with."
)
room_option = click.option(
    "--room", "label", metavar="LABEL", help="All reports of a room, also those for its hosts only."
)


@click.group(cls=AppGroup, invoke_without_command=True)
@resolved_option
@room_option
@json_option
@click.pass_context
def reports(ctx: click.Context, *, resolved: bool, label: str | None, as_json: bool) -> None:
    """List, show and resolve reports; without a command, list them."""
    if ctx.invoked_subcommand is None:
        _list(label, resolved=resolved, as_json=as_json)


@reports.command("list")
@resolved_option
@room_option
@json_option
def list_reports(*, resolved: bool, label: str | None, as_json: bool) -> None:
    """List the open reports to the operator, the latest first."""
    _list(label, resolved=resolved, as_json=as_json)


@reports.command()
@click.argument("report_id", metavar="ID", type=int)
@json_option
def show(*, report_id: int, as_json: bool) -> None:
    """Show a report with the copy of the message."""
    found = report_json(find_report(report_id))
    if as_json:
        print_json(found)
    else:
        print_properties({name.replace("_", " "): value for name, value in found.items()})


@reports.command()
@click.argument("report_id", metavar="ID", type=int)
@json_option
def resolve(*, report_id: int, as_json: bool) -> None:
    """Mark a report as dealt with."""
    resolve_report(report_id)
    found = report_json(find_report(report_id))
    print_result(f"Resolved the report {report_id}.", found, as_json=as_json)


def _list(label: str | None, *, resolved: bool, as_json: bool) -> None:
    if label is None:
        found = reports_to_operator(include_resolved=resolved)
    else:
        found = reports_of_room(find_room(label), include_resolved=resolved)
    if as_json:
        print_json([report_json(each) for each in found])
        return
    headings = ("id", "room", "number", "name", "reason", "reported", "resolved")
    print_table(headings, [_row(each) for each in found])


def report_json(report: StoredReport) -> dict[str, Any]:
    """Return what is printed of a report as JSON; docs/operations.md has the keys."""
    return {
        "id": report.id,
        "label": report.label,
        "seq": report.seq,
        "reporter": report.reporter,
        "reason": report.reason,
        "target": report.target,
        "handle": report.handle,
        "message": report.message,
        "to_operator": report.to_operator,
        "created_at": iso(report.created_at),
        "resolved_at": iso(report.resolved_at),
    }


def _row(report: StoredReport) -> tuple[object, ...]:
    return (
        report.id,
        report.label,
        report.seq,
        report.handle or None,
        report.reason or None,
        report.created_at,
        report.resolved_at,
    )
