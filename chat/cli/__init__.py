"""The commands of the operator: `flask confab ...`. docs/operations.md describes them.

A command has a process and an app of its own. What it changes goes through the journal, as what a
worker changes: it takes a number, and the workers broadcast it.
"""

from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup, ScriptInfo, with_appcontext

from chat.cli.people import person
from chat.cli.purge import purge
from chat.cli.reports import reports
from chat.cli.rooms import room, rooms
from chat.cli.sanctions import ban, bans, unban
from chat.cli.schema import schema
from chat.current_config import current_config
from chat.errors import Busy, Refusal
from chat.services import services
from chat.storage import migrations
from chat.storage.instance_folder import startup_lock
from config import StartupError

UNAVAILABLE = "The database cannot be used at the moment: it is locked, full or unreachable."


class OperatorGroup(AppGroup):
    """The group of the commands. A refusal ends a command with its sentence and the status 1."""

    def invoke(self, ctx: click.Context) -> Any:  # as click declares it
        """Run the command that was asked for. Raises ClickException."""
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            raise click.ClickException(_sentence(refusal)) from refusal
        except StartupError as error:
            raise click.ClickException(error.sentence) from error


def _sentence(refusal: Refusal) -> str:
    text = str(refusal)
    is_unexplained = isinstance(refusal, Busy) and text == Busy.message
    return UNAVAILABLE if is_unexplained else text


@click.group("confab", cls=OperatorGroup, invoke_without_command=True)
@click.pass_context
@with_appcontext
def group(ctx: click.Context) -> None:
    """Operate Confab, while it runs or is stopped."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        return
    if ctx.invoked_subcommand != schema.name:
        _prepare_database(ctx.ensure_object(ScriptInfo).load_app())
    services().bus.publish_synchronously()
    ctx.call_on_close(_leave_the_file_as_it_is)


def _prepare_database(app: Flask) -> None:
    """Do what the start of a server does with the database. Raises StartupError and Busy."""
    with startup_lock(current_config().instance):
        migrations.migrate_to_latest(app)
    services().secret_key_check.run()
    services().database_clock.synchronize()


def _leave_the_file_as_it_is() -> None:
    """Prevent that the database is rewritten when this process ends: workers may be using it."""
    services().journal.has_erased_text = False


for command in (rooms, room, person, ban, unban, bans, purge, reports, schema):
    group.add_command(command)


def init_app(app: Flask) -> None:
    """Add the commands to those of Flask."""
    app.cli.add_command(group)
