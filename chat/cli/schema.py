"""`flask confab schema`: show, upgrade and downgrade the schema of the database."""

import click
from flask.cli import with_appcontext

from chat.cli.output import (
    confirm,
    json_option,
    print_json,
    print_properties,
    print_result,
    yes_option,
)
from chat.current_config import current_config
from chat.storage import migrations
from chat.storage.instance_folder import startup_lock
from chat.storage.migrations import Schema
from chat.wire import JSON


@click.command()
@click.option("--upgrade", "upgrades", is_flag=True, help="Bring the database up to date.")
@click.option(
    "--downgrade",
    "target",
    metavar="REVISION",
    help="Take the database back to the schema of an older release. Stop the servers first.",
)
@yes_option
@json_option
@with_appcontext
def schema(*, upgrades: bool, target: str | None, yes: bool, as_json: bool) -> None:
    """Show which schema the database has, or change it.

    A server upgrades the database by itself when it starts.
    """
    if upgrades and target is not None:
        raise click.UsageError("Choose one of --upgrade and --downgrade.")
    if upgrades:
        _upgrade(as_json=as_json)
    elif target is not None:
        _downgrade(target, yes=yes, as_json=as_json)
    else:
        _show(migrations.read_schema(), as_json=as_json)


def _show(found: Schema, *, as_json: bool) -> None:
    if as_json:
        print_json(_schema_json(found))
        return
    properties = {
        "database": found.revision,
        "usable from": found.compatible_from,
        "this release": found.latest,
        "state": _state(found),
    }
    print_properties(properties)


def _state(found: Schema) -> str:
    if found.revision is None:
        return "no tables yet"
    if found.is_newer and found.is_usable:
        return "of a newer release; this release can use it"
    if found.is_newer:
        return "of a newer release; this release cannot use it"
    if found.pending:
        return f"to be upgraded: {', '.join(found.pending)}"
    return "up to date"


def _schema_json(found: Schema) -> JSON:
    return {
        "revision": found.revision,
        "compatible_from": found.compatible_from,
        "latest": found.latest,
        "pending": list(found.pending),
        "usable": found.is_usable,
    }


def _upgrade(*, as_json: bool) -> None:
    with startup_lock(current_config().instance):
        before = migrations.read_schema()
        migrations.upgrade_to_latest()
        after = migrations.read_schema()
    if before.revision == after.revision:
        sentence = f"Nothing to do: the database has schema {after.revision}."
    elif before.revision is None:
        sentence = f"Created the tables with schema {after.revision}."
    else:
        sentence = f"Upgraded the database from schema {before.revision} to {after.revision}."
    print_result(sentence, _schema_json(after), as_json=as_json)


def _downgrade(target: str, *, yes: bool, as_json: bool) -> None:
    before = migrations.read_schema()
    before.check_can_downgrade_to(target)
    question = (
        f"Downgrade the database from schema {before.revision} to {target}? What the older schema "
        "has no place for is deleted; make a backup first."
    )
    confirm(question, yes=yes)
    with startup_lock(current_config().instance):
        migrations.downgrade_to(target)
        after = migrations.read_schema()
    sentence = (
        f"Downgraded the database from schema {before.revision} to {after.revision}. Now start the "
        "older release: this one would upgrade it again."
    )
    print_result(sentence, _schema_json(after), as_json=as_json)
