"""The documentation says what is so, all of it, and nothing else."""

import ast
import importlib
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from chat import errors, events, message_events, wire
from chat.models import Room
from chat.payload import Payload
from chat.services import services_of
from chat.web import labels
from config import Config
from tests.conftest import Client
from tests.servers import ConfabServer, flask_run, gunicorn, wait_until
from tests.torture.report import title
from tests.torture.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
HOSTING = (ROOT / "docs" / "self-hosting.md").read_text()
DELIVERY = (ROOT / "docs" / "delivery.md").read_text()
DEVELOPMENT = (ROOT / "docs" / "development.md").read_text()
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])

EVENTS = events.EVENTS | message_events.EVENTS
A_PATH = re.compile(r"(?:chat|bin|docs|migrations|static|templates|tests)/[\w./-]*")
A_NAME = re.compile(r"([a-z_]+)\.(\w+)(?:\(.*\))?")

Row = dict[str, str]


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next of its level."""
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL
    )
    assert found, heading
    return found[1]


def tables(page: str, heading: str) -> list[list[Row]]:
    """The tables under a heading, each as rows by column."""
    found = re.findall(r"(?:^\|.*\n)+", section(page, heading), re.MULTILINE)
    lines = [
        [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()]
        for table in found
    ]
    return [[dict(zip(names, row, strict=True)) for row in rows] for names, _, *rows in lines]


def table(page: str, heading: str) -> list[Row]:
    """The one table under a heading."""
    [only] = tables(page, heading)
    return only


def code(text: str) -> list[str]:
    """What is set as code."""
    return re.findall(r"`([^`\n]+)`", text)


def keys(cell: str) -> dict[str, bool]:
    """The keys in a cell, and whether each is always there."""
    return {key.removesuffix("?"): not key.endswith("?") for key in code(cell)}


def column(rows: list[Row], name: str) -> dict[str, Row]:
    """The rows by what the column has as code; none of it twice."""
    named = {code(row[name])[0]: row for row in rows}
    assert len(named) == len(rows), f"a row is there twice under {name}"
    return named


def payload(event: str) -> type[Payload]:
    """The class that parses an event."""
    parses: type[Payload] = getattr(wire, event.capitalize())
    return parses


# The README


def test_the_readme_names_commands_that_there_are() -> None:
    commands = re.findall(r"^```sh\nmake (\w+)\n```$", README, re.MULTILINE)

    assert commands == ["run", "test"]
    for command in commands:
        assert re.search(rf"^{command}:.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_readme_shows_two_people() -> None:
    [picture] = re.findall(r"^!\[.+\]\((.+)\)$", README, re.MULTILINE)

    assert (ROOT / picture).stat().st_size > 0


class Talker:
    """Somebody who runs the client of the README, and types."""

    def __init__(self, client: str) -> None:
        words = ["node", "--input-type=module", "--eval", client]
        self.printed: list[str] = []
        self._node = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def type(self, line: str) -> None:
        """Type a line."""
        assert self._node.stdin
        self._node.stdin.write(f"{line}\n")
        self._node.stdin.flush()

    def close(self) -> None:
        """Stop it."""
        self._node.kill()
        self._node.communicate()
        self._reader.join()

    def _read(self) -> None:
        assert self._node.stdout
        for line in self._node.stdout:
            self.printed.append(line.rstrip("\n"))


def listen(port: int) -> socket.socket:
    """Listen where a server was killed, as soon as its last process has released the port."""
    listeners: list[socket.socket] = []

    def try_port() -> bool:
        with suppress(OSError):
            listeners.append(socket.create_server(("127.0.0.1", port)))
        return bool(listeners)

    wait_until(try_port, what=f"port {port} is released")
    listeners[0].settimeout(30)
    return listeners[0]


@pytest.fixture
def talker() -> Iterator[Callable[[str], Talker]]:
    """Start the client of the README; it is stopped after the test."""
    started: list[Talker] = []

    def start(client: str) -> Talker:
        started.append(Talker(client))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture(params=["flask run", "gunicorn with two workers"])
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ConfabServer, str]]:
    """A server, and the client of the README for it; for several workers it connects as docs/protocol.md shows."""
    [client] = re.findall(r"^```js\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    [connecting] = re.findall(r"^const socket = io\(.+(, \{.*\})\)$", PROTOCOL, re.MULTILINE)
    address = "http://127.0.0.1:5000"
    assert address in client
    assert "io(url)" in client

    if request.param == "flask run":
        with flask_run(tmp_path) as server:
            yield server, client.replace(address, server.url)
    else:
        with gunicorn(tmp_path, workers=2) as server:
            yield (
                server,
                client.replace(address, server.url).replace("io(url)", f"io(url{connecting})"),
            )


@pytest.mark.servers
def test_the_client_in_the_readme_joins_sends_and_prints(
    serving: tuple[ConfabServer, str], talker: Callable[[str], Talker]
) -> None:
    _, client = serving
    one = talker(client)
    one.type("hello")
    wait_until(lambda: one.printed == ["Ada: hello"], what="its own line is printed")

    other = talker(client)
    wait_until(lambda: other.printed == ["Ada: hello"], what="what was said before is printed")
    other.type("good morning")
    wait_until(
        lambda: one.printed == other.printed == ["Ada: hello", "Ada: good morning"],
        what="both print it once",
    )


@pytest.mark.servers
def test_the_client_in_the_readme_sends_once_what_is_typed_during_an_outage(
    serving: tuple[ConfabServer, str], talker: Callable[[str], Talker]
) -> None:
    server, client = serving
    ada, ben = talker(client), talker(client)
    ada.type("before")
    wait_until(lambda: ada.printed == ben.printed == ["Ada: before"], what="both are in the room")

    ada.type("as it stops")
    server.kill()
    ada.type("just after")
    with listen(server.port) as listener:
        for _ in (ada, ben):  # each has noticed the outage when it tries to reconnect
            listener.accept()[0].close()
        ada.type("while it is away")
        ben.type("by the other one")
    server.start()
    typed = {
        "Ada: as it stops",
        "Ada: just after",
        "Ada: while it is away",
        "Ada: by the other one",
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
        assert [line for line in printed if line != "Ada: by the other one"] == [
            "Ada: before",
            "Ada: as it stops",
            "Ada: just after",
            "Ada: while it is away",
            "Ada: after",
        ]


# The promise


def test_the_readme_quotes_the_promise_and_how_it_was_kept() -> None:
    promise, last_run = re.findall(r"^> .+$", DELIVERY, re.MULTILINE)
    assert {promise, last_run} <= set(README.splitlines())


def test_the_table_of_the_last_run_has_a_line_for_every_fault_and_nothing_lost() -> None:
    rows = table(DELIVERY, "The last full run")

    expected = [
        title(scenario, database) for scenario in SCENARIOS for database in scenario.databases
    ]
    assert [row["Fault"] for row in rows] == expected
    assert {(row["Lost"], row["Doubled"], row["Out of order"]) for row in rows} == {("0", "0", "0")}
    total = sum(int(row["Acknowledged"]) for row in rows)
    assert f"> {len(rows)} fault scenarios, {total:,} messages and changes acknowledged" in DELIVERY


def test_the_last_run_says_which_commit_and_seed_it_was_of() -> None:
    origin = r"^`make torture FULL=1 SEED=\d+`, commit `[0-9a-f]{10,}`, \d{4}-\d\d-\d\d, on: .+$"

    assert re.search(origin, section(DELIVERY, "The last full run"), re.MULTILINE)


def test_every_fault_that_made_somebody_wait_longer_than_promised_is_named_as_an_exception() -> (
    None
):
    [seconds] = re.findall(r"at most ([\d.]+) seconds late", DELIVERY)
    rows = table(DELIVERY, "The last full run")
    late = {
        row["Fault"].split()[0]
        for row in rows
        if float(row["Worst delay"].split()[0]) > float(seconds)
    }

    assert late <= set(re.findall(r"\bF\d+\b", section(DELIVERY, "What is not promised")))


# What the pages point at


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), link
        assert there.is_relative_to(ROOT), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings
            }, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_names_that_are_mentioned_exist(page: Path) -> None:
    for span in code(page.read_text()):
        if A_PATH.fullmatch(span):
            assert (ROOT / span).exists(), span
        if (
            (name := A_NAME.fullmatch(span))
            and (ROOT / "chat" / f"{name[1]}.py").exists()
            and name[2] != "py"
        ):
            assert hasattr(importlib.import_module(f"chat.{name[1]}"), name[2]), span


def test_the_map_of_the_house_is_whole() -> None:
    modules = {f"chat/{path.name}" for path in (ROOT / "chat").glob("*.py")}
    packages = {f"chat/{path.parent.name}/" for path in (ROOT / "chat").glob("*/__init__.py")}
    rows = column(table(DEVELOPMENT, "Where things are"), "Module")
    assert modules | packages | {"config.py"} == set(rows)


def test_every_event_is_listed_with_the_module_that_handles_it() -> None:
    rows = column(table(DEVELOPMENT, "Where things are"), "Module")

    for module, handled in {
        "chat/events.py": set(events.EVENTS),
        "chat/message_events.py": set(message_events.EVENTS),
    }.items():
        [about] = [text for name, text in rows[module].items() if name != "Module"]
        assert set(code(about)) == handled


# The wire


def test_every_event_one_can_send_is_documented_with_its_keys() -> None:
    documented = {
        event: keys(row["Payload"])
        for event, row in column(table(PROTOCOL, "Events you send"), "Event").items()
    }

    fields = {event: payload(event).model_fields for event in EVENTS}
    assert documented == {
        event: {key: field.is_required() for key, field in of_event.items()}
        for event, of_event in fields.items()
    }


def test_every_key_one_can_send_is_explained() -> None:
    explained = column(table(PROTOCOL, "Keys you send"), "Key")

    assert set(explained) == {key for event in EVENTS for key in payload(event).model_fields}


def test_defaults_and_bounds_of_limit_are_as_explained() -> None:
    said = column(table(PROTOCOL, "Keys you send"), "Key")["limit"]["What it is"]

    low, high, since, history = (int(number) for number in re.findall(r"\d+", said))
    assert (since, history) == (wire.Since(after=0).limit, wire.History().limit)
    for within in (low, high):
        assert wire.History.parse({"limit": within}).limit == within
    for beyond in (low - 1, high + 1):
        with pytest.raises(errors.BadRequest):
            wire.History.parse({"limit": beyond})


def test_every_answer_holds_the_keys_that_are_documented(
    app: Flask, ada: Client, kitchen: str
) -> None:
    said = {"handle": "Ada", "message": "hello", "id": "a-random-id-of-16"}
    answers = [
        ("chat", ada.ask("chat", said)),
        ("chat", ada.ask("chat", said)),
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
        ("join", _partly(app, lambda: ada.ask("join", {"label": kitchen}))),
        ("leave", ada.ask("leave", {})),
    ]

    assert all(answer.pop("ok") for _, answer in answers)
    documented = column(table(PROTOCOL, "Events you send"), "Event")
    for event in EVENTS:
        always, sometimes = _always_and_ever([answer for name, answer in answers if name == event])
        assert keys(documented[event]["The answer adds"]) == dict.fromkeys(
            sometimes, False
        ) | dict.fromkeys(always, True)
    explained = column(table(PROTOCOL, "Keys you are answered"), "Key")
    assert set(explained) == {key for _, answer in answers for key in answer}


def _partly(app: Flask, ask: Callable[[], wire.JSON]) -> wire.JSON:
    """An answer while the other workers cannot be heard."""
    services_of(app).presence.partial = True
    answer = ask()
    services_of(app).presence.partial = False
    return answer


def _always_and_ever(answers: list[wire.JSON]) -> tuple[set[str], set[str]]:
    return set.intersection(*map(set, answers)), set.union(*map(set, answers))


def test_every_key_of_a_message_is_explained(app: Flask) -> None:
    room = Room(id=1, label="kitchen")
    now = datetime.now(UTC)
    bare = MessageRow(1, 1, 1, "a", None, "Ada", "hello", now)
    filled = MessageRow(1, 2, 4, "a", "id", "Ada", "", now, now, now, 1, "kind", {"👍": ["a"]})

    with app.app_context():
        always, ever = _always_and_ever([wire.message(room, bare), wire.message(room, filled)])

    explained = keys(" ".join(row["Key"] for row in table(PROTOCOL, "Messages")))
    assert explained == dict.fromkeys(ever, False) | dict.fromkeys(always, True)


def test_every_event_one_can_hear_is_documented() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / "chat" / "broadcasts.py").read_text()))
        if isinstance(node, ast.Call)
    ]
    told = {
        argument.value
        for call in calls
        if ast.unparse(call.func).startswith(("_tell", "emitter("))
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }

    assert told
    assert set(column(table(PROTOCOL, "Events you hear"), "Event")) == told


def test_every_refusal_is_documented_with_whether_to_try_again() -> None:
    documented = {
        code: (row["Retry"], row["Wait (ms)"], row["HTTP"])
        for code, row in column(table(PROTOCOL, "Refusals"), "Code").items()
    }

    kinds = [errors.Refusal]
    for kind in kinds:
        kinds.extend(
            kind.__subclasses__()
        )  # the list grows until every kind of every kind is in it
    assert documented == {
        kind.code: ("yes" if kind.retry else "no", str(kind.retry_after_ms or ""), str(kind.status))
        for kind in kinds
    }


def test_every_limit_is_documented_with_its_number() -> None:
    documented = {
        where: row["How much"] for where, row in column(table(PROTOCOL, "Limits"), "Where").items()
    }

    config = {
        f"config.{name}": value for name, value in vars(Config()).items() if isinstance(value, int)
    }
    del config["config.workers"], config["config.engine"]  # settings
    assert {name for name in documented if name.startswith("config.")} == set(config)
    for name, how_much in documented.items():
        module, _, constant = name.partition(".")
        number = (
            config[name]
            if name in config
            else getattr(importlib.import_module(f"chat.{module}"), constant)
        )
        assert re.findall(r"^[\d,]+", how_much) == [f"{number:,}"], name


def test_every_route_is_documented(app: Flask) -> None:
    documented = {
        route: set(row["Methods"].split(", "))
        for route, row in column(table(PROTOCOL, "HTTP"), "Route").items()
    }

    routes: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        routes.setdefault(re.sub(r"<\w+:", "<", rule.rule), set()).update(rule.methods or set())
    assert documented == {route: methods - {"HEAD", "OPTIONS"} for route, methods in routes.items()}


def test_every_reserved_word_is_documented() -> None:
    [sentence] = re.findall(r"^A label has .*$", section(PROTOCOL, "HTTP"), re.MULTILINE)

    assert set(code(sentence)[1:]) == labels.RESERVED_LABELS


def test_the_page_embeds_what_join_answers_but_who_is_there(
    app: Flask, ada: Client, kitchen: str
) -> None:
    page = app.test_client().get(f"/{kitchen}/").text
    [script] = code(section(PROTOCOL, "HTTP").rpartition("as JSON in")[2].partition(".")[0])

    embedded = json.loads(page.partition(script)[2].partition("</script>")[0])

    assert set(embedded) == set(ada.join(kitchen)) - {"ok", "people", "count", "state"}


# The settings


class Listening(Mapping[str, str]):
    """An empty environment that knows what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_every_setting_is_documented() -> None:
    environment = Listening()
    Config.from_environment(environment)

    settings, _ = tables(HOSTING, "Settings")
    assert set(column(settings, "Variable")) == environment.asked


def test_every_variable_of_the_commands_is_documented() -> None:
    _, commands = tables(HOSTING, "Settings")

    [promised] = re.findall(
        r"^# ([A-Z=, ]+ and [A-Z]+=) may be given", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    scripts = "".join(script.read_text() for script in (ROOT / "bin").iterdir() if script.is_file())
    server = (ROOT / "gunicorn.conf.py").read_text()
    assert set(column(commands, "Variable")) == set(re.findall(r"[A-Z]+", promised))
    for variable in column(commands, "Variable"):
        assert f"${{{variable}:-" in scripts or f'os.environ["{variable}"]' in server
