"""The rules of the code base: import direction, who may emit and commit, and the form of files."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHAT = ROOT / "chat"
MAX_FUNCTION_LINES = 50

# Lowest first: a module imports only from the layers below its own. `package.*` stands for all
# modules of a package, which may import each other as long as there is no cycle.
LAYERS = [
    {
        "answer_size",
        "clock",
        "current_config",
        "errors",
        "logs",
        "outage",
        "socket_server",
        "storage.driver_statement",
        "storage.instance_folder",
        "web.trusted_proxies",
        "engine.*",
    },
    {
        "background",
        "connection_limits",
        "delivery.bus",
        "delivery.redis_names",
        "delivery.redis_server",
        "delivery.rejected_messages",
        "delivery.replay_guard",
        "delivery.signatures",
        "limits",
        "moderation.address_hash",
        "moderation.expiry",
        "moderation.rules",
        "payload",
        "text.*",
        "storage.database",
        "storage.group_commit",
    },
    {"moderation.names"},
    {
        "join_timeout",
        "models",
        "moderation.tables",
        "storage.database_clock",
        "storage.migrations",
        "storage.readiness",
        "wire",
        "web.addresses",
        "web.base_path",
        "web.client_address",
        "web.retry_after",
        "web.labels",
        "web.middleware",
        "web.request_turns",
        "web.visits",
    },
    {"web.allowed_hosts", "web.plain_refusals"},
    {"storage.recent_claims", "web.request_guard", "web.room_links", "web.sessions"},
    {
        "broadcasts",
        "delivery.sequencer",
        "delivery.subscriptions",
        "identity",
        "storage.checkpoints",
        "storage.effects",
        "storage.host_links",
        "storage.people_search",
        "storage.room_deletion",
        "storage.leases",
        "storage.retention",
        "storage.secret_fingerprint",
        "storage.vacuum",
        "storage.surveys",
    },
    {
        "moderation.room_password",
        "storage.commands",
        "storage.known_names",
        "storage.purge",
        "storage.standings",
    },
    {
        "delivery.redis_bus",
        "event_limits",
        "presence.registry",
        "presence.roster",
        "storage.moderation_commands",
        "storage.personal_data",
        "storage.reactions",
        "storage.reports",
        "web.request_limits",
        "web.socket_limits",
        "web.static_files",
    },
    {"moderation.enforcement", "storage.audit", "web.forms", "web.health", "web.preload"},
    {"web.refusal_pages"},
    {"web.page_limits", "web.responses"},
    {
        "delivery.reconciler",
        "delivery.publisher",
        "limit_sharing",
        "presence.name_holder",
        "presence.tracker",
        "storage.erasure",
        "storage.journal",
        "storage.purger",
    },
    {"services"},
    {"membership"},
    {"dispatch", "moderation.actions", "moderation.people", "web.room_lookup"},
    {"web.password_form"},
    {
        "events",
        "message_events",
        "moderation.handlers",
        "moderation.views",
        "web.assets",
        "web.pages",
        "web.privacy",
        "web.report",
        "web.version",
        "web.well_known",
        "web.your_data",
    },
    {"cli.*"},
    {""},  # chat/__init__.py: the application factory
]
MAY_IMPORT_SERVICES = {
    "",
    "cli",
    "cli.people",
    "cli.rooms",
    "cli.sanctions",
    "cli.purge",
    "membership",
    "events",
    "message_events",
    "moderation.actions",
    "moderation.people",
    "moderation.views",
    "web.pages",
    "web.report",
    "web.room_lookup",
    "web.your_data",
}
MAY_USE_FLASK_SOCKETIO = {"chat/__init__.py"}


def module_name(path: Path) -> str:
    """Return a module's name below `chat`, as in `storage.journal`; "" for chat/__init__.py."""
    parts = path.relative_to(CHAT).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


