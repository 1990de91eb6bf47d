"""The documentation matches the code: events, keys, settings, commands, limits, routes, modules."""

import ast
import importlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from flask import Flask

from chat import errors, events, message_events, wire
from chat.models import MessageRow, Room
from chat.moderation import handlers as moderation_handlers
from chat.payload import Payload
from chat.services import services_of
from chat.web import labels
from config import Config, ProtocolLimits, Rate, settings, variable_names
from tests.clients import Node
from tests.conftest import Client
from tests.pages import embedded_answer
from tests.servers import ConfabServer, flask_run, gunicorn, wait_until
from tests.torture.report import title
from tests.torture.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (DOCS / "architecture.md").read_text()
DELIVERY = (DOCS / "delivery.md").read_text()
DEVELOPMENT = (DOCS / "development.md").read_text()
PROTOCOL = (DOCS / "protocol.md").read_text()
SCALING = (DOCS / "scaling.md").read_text()
USING = (DOCS / "using.md").read_text()
SETTINGS = (DOCS / "settings.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), ROOT / "bench" / "README.md"])

EVENTS = events.EVENTS | message_events.EVENTS | moderation_handlers.EVENTS
PATH = re.compile(r"(?:chat|bench|bin|docs|migrations|static|templates|tests)/[\w./-]*")
NAME = re.compile(r"([a-z_]+(?:\.[a-z_]+)*)\.(\w+)(?:\(.*\))?")

Row = dict[str, str]


def section(page: str, heading: str) -> str:
    """Return the text under a heading of the second level."""
    pattern = rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)"
    found = re.search(pattern, page, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {heading}"
    return found[1]


def tables(page: str, heading: str) -> list[list[Row]]:
    """Return the tables in a section, each as rows by column."""
    parsed = []
    for found in re.findall(r"(?:^\|.*\n)+", section(page, heading), re.MULTILINE):
        lines = [[cell.strip() for cell in line[1:-1].split("|")] for line in found.splitlines()]
        names, _, *rows = lines
        parsed.append([dict(zip(names, row, strict=True)) for row in rows])
    return parsed


def table(page: str, heading: str) -> list[Row]:
    """Return the only table in a section."""
    [only] = tables(page, heading)
    return only


def code(text: str) -> list[str]:
    """Return the code spans in a text."""
    return re.findall(r"`([^`\n]+)`", text)


def keys(cell: str) -> dict[str, bool]:
    """Return the keys in a cell, and whether each is always present."""
    return {key.removesuffix("?"): not key.endswith("?") for key in code(cell)}


def by_code(rows: list[Row], column: str) -> dict[str, Row]:
    """Return the rows of a table by the first code span of a column, which must be unique."""
    found = {code(row[column])[0]: row for row in rows}
    assert len(found) == len(rows), f"a row is there twice under {column}"
    return found


def payload(event: str) -> type[Payload]:
    """Return the class that parses an event."""
    parser: type[Payload] = getattr(wire, event.capitalize())
    return parser


# Links, paths, names and commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_mentioned_exist(page: Path) -> None:
    for span in code(page.read_text()):
        if PATH.fullmatch(span):
            assert (ROOT / span).exists(), span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_functions_and_constants_that_are_mentioned_exist(page: Path) -> None:
    modules = python_modules()
    for span in code(page.read_text()):
        name = NAME.fullmatch(span)
        if name and name[1] in modules and name[2] != "py":
            assert name[2] in names_in(importlib.import_module(modules[name[1]])), span


def python_modules() -> dict[str, str]:
    """Return the full names of the modules of `chat`, by their last part and below `chat`."""
    found = {}
    for path in (ROOT / "chat").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        below_chat = ".".join(parts[1:])
        found[parts[-1]] = found[below_chat] = ".".join(parts)
    return found


def names_in(module: ModuleType) -> set[str]:
    """Return what a module and its classes define."""
    found = set(vars(module))
    for value in vars(module).values():
        if isinstance(value, type):
            found.update(vars(value))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_commands_that_are_mentioned_exist(page: Path) -> None:
    text = page.read_text()
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    spans = "\n".join(code(text))
    targets = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)

    mentioned = re.findall(r"\bmake ([a-z][a-z-]*)", f"{blocks}\n{spans}")
    assert set(mentioned) <= set(targets)


