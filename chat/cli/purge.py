"""`flask confab purge`: delete now what has expired, and rewrite the database."""

from dataclasses import asdict

import click
from flask.cli import with_appcontext

from chat.cli.output import json_option, print_result
from chat.moderation.rules import utc_now
from chat.services import services
from chat.storage import vacuum
from chat.storage.purge import PurgeReport, preview


@click.command()
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option(
    "--vacuum",
    "rewrite",
    is_flag=True,
    help="Then rewrite the database, so that its files hold nothing of deleted texts. "
    "Nobody can write meanwhile; with PostgreSQL, nobody can read either.",
)
@json_option
@with_appcontext
def purge(*, dry_run: bool, rewrite: bool, as_json: bool) -> None:
    """Delete expired and cleared messages and closed rooms now.

    The server does this by itself, within a minute.
    """
    if dry_run and rewrite:
        raise click.UsageError("--vacuum has no meaning with --dry-run.")
    report = preview(utc_now()) if dry_run else services().purger.run_now()
    sentence = _sentence(report, "Would delete" if dry_run else "Deleted")
    if rewrite:
        vacuum.rewrite()
        sentence += " Rewrote the database."
    value = {**asdict(report), "dry_run": dry_run, "vacuumed": rewrite}
    print_result(sentence, value, as_json=as_json)


def _sentence(report: PurgeReport, verb: str) -> str:
    parts = (
        _count(report.messages, "message"),
        _count(report.rooms, "room"),
        _count(report.other_rows, "other row"),
    )
    return f"{verb} {parts[0]}, {parts[1]} and {parts[2]}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