@cache
def modules() -> dict[str, Path]:
    """Return the modules of the program that contain code, by name."""
    found = {module_name(path): path for path in CHAT.rglob("*.py")}
    return {name: path for name, path in found.items() if has_code(path)}


def has_code(path: Path) -> bool:
    """Return whether a file holds more than a docstring."""
    return len(ast.parse(path.read_text()).body) > 1


def imports(path: Path, *, for_types: bool = False) -> set[str]:
    """Return the full names that a file imports when it runs; with `for_types`, all of them."""
    tree = ast.parse(path.read_text())
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not for_types:
            skipped |= {id(inner) for inner in ast.walk(node)}
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def used_modules(name: str) -> set[str]:
    """Return the modules of the program that a module imports when it runs."""
    used = set()
    for imported in imports(modules()[name]):
        if imported != "chat" and not imported.startswith("chat."):
            continue
        used.add(module_of(imported.removeprefix("chat").removeprefix(".")))
    return used - {name}


def module_of(imported: str) -> str:
    """Return the module that provides an imported name: it, or the longest prefix that is one."""
    while imported not in modules() and imported:
        imported = imported.rpartition(".")[0]
    return imported


def layer_of(name: str) -> int:
    """Return the layer of a module."""
    package = name.partition(".")[0]
    found = [
        number
        for number, layer in enumerate(LAYERS)
        if name in layer or (f"{package}.*" in layer and (name == package or "." in name))
    ]
    assert len(found) == 1, f"the module {name!r} is in {len(found)} layers"
    return found[0]


def files_with(pattern: str) -> set[str]:
    """Return the Python files in which a pattern occurs."""
    return {
        str(path.relative_to(ROOT))
        for path in python_files()
        if re.search(pattern, path.read_text(), re.MULTILINE)
    }


def python_files() -> list[Path]:
    """Return the Python files of the program."""
    found = [ROOT / "app.py", ROOT / "config.py", ROOT / "gunicorn.conf.py", *CHAT.rglob("*.py")]
    assert len(found) > 30
    return found


