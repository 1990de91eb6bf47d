"""The structure of the JavaScript: which modules may import which, and which may use the page."""

import posixpath
import re
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parent.parent / "static"
ENTRIES = {
    "js/about.js",
    "js/early.js",
    "js/host_link.js",
    "js/main.js",
    "js/secondary.js",
    "js/your_data.js",
}
# Each folder, and the folders whose modules it may import. Entries may import everything.
ALLOWED = {
    "lib": {"lib"},
    "state": {"lib", "state"},
    "net": {"lib", "state", "net", "vendor"},
    "view": {"lib", "state", "view"},
}
IMPORT = re.compile(
    r"""^(?:import\s+(?:[\w$*{},\s]+\sfrom\s+)?|export\s+[*{][\w$*{},\s]*\sfrom\s+)["']([^"']+)["']""",
    re.MULTILINE,
)
DYNAMIC_IMPORT = re.compile(
    r"""^(?!\s*(?:\*|//|/\*)).*\bimport\(["']([^"']+)["']\)""", re.MULTILINE
)
PAGE = re.compile(r"(?<![\w.\"'])(?:document|window)\b(?!:)")


def modules() -> dict[str, str]:
    """The source of each module, by its name below static/."""
    return {
        str(path.relative_to(STATIC)): path.read_text()
        for path in sorted(STATIC.glob("js/**/*.js"))
    }


def in_folder(folder: str) -> dict[str, str]:
    """The modules of a folder; there has to be one."""
    found = {name: source for name, source in modules().items() if name.startswith(f"js/{folder}/")}
    assert found, f"no module in static/js/{folder}"
    return found


def imports(name: str, source: str, pattern: re.Pattern[str] = IMPORT) -> set[str]:
    """The files that a module imports, by their names below static/."""
    paths = pattern.findall(source)
    assert all(path.startswith(".") for path in paths), (name, paths)
    return {posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) for path in paths}


def folder_of(name: str) -> str:
    """The folder below static/js/, or `vendor`, or the empty text for an entry."""
    if name.startswith("vendor/"):
        return "vendor"
    folder, _, file = name.removeprefix("js/").partition("/")
    return folder if file else ""


def without_comments(source: str) -> str:
    """The source without comments, as far as these checks need it."""
    without_blocks = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    return re.sub(r"(?<![:\"'])//.*", "", without_blocks)


def test_every_module_is_an_entry_or_in_a_known_folder() -> None:
    found = modules()

    assert {name for name in found if folder_of(name) == ""} == ENTRIES
    assert {folder_of(name) for name in found} == {"", *ALLOWED}


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_follow_the_direction_of_the_folders(folder: str) -> None:
    for name, source in in_folder(folder).items():
        for imported in imports(name, source):
            assert folder_of(imported) in ALLOWED[folder], f"{name} imports {imported}"
            assert (STATIC / imported).is_file(), f"{name} imports {imported}"
        assert imports(name, source, DYNAMIC_IMPORT) == set(), name


def test_only_the_socket_imports_socket_io() -> None:
    importing = {
        name
        for name, source in modules().items()
        if any(folder_of(imported) == "vendor" for imported in imports(name, source))
    }

    assert importing == {"js/net/socket.js"}


def test_there_is_no_import_cycle() -> None:
    found = modules()
    graph = {
        name: (imports(name, source) | imports(name, source, DYNAMIC_IMPORT)) & set(found)
        for name, source in found.items()
    }
    assert graph["js/main.js"] >= {"js/secondary.js", "js/net/socket.js"}

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for imported in sorted(graph[name]):
                visit(imported, (*path, name))
            done.add(name)

    done: set[str] = set()
    for name in graph:
        visit(name, ())
    assert done == set(found)


def test_every_module_is_imported() -> None:
    found = modules()
    imported = {
        other
        for name, source in found.items()
        for pattern in (IMPORT, DYNAMIC_IMPORT)
        for other in imports(name, source, pattern)
    }

    assert set(found) - imported == ENTRIES - {"js/secondary.js"}


@pytest.mark.parametrize("folder", ["state", "lib"])
def test_state_and_lib_do_not_use_the_page(folder: str) -> None:
    for name, source in in_folder(folder).items():
        assert PAGE.findall(without_comments(source)) == [], name


def test_views_are_found_to_use_the_page() -> None:
    using = [
        name for name, source in in_folder("view").items() if PAGE.search(without_comments(source))
    ]

    assert len(using) > 5, "the check for document and window finds nothing"


def test_view_modules_do_not_use_the_socket() -> None:
    for name, source in in_folder("view").items():
        assert not re.search(r"\bsocket\b|\bemit\(", without_comments(source)), name
