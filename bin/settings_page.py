"""Writes the tables of settings in docs/settings.md from config.py: python -m bin.settings_page.

With --check it writes nothing, and fails if the page is not current.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from config import Config, Settings, settings, variable_names

PAGE = Path("docs/settings.md")
COMMAND = ".venv/bin/python -m bin.settings_page"
BEGIN = f"<!-- The tables are generated from config.py by: {COMMAND} -->\n"
END = "<!-- end of the generated tables -->\n"


def main() -> int:
    """Write the page or check it; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    written = PAGE.read_text()
    current = replace_tables(written)
    if written == current:
        return 0
    if arguments.check:
        print(f"{PAGE} is not current: run {COMMAND}", file=sys.stderr)
        return 1
    PAGE.write_text(current)
    return 0


def replace_tables(page: str) -> str:
    """Return the page with its generated part made again."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join(lines())
    return f"{before}{BEGIN}\n{tables}\n\n{END}{after}"


def lines() -> Iterator[str]:
    """Return the lines of a table for each group of settings."""
    separator = ""
    for group in Config.__bases__:
        if not issubclass(group, Settings) or not settings(group):
            continue
        heading = (group.__doc__ or "").partition("\n")[0].removesuffix(".")
        yield f"{separator}### {heading}"
        yield "\n| Variable | Default | Meaning |\n|---|---|---|"
        for name, field in settings(group).items():
            yield f"| `{variable_names(name)[-1]}` | {default(field)} | {field.description} |"
        separator = "\n"


def default(field: FieldInfo) -> str:
    """Return the default of a setting: what it means, otherwise its value as it is written."""
    extra: Any = field.json_schema_extra
    if extra["default_meaning"]:
        return str(extra["default_meaning"])
    if isinstance(field.default, bool):
        return "`on`" if field.default else "`off`"
    return f"`{field.default}`"


if __name__ == "__main__":
    sys.exit(main())
