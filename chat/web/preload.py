"""Lists the JavaScript modules that a page needs at once; browsers fetch them in parallel."""

import posixpath
import re
from functools import lru_cache
from pathlib import Path

from chat.web.static_files import STATIC

CLAUSE = r"(?:import\s+(?:[\w$*{},\s]+\sfrom\s+)?|export\s+[*{][\w$*{},\s]*\sfrom\s+)"
IMPORT = re.compile(rf"""^{CLAUSE}["'](\.{{1,2}}/[^"']+)["']""", re.MULTILINE)


@lru_cache
def preload_scripts(entry: str = "js/main.js", static: Path = STATIC) -> tuple[str, ...]:
    """Return what a module imports, directly and indirectly, in the order of the import statements.

    Names are relative to `static`. The entry itself and dynamic imports are left out.
    Raises FileNotFoundError when an imported file does not exist.
    """
    found: dict[str, None] = {}
    pending = [entry]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found[name] = None
        folder = posixpath.dirname(name)
        paths = IMPORT.findall((static / name).read_text())
        imported = [posixpath.normpath(posixpath.join(folder, path)) for path in paths]
        pending.extend(reversed(imported))
    return tuple(name for name in found if name != entry)