def scripts() -> list[Path]:
    """Return the page's own scripts."""
    found = list((ROOT / "static" / "js").rglob("*.js"))
    assert len(found) > 20
    return found


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return a cycle of a graph; an empty list when there is none."""
    finished: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in finished:
            return []
        for following in sorted(graph.get(node, ())):
            if found := visit(following, [*path, node]):
                return found
        finished.add(node)
        return []

    for start in sorted(graph):
        if found := visit(start, []):
            return found
    return []


def test_every_module_has_one_layer() -> None:
    assert len(modules()) > 30
    for name in modules():
        layer_of(name)


def test_every_layer_names_modules_that_exist() -> None:
    names = set(modules()) | {f"{name.partition('.')[0]}.*" for name in modules() if "." in name}
    assert set().union(*LAYERS) <= names


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_from_the_layers_below_it(name: str) -> None:
    for used in used_modules(name):
        same_package = name.partition(".")[0] == used.partition(".")[0]
        is_below = layer_of(used) < layer_of(name)
        assert is_below or (same_package and layer_of(used) == layer_of(name)), (
            f"{name or 'chat/__init__'} imports {used}"
        )


def test_python_modules_have_no_import_cycle() -> None:
    assert cycle({name: used_modules(name) for name in modules()}) == []


def test_the_check_for_cycles_finds_one() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_the_settings_import_nothing_of_the_program() -> None:
    assert not {name for name in imports(ROOT / "config.py") if name.startswith("chat")}


def test_the_engine_imports_only_errors_of_the_program() -> None:
    engine = {name for name in modules() if name.partition(".")[0] == "engine"}
    assert len(engine) > 5
    for name in engine:
        used = {each for each in used_modules(name) if each.partition(".")[0] != "engine"}
        assert used <= {"errors"}, name


def test_only_the_factory_and_the_handlers_import_the_services() -> None:
    users = {name for name in modules() if "services" in used_modules(name)}
    assert users <= MAY_IMPORT_SERVICES
    assert "membership" in users


def test_commands_do_not_depend_on_the_wire() -> None:
    for path in (CHAT / "storage").glob("*.py"):
        assert not {name for name in imports(path, for_types=True) if "wire" in name}, path


def test_only_broadcasts_emits() -> None:
    assert files_with(r"\.emit\(") == {"chat/broadcasts.py"} | files_with(r"_broadcaster\.emit\(")
    assert files_with(r"socketio\.emit\(") == {"chat/broadcasts.py"}


def test_only_storage_writes() -> None:
    writers = files_with(r"\bwrite_transaction\(\)")
    assert "chat/storage/journal.py" in writers
    assert {path for path in writers if not path.startswith("chat/storage/")} == set()


def test_only_the_journal_writes_messages() -> None:
    writes = r"(insert|update)\((sa\.)?messages\)|insert\((sa\.)?rooms\)"
    assert files_with(writes) == {"chat/storage/journal.py"}


def test_only_the_purge_and_the_operator_delete_rows_of_messages_and_rooms() -> None:
    assert files_with(r"delete\((sa\.)?(messages|rooms)\)") == {
        "chat/storage/purge.py",
        "chat/storage/room_deletion.py",
    }


def test_only_storage_commits() -> None:
    assert files_with(r"\.commit\(|session\.(flush|add)") == set()


def test_only_the_factory_uses_flask_socketio() -> None:
    assert files_with(r"^(from|import) flask_socketio") == MAY_USE_FLASK_SOCKETIO


def test_only_the_engine_uses_eventlet() -> None:
    for path in python_files():
        if "engine" not in path.parts and path.name != "gunicorn.conf.py":
            libraries = {name.split(".")[0] for name in imports(path, for_types=True)}
            assert not libraries & {"eventlet", "gevent"}, path


def test_only_the_settings_read_the_environment() -> None:
    # gunicorn.conf.py hands on how many workers there are.
    assert files_with(r"os\.environ|os\.getenv") == {"config.py", "gunicorn.conf.py"}


def test_only_the_worker_class_patches_the_standard_library() -> None:
    assert files_with(r"monkey_patch\(") == {"chat/engine/gunicorn_worker.py"}


def test_the_worker_class_imports_nothing_of_ours_before_the_fork() -> None:
    # gunicorn's master loads it, and would pass on old code to new workers.
    tree = ast.parse((CHAT / "engine" / "gunicorn_worker.py").read_text())
    at_load = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]

    assert at_load
    assert not [node for node in at_load if "chat" in ast.unparse(node)]


def test_the_events_of_the_original_chat_are_the_only_ones_in_events() -> None:
    from chat import events, message_events  # noqa: PLC0415  # the other tests only read files

    assert set(events.EVENTS) == {"join", "chat", "since", "history", "typing", "leave"}
    assert set(message_events.EVENTS) == {"edit", "delete", "react", "rename", "title"}


def test_text_enters_a_page_as_text() -> None:
    written = [*scripts(), *ROOT.glob("templates/*.html")]
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\|\s*safe\b"
    for path in written:
        assert not re.search(forbidden, path.read_text()), path


def test_a_page_loads_nothing_from_another_site() -> None:
    sheets = list(ROOT.glob("static/css/*.css"))
    templates = list(ROOT.glob("templates/*.html"))
    assert sheets
    assert templates
    for path in [*scripts(), *sheets, *templates]:
        assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", path.read_text()), path


def test_every_file_begins_with_its_responsibility() -> None:
    for path in python_files():
        assert ast.get_docstring(ast.parse(path.read_text())), path
    for path in scripts():
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


def test_lock_files_contain_no_address() -> None:
    locks = "".join(path.read_text() for path in ROOT.glob("requirements/*.txt"))
    assert "--hash=sha256:" in locks
    assert not re.search(r"://|--index|--find-links|/tmp|file:", locks)
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()
