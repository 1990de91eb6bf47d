"""The rules of the code base: import direction, who may emit and commit, and how long a function may be."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHAT = ROOT / "chat"

# One staircase, from the ground floor up: a module imports only from the floors below its own.
FLOORS = [
    {"errors", "emoji"},
    {
        "payload",
        "text",
        "markdown",
        "files",
        "database",
        "instance",
        "together",
        "packets",
        "preload",
        "queue",
        "sessions",
    },
    {"leases", "engine"},
    {"models", "wire", "gate"},
    {"order", "identity", "broadcasts", "people"},
    {"heads", "revisions"},
    {"presence"},
    {"journal"},
    {"events", "changes", "views"},
    {"__init__"},
]
MAX_FUNCTION_LINES = 50


def source(module: str) -> Path:
    package = CHAT / module
    return package / "__init__.py" if package.is_dir() else CHAT / f"{module}.py"


def modules() -> set[str]:
    return {path.stem for path in CHAT.glob("*.py")} | {path.parent.name for path in CHAT.glob("*/__init__.py")}


def imported(path: Path) -> set[str]:
    """Full names of what a file imports when it runs; imports for type checkers alone do not run."""
    names: set[str] = set()
    tree = ast.parse(path.read_text())
    for_types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    skipped = {id(inner) for node in for_types for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def uses(module: str) -> set[str]:
    """The modules of the house that a module of the house imports."""
    names = {name.split(".")[1] for name in imported(source(module)) if name.startswith("chat.")}
    return (names & modules()) - {module}


def files_with(pattern: str) -> set[str]:
    return {
        str(path.relative_to(ROOT)) for path in python_files() if re.search(pattern, path.read_text(), re.MULTILINE)
    }


def python_files() -> list[Path]:
    return [ROOT / "app.py", ROOT / "config.py", ROOT / "gunicorn.conf.py", *CHAT.rglob("*.py")]


def test_every_module_has_its_floor() -> None:
    assert modules() == set.union(*FLOORS)


@pytest.mark.parametrize("floor", range(len(FLOORS)))
def test_imports_go_downstairs_only(floor: int) -> None:
    below = set().union(*FLOORS[:floor])
    for module in FLOORS[floor]:
        assert uses(module) <= below, f"{module} imports {uses(module) - below}"


def test_the_engine_and_the_settings_know_nothing_of_the_house_but_its_refusals() -> None:
    for path in [ROOT / "config.py", *(CHAT / "engine").rglob("*.py")]:
        names = {name for name in imported(path) if name.startswith("chat.") and not name.startswith("chat.engine")}
        assert all(name.startswith("chat.errors") for name in names), (path, names)


def test_only_broadcasts_emits() -> None:
    assert files_with(r"\.emit\(") == {"chat/broadcasts.py"}


def test_only_the_journal_writes() -> None:
    assert files_with(r"\bwriting\(\)") == {"chat/database.py", "chat/journal.py"}
    assert files_with(r"\.commit\(|\.flush\(|session\.add") == set()


def test_only_the_composition_root_and_the_doors_know_flask_socketio() -> None:
    assert files_with(r"^(from|import) flask_socketio") <= {"chat/__init__.py", "chat/events.py"}


def test_only_the_engine_knows_eventlet() -> None:
    for path in python_files():
        if "engine" not in path.parts and path.name != "gunicorn.conf.py":
            assert not any(name.split(".")[0] in ("eventlet", "gevent") for name in imported(path)), path


def test_only_the_settings_read_the_environment() -> None:
    # gunicorn's own settings tell ours how many workers there are.
    assert files_with(r"os\.environ|os\.getenv") == {"config.py", "gunicorn.conf.py"}


def test_nobody_patches_the_standard_library() -> None:
    assert files_with(r"monkey_patch\(") == set()


def test_text_enters_a_page_as_text() -> None:
    written = [*ROOT.glob("static/js/**/*.js"), *ROOT.glob("templates/*.html")]
    assert written
    for path in written:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\|\s*safe\b", path.read_text()), (
            path
        )


def test_nothing_comes_from_elsewhere() -> None:
    kinds = [ROOT.glob("static/js/**/*.js"), ROOT.glob("static/css/*.css"), ROOT.glob("templates/*.html")]
    scripts, sheets, templates = (list(files) for files in kinds)
    assert scripts
    assert sheets
    assert templates
    for path in [*scripts, *sheets, *templates]:
        assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", path.read_text()), path


def test_every_file_opens_with_what_it_is_for() -> None:
    for path in python_files():
        assert ast.get_docstring(ast.parse(path.read_text())), path
    scripts = list(ROOT.glob("static/js/**/*.js"))
    assert scripts
    for path in scripts:
        assert path.read_text().lstrip().startswith(("//", "/*")), path


def test_functions_have_at_most_fifty_lines() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert lengths
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


def test_the_lock_files_name_no_address() -> None:
    locks = "".join(path.read_text() for path in ROOT.glob("requirements/*.txt"))
    assert "--hash=sha256:" in locks
    assert not re.search(r"://|--index|--find-links|/tmp|file:", locks)
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()