def test_every_make_command_is_documented() -> None:
    targets = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)

    documented = by_code(table(DEVELOPMENT, "Commands"), "Command")
    assert {f"make {target}" for target in targets} - {"make help"} == set(documented)


# The modules


def modules_with_code() -> set[str]:
    """Return the paths of the modules that contain more than a docstring."""
    paths = [*(ROOT / "chat").rglob("*.py"), *ROOT.glob("*.py")]
    with_code = [path for path in paths if len(ast.parse(path.read_text()).body) > 1]
    return {str(path.relative_to(ROOT)) for path in with_code}


def test_every_module_is_listed_once() -> None:
    rows = [row for rows in tables(DEVELOPMENT, "Where things are") for row in rows]

    assert set(by_code(rows, "Module")) == modules_with_code()


def test_every_event_is_listed_with_the_module_that_handles_it() -> None:
    rows = [row for rows in tables(DEVELOPMENT, "Where things are") for row in rows]
    documented = by_code(rows, "Module")

    for module, handlers in {
        "chat/events.py": events.EVENTS,
        "chat/message_events.py": message_events.EVENTS,
        "chat/moderation/handlers.py": moderation_handlers.EVENTS,
    }.items():
        assert set(code(documented[module]["Job"])) == set(handlers)


def test_every_package_is_described_in_the_architecture() -> None:
    packages = {f"chat/{path.parent.name}/" for path in (ROOT / "chat").glob("*/__init__.py")}

    assert packages <= set(code(section(ARCHITECTURE, "Subsystems")))


# The delivery guarantee


def last_full_run() -> list[Row]:
    """Return the table of the last full run of the fault scenarios."""
    return table(DELIVERY, "The last full run")


def test_the_table_of_the_last_full_run_has_a_row_for_every_scenario_that_existed() -> None:
    titles = [title(each, database) for each in SCENARIOS for database in each.databases]
    [added] = re.findall(r"^Added after the run below: (.+)\.$", DELIVERY, re.MULTILINE)
    added_numbers = set(added.split(", "))

    expected = [each for each in titles if each.split()[0] not in added_numbers]
    assert [row["Scenario"] for row in last_full_run()] == expected
    assert added_numbers < {each.number for each in SCENARIOS}


def test_in_the_last_full_run_no_message_was_lost_duplicated_or_reordered() -> None:
    for row in last_full_run():
        assert (row["Lost"], row["Duplicated"], row["Out of order"]) == ("0", "0", "0"), row


def test_the_summary_of_the_last_full_run_has_the_sums_of_its_table() -> None:
    [summary] = re.findall(r"^> \d+ .*$", section(DELIVERY, "The last full run"), re.MULTILINE)
    acknowledged = sum(int(row["Acknowledged"]) for row in last_full_run())

    numbers = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", summary)]
    assert numbers == [len(last_full_run()), acknowledged, 0, 0, 0]
    assert summary in README


def test_the_last_full_run_names_its_seed_commit_and_date() -> None:
    text = section(DELIVERY, "The last full run")

    for fact in (r"\bSEED=\d+", r"`[0-9a-f]{7,40}`", r"\b\d{4}-\d\d-\d\d\b"):
        assert re.search(fact, text), fact


def test_scenarios_with_a_longer_delay_than_guaranteed_are_named_as_exceptions() -> None:
    [seconds] = set(re.findall(r"([\d.]+) seconds", section(DELIVERY, "The guarantee")))
    late = {
        row["Scenario"].split()[0]
        for row in last_full_run()
        if float(row["Worst delay"].split()[0]) > float(seconds)
    }

    assert late <= set(re.findall(r"\bF\d+\b", section(DELIVERY, "What is not guaranteed")))


