"""The arguments that commands share: rooms and people."""

import re
from typing import Any

import click

from chat.errors import NotFound
from chat.models import Room


class MarkType(click.ParamType[str]):
    """The mark of a person in a room, in 16 hexadecimal digits."""

    name = "mark"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:  # `value` is what click passes
        """Return the mark in lower case."""
        mark = str(value).lower()
        if not re.fullmatch("[0-9a-f]{16}", mark):
            self.fail(
                f"{value} is not a mark of 16 hexadecimal digits; `flask confab person find` "
                "lists them.",
                param,
                ctx,
            )
        return mark


MARK = MarkType()


def find_room(label: str) -> Room:
    """Return the room with this label. Raises NotFound, Busy."""
    try:
        return Room.find(label)
    except NotFound:
        raise NotFound(f"There is no room with the label {label}.") from None
