"""What the attacks measured, as a table."""

from dataclasses import dataclass

HEADINGS = ("Attack", "Bound", "Measured", "Neighbours: p99 (messages)")


@dataclass(frozen=True)
class Row:
    """One measurement of an attack, its bound, and how the neighbours fared."""

    attack: str
    bound: str
    measured: str
    neighbours: str


def table(rows: list[Row]) -> str:
    """Return the measurements as a table in Markdown."""
    cells = [HEADINGS, *((row.attack, row.bound, row.measured, row.neighbours) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