# The wire


def test_every_event_that_clients_send_is_documented_with_its_keys() -> None:
    rows = by_code(table(PROTOCOL, "Events you send"), "Event")
    documented = {event: keys(row["Payload"]) for event, row in rows.items()}

    fields = {event: payload(event).model_fields for event in EVENTS}
    assert documented == {
        event: {key: field.is_required() for key, field in of_event.items()}
        for event, of_event in fields.items()
    }


def test_every_key_that_clients_send_is_documented() -> None:
    documented = by_code(table(PROTOCOL, "Keys you send"), "Key")

    assert set(documented) == {key for event in EVENTS for key in payload(event).model_fields}


def test_defaults_and_bounds_of_limit_are_documented() -> None:
    meaning = by_code(table(PROTOCOL, "Keys you send"), "Key")["limit"]["Meaning"]

    low, high, since, history = (int(number) for number in re.findall(r"\d+", meaning))
    assert (since, history) == (wire.Since(after=0).limit, wire.History().limit)
    for within in (low, high):
        assert wire.History.parse({"limit": within}).limit == within
    for beyond in (low - 1, high + 1):
        with pytest.raises(errors.BadRequest):
            wire.History.parse({"limit": beyond})


def test_every_acknowledgement_has_the_keys_that_are_documented(
    app: Flask, ada: Client, kitchen: str, open_client: Callable[..., Client]
) -> None:
    message = {"handle": "Ada", "message": "hello", "id": "a-random-id-of-16"}
    answers = [
        ("chat", ada.ask("chat", message)),
        ("chat", ada.ask("chat", message)),
        ("edit", ada.ask("edit", {"seq": 1, "message": "hello, all"})),
        ("react", ada.ask("react", {"seq": 1, "emoji": "👍", "on": True})),
        ("rename", ada.ask("rename", {"handle": "Ada L."})),
        ("delete", ada.ask("delete", {"seq": 1})),
        ("title", ada.ask("title", {"name": "Tea"})),
        ("typing", ada.ask("typing", {"handle": "Ada"})),
        ("since", ada.ask("since", {"after": 0})),
        ("history", ada.ask("history", {})),
        ("join", ada.ask("join", {"label": kitchen})),
        ("join", ada.ask("join", {"label": kitchen, "after": 0})),
        ("join", with_partial_presence(app, lambda: ada.ask("join", {"label": kitchen}))),
        *answers_of_a_host(ada, open_client(), kitchen),
        ("leave", ada.ask("leave", {})),
    ]

    assert all(answer.pop("ok") for _, answer in answers)
    documented = by_code(table(PROTOCOL, "Events you send"), "Event")
    for event in EVENTS:
        of_event = [answer for name, answer in answers if name == event]
        assert keys(documented[event]["Acknowledgement"]) == presence_of_keys(of_event)
    explained = by_code(table(PROTOCOL, "Keys in acknowledgements"), "Key")
    assert set(explained) == {key for _, answer in answers for key in answer}


def answers_of_a_host(host: Client, guest: Client, label: str) -> list[tuple[str, wire.JSON]]:
    """Return the answers to the actions of a host, and to reads after the history was cleared."""
    answers = [host.ask("moderate", {"action": "become_host"})]
    mark = guest.join(label)["you"]["mark"]
    guest.post("rude", handle="Ben")
    answers += [
        host.ask("moderate", {"action": "host_link"}),
        host.ask("moderate", {"action": "delete_all", "target": mark}),
        host.ask("moderate", {"action": "clear"}),
    ]
    return [
        *(("moderate", answer) for answer in answers),
        ("since", host.ask("since", {"after": 0})),
        ("history", host.ask("history", {})),
        ("join", host.ask("join", {"label": label})),
    ]


