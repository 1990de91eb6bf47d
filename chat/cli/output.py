"""What commands print and ask: tables for people, JSON for programs, and questions."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from chat.logs import escape

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(command: Function) -> Function:
    """Add the option --json, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def yes_option(command: Function) -> Function:
    """Add the option --yes, as the argument `yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask the operator, unless --yes was given. Raises ClickException, Abort."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.ClickException("This cannot be undone, and nobody can be asked: add --yes.")
    click.confirm(question, abort=True, err=True)


def print_json(value: object) -> None:
    """Print a value as one line of JSON, in ASCII."""
    click.echo(json.dumps(value))


def print_result(sentence: str, value: object, *, as_json: bool) -> None:
    """Print what a command has done: a sentence, or JSON."""
    if as_json:
        print_json(value)
    else:
        click.echo(escape(sentence))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns. Characters that could control the terminal are escaped."""
    cells = [list(headings), *([escape(_text(value)) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def print_properties(properties: Mapping[str, object]) -> None:
    """Print names and values, one in a line."""
    width = max(len(name) for name in properties) + 1
    for name, value in properties.items():
        click.echo(f"{name + ':':{width}}  {escape(_text(value))}")


def iso(when: datetime | None) -> str | None:
    """Return a time as it is on the wire: ISO 8601 in UTC, with milliseconds and `Z`."""
    if when is None:
        return None
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