def with_partial_presence(app: Flask, ask: Callable[[], wire.JSON]) -> wire.JSON:
    """Return an answer that is given while other workers cannot be reached."""
    services_of(app).presence.partial = True
    answer = ask()
    services_of(app).presence.partial = False
    return answer


def presence_of_keys(payloads: list[wire.JSON]) -> dict[str, bool]:
    """Return the keys of some payloads, and whether each is in all of them."""
    found = set[str]().union(*payloads)
    return {key: all(key in each for each in payloads) for key in found}


def test_every_key_of_a_message_is_documented(app: Flask) -> None:
    room = Room(id=1, label="kitchen")
    now = datetime.now(UTC)
    minimal = MessageRow(1, 1, 1, "a", None, "Ada", "hello", now)
    complete = MessageRow(1, 2, 4, "a", "id", "Ada", "", now, now, now, 1, "kind", {"👍": ["a"]})
    complete.details = {"action": "delete"}

    with app.app_context():
        messages = [wire.message(room, minimal), wire.message(room, complete)]

    documented = keys(" ".join(row["Key"] for row in table(PROTOCOL, "Messages")))
    assert documented == presence_of_keys(messages)


def test_every_event_that_clients_receive_is_documented() -> None:
    broadcasts = ast.parse((ROOT / "chat" / "broadcasts.py").read_text())
    emitted = {
        argument.value
        for node in ast.walk(broadcasts)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.emit"
        for argument in node.args
        if isinstance(argument, ast.Constant)
    }
    publisher = ast.parse((ROOT / "chat" / "delivery" / "publisher.py").read_text())
    [event] = [
        node.value
        for node in ast.walk(publisher)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "event"
    ]
    published = {
        node.value
        for node in ast.walk(event)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert emitted
    assert published
    documented = by_code(table(PROTOCOL, "Events you receive"), "Event")
    assert set(documented) == emitted | published


def test_the_protocol_version_is_documented() -> None:
    assert f"protocol: {wire.PROTOCOL_VERSION}" in code(section(PROTOCOL, "Stability"))


def test_every_refusal_is_documented() -> None:
    rows = by_code(table(PROTOCOL, "Refusals"), "Code")
    documented = {code: (row["Retry"], row["Wait (ms)"], row["HTTP"]) for code, row in rows.items()}

    assert documented == {
        kind.code: ("yes" if kind.retry else "no", str(kind.retry_after_ms or ""), str(kind.status))
        for kind in refusals()
    }


def refusals() -> list[type[errors.Refusal]]:
    """Return all concrete subclasses of Refusal."""
    found = errors.Refusal.__subclasses__()
    for kind in found:  # the list grows until it holds the subclasses of subclasses too
        found.extend(kind.__subclasses__())
    return [kind for kind in found if hasattr(kind, "code")]


def test_every_limit_is_documented_with_its_number() -> None:
    rows = by_code(table(PROTOCOL, "Limits"), "Defined in")
    config = {
        f"config.{name}": field.default
        for name, field in Config.model_fields.items()
        if name in ProtocolLimits.model_fields or name.endswith("_connections")
    }

    assert {name for name in rows if name.startswith("config.")} == set(config)
    for name, row in rows.items():
        number = config[name] if name in config else constant(name)
        assert re.findall(r"^[\d,.]+", row["Limit"]) == [f"{number:,}"], name


def constant(name: str) -> int:
    """Return a constant by its name below `chat`, as in `presence.roster.GRACE_SECONDS`."""
    module, _, attribute = name.rpartition(".")
    value: int = getattr(importlib.import_module(f"chat.{module}"), attribute)
    return value


def test_every_route_is_documented(app: Flask) -> None:
    rows = by_code(table(PROTOCOL, "HTTP"), "Route")
    documented = {route: set(row["Methods"].split(", ")) for route, row in rows.items()}

    routes: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        routes.setdefault(re.sub(r"<\w+:", "<", rule.rule), set()).update(rule.methods or set())
    assert documented == {route: methods - {"HEAD", "OPTIONS"} for route, methods in routes.items()}


def test_every_reserved_label_is_documented() -> None:
    assert set(code(section(PROTOCOL, "Reserved labels"))) == labels.RESERVED_LABELS


def test_the_page_of_a_room_embeds_the_documented_part_of_the_answer_to_join(
    app: Flask, ada: Client, kitchen: str
) -> None:
    page = app.test_client().get(f"/{kitchen}/").text
    tag = '<script type="application/json" id="page">'
    assert tag in code(section(PROTOCOL, "HTTP"))

    assert tag in page
    assert set(embedded_answer(page)) == set(ada.join(kitchen)) - {"ok", "people", "count", "state"}


# The settings


def test_the_tables_of_settings_are_current() -> None:
    words = [sys.executable, "-m", "bin.settings_page", "--check"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr


def test_every_setting_is_documented_once() -> None:
    rows = [row for rows in tables(SETTINGS, "Settings") for row in rows]

    variables = [variable_names(name)[-1] for name in settings(Config)]
    assert sorted(by_code(rows, "Variable")) == sorted(variables)


def test_the_default_of_every_rate_limit_is_documented() -> None:
    rows = by_code([row for rows in tables(SETTINGS, "Settings") for row in rows], "Variable")
    rates = {
        name.upper(): field.default
        for name, field in settings(Config).items()
        if isinstance(field.default, Rate)
    }

    assert rates
    for name, rate in rates.items():
        [default] = code(rows[name]["Default"])
        assert Rate.parse(default) == rate, name


def test_every_variable_of_the_commands_is_documented() -> None:
    scripts = [ROOT / "bin" / name for name in ("run", "serve", "venv")]
    read = {
        name for script in scripts for name in re.findall(r"\$\{([A-Z_]+):-", script.read_text())
    }
    server = (ROOT / "gunicorn.conf.py").read_text()
    read |= set(re.findall(r'os\.environ(?:\.get\(|\[)"([A-Z_]+)"', server))

    internal = {name for name in read if name.startswith("CONFAB_")}
    documented = by_code(table(SETTINGS, "Variables for the commands"), "Variable")
    assert set(documented) == read - internal


# The client in the README


class ExampleClient:
    """The client in the README, run with node; lines are typed into it."""

    def __init__(self, source: str) -> None:
        command = ["node", "--input-type=module", "--eval", source]
        self.printed: list[str] = []
        self._node = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def type(self, line: str) -> None:
        """Type a line."""
        assert self._node.stdin
        self._node.stdin.write(f"{line}\n")
        self._node.stdin.flush()

    def close(self) -> None:
        """Stop the process."""
        self._node.kill()
        self._node.communicate()
        self._reader.join()

    def _read(self) -> None:
        assert self._node.stdout
        for line in self._node.stdout:
            self.printed.append(line.rstrip("\n"))


def listen(port: int) -> socket.socket:
    """Listen on the port of a killed server, as soon as its last process has released the port."""
    listeners: list[socket.socket] = []

    def try_port() -> bool:
        with suppress(OSError):
            listeners.append(socket.create_server(("127.0.0.1", port)))
        return bool(listeners)

    wait_until(try_port, what=f"port {port} is released")
    listeners[0].settimeout(30)
    return listeners[0]


@pytest.fixture
def start_client() -> Iterator[Callable[[str], ExampleClient]]:
    """Return a function that starts a client, which is stopped after the test."""
    started: list[ExampleClient] = []

    def start(source: str) -> ExampleClient:
        started.append(ExampleClient(source))
        return started[-1]

    yield start
    for client in started:
        client.close()


@pytest.fixture(params=["flask run", "gunicorn with two workers"])
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ConfabServer, str]]:
    """Start a server; yield it and the source of the README's client for it."""
    [source] = re.findall(r"^```js\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    address = "http://127.0.0.1:5000"
    assert address in source

    if request.param == "flask run":
        with flask_run(tmp_path) as server:
            yield server, source.replace(address, server.url)
    else:
        with gunicorn(tmp_path, workers=2) as server:
            yield server, source.replace(address, server.url)


@pytest.mark.servers
def test_the_client_in_the_readme_joins_posts_and_prints(
    serving: tuple[ConfabServer, str], start_client: Callable[[str], ExampleClient]
) -> None:
    _, source = serving
    ada = start_client(source)
    ada.type("hello")
    wait_until(lambda: ada.printed == ["Ada: hello"], what="its own message is printed")

    ben = start_client(source)
    wait_until(lambda: ben.printed == ["Ada: hello"], what="the earlier message is printed")
    ben.type("good morning")
    wait_until(
        lambda: ada.printed == ben.printed == ["Ada: hello", "Ada: good morning"],
        what="both print the new message once",
    )


@pytest.mark.servers
def test_the_client_in_the_readme_posts_once_what_is_typed_during_an_outage(
    serving: tuple[ConfabServer, str], start_client: Callable[[str], ExampleClient]
) -> None:
    server, source = serving
    ada = start_client(source)
    ben = start_client(source)
    ada.type("before")
    wait_until(lambda: ada.printed == ben.printed == ["Ada: before"], what="both have joined")

    ada.type("as it stops")
    server.kill()
    ada.type("just after")
    with listen(server.port) as listener:
        for _ in (ada, ben):  # each has noticed the outage when it tries to reconnect
            listener.accept()[0].close()
        ada.type("while it is down")
        ben.type("by the other client")
    server.start()
    typed = {
        "Ada: as it stops",
        "Ada: just after",
        "Ada: while it is down",
        "Ada: by the other client",
    }
    wait_until(
        lambda: set(ada.printed) == set(ben.printed) == {"Ada: before", *typed},
        30,
        "what was typed is printed",
    )
    ada.type("after")

    wait_until(
        lambda: ada.printed[-1] == ben.printed[-1] == "Ada: after",
        what="a line typed afterwards is printed",
    )
    for printed in (ada.printed, ben.printed):
        assert sorted(printed) == sorted(["Ada: before", *typed, "Ada: after"])
        assert [line for line in printed if line != "Ada: by the other client"] == [
            "Ada: before",
            "Ada: as it stops",
            "Ada: just after",
            "Ada: while it is down",
            "Ada: after",
        ]


@pytest.mark.servers
def test_the_program_in_the_page_about_scaling_posts_its_message(tmp_path: Path) -> None:
    [source] = re.findall(r"^```python\n(.*?)^```$", SCALING, re.MULTILINE | re.DOTALL)
    address = "https://chat.example.org"
    assert address in source
    with gunicorn(tmp_path) as server, Node() as node:
        ada = node.person(server.url)
        ada.join(server.room("kitchen"))

        words = [sys.executable, "-W", "error", "-c", source.replace(address, server.url)]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)

        assert done.returncode == 0, done.stderr
        [posted] = ada.hear(1)
        assert (posted["handle"], posted["message"]) == ("Backup", "The backup is complete.")


def test_the_browsers_that_the_scripts_need_are_named() -> None:
    script = (ROOT / "static" / "js" / "early.js").read_text()
    versions = re.findall(r", // ([\d.]+), ([\d.]+), ([\d.]+)$", script, re.MULTILINE)
    assert len(versions) >= 10
    newest = [max(column, key=float) for column in zip(*versions, strict=True)]
    chrome, firefox, safari = newest
    browsers = f"Chrome or Edge {chrome}, Firefox {firefox}, Safari {safari}, or newer"

    assert browsers in section(USING, "Browsers")
    assert browsers in (ROOT / "templates" / "room.html").read_text()
