"""The log: every line has its parts, clients cannot forge or flood it, and it quotes no message."""

import json
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from flask import Flask
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from chat.logs import (
    BURST_LINES,
    MAX_LINE_CHARS,
    MAX_REMEMBERED_LINES,
    EscapingFormatter,
    JsonFormatter,
    RepeatLimit,
    TextFormatter,
    configure,
    escape,
)
from chat.storage.database import db
from chat.wire import Since
from tests.conftest import StoppedClock
from tests.servers import ConfabServer, flask_run, gunicorn, wait_until

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) \[\d+\] [\w.]+:( .*)?"
)
FORGED = "2026-01-01T00:00:00.000Z ERROR [1] chat: forged"
servers = pytest.mark.servers


def record(
    message: str, *arguments: object, name: str = "chat.web", level: int = logging.WARNING
) -> logging.LogRecord:
    """Return a record, by default a warning of Confab's."""
    return logging.LogRecord(name, level, "x.py", 1, message, arguments, None)


def failure(error: Exception) -> logging.LogRecord:
    """Return a record with the traceback of an exception."""
    failed = record("It failed", level=logging.ERROR)
    try:
        raise error
    except type(error):
        failed.exc_info = sys.exc_info()
    return failed


# The form of a line


def test_a_line_has_time_level_process_and_event() -> None:
    line = TextFormatter().format(record("Redis cannot be reached (%s)", "refused"))

    assert LINE.fullmatch(line)
    assert line.endswith(f"Z WARNING [{os.getpid()}] chat.web: Redis cannot be reached (refused)")


def test_json_has_the_same_parts() -> None:
    fields = json.loads(JsonFormatter().format(record("Redis cannot be reached (%s)", "refused")))

    assert datetime.fromisoformat(fields.pop("time")).tzinfo is not None
    assert fields == {
        "level": "warning",
        "pid": os.getpid(),
        "logger": "chat.web",
        "event": "Redis cannot be reached (refused)",
    }


def test_every_line_of_a_traceback_has_the_parts_of_a_line() -> None:
    failed = failure(ValueError(f"first\n{FORGED}"))

    lines = TextFormatter().format(failed).splitlines()
    assert len(lines) > 3
    for line in lines:
        assert LINE.fullmatch(line), line
        assert not line.startswith(FORGED)
    assert lines[-1].endswith(f"| {FORGED}")
    [line] = JsonFormatter().format(failed).splitlines()
    assert "ValueError" in json.loads(line)["details"]


def test_several_lines_of_the_own_program_stay_several_lines() -> None:
    blocked = record("The event loop was blocked:\n  first\n  second\n")
    blocked.multiline = True

    lines = TextFormatter().format(blocked).splitlines()
    assert [line.partition("chat.web: ")[2] for line in lines] == [
        "The event loop was blocked:",
        "|   first",
        "|   second",
    ]


def test_colors_of_the_development_server_are_removed() -> None:
    colored = record("\x1b[31m\x1b[1mWARNING\x1b[0m\n * Running on x", name="werkzeug")

    lines = TextFormatter().format(colored).splitlines()
    assert [line.partition("werkzeug: ")[2] for line in lines] == ["WARNING", "|  * Running on x"]


@pytest.mark.parametrize(
    "hostile",
    [
        f"\r\n{FORGED}",
        f"\n{FORGED}",
        f"\x0b{FORGED}",
        f"\x85{FORGED}",
        f"\u2028{FORGED}",
        f"\x1b[2K\x1b[1A{FORGED}",
        "\x00\x07\x08\x7f\x9b",
        "\u202egnp.exe\u2066",
        "\udcff\ud800",
        "\u200b\ufeff",
    ],
)
def test_nothing_a_client_sends_has_an_effect_in_the_log(hostile: str) -> None:
    rejected = record("Invalid session %s", hostile)

    for formatter in (TextFormatter(), JsonFormatter(), EscapingFormatter(logging.Formatter())):
        line = formatter.format(rejected)
        assert line.isprintable(), line
        assert not line.startswith(FORGED)
    assert json.loads(JsonFormatter().format(rejected))["event"].endswith(hostile)


def test_text_in_any_script_is_not_escaped() -> None:
    for plain in (
        "Grüße, Ada",
        "\u043f\u0440\u0438\u0432\u0435\u0442",
        "こんにちは",
        "👍",
        r"C:\new",
    ):
        assert escape(plain) == plain


def test_a_long_line_is_shortened() -> None:
    line = TextFormatter().format(record("x" * 100_000))

    assert len(line) < MAX_LINE_CHARS + 200
    assert line.endswith(f"({100_000 - MAX_LINE_CHARS} more characters)")


# The text of messages


def test_an_error_of_the_database_does_not_quote_its_parameters(app: Flask) -> None:
    insert = text("INSERT INTO rooms (label, name) VALUES (:label, :name)")

    private = "x" * 20
    with (
        app.app_context(),
        db.engine.connect() as connection,
        pytest.raises(IntegrityError) as failed,
    ):
        connection.execute(insert, {"label": None, "name": private})

    assert private not in TextFormatter().format(failure(failed.value))


def test_an_error_of_a_payload_does_not_quote_it() -> None:
    with pytest.raises(ValidationError) as failed:
        Since.model_validate({"after": "x" * 20})

    assert "x" * 20 not in TextFormatter().format(failure(failed.value))


def test_an_error_of_postgresql_does_not_quote_the_row() -> None:
    error = ValueError(
        'null value in column "head" violates not-null constraint\n'
        "DETAIL:  Failing row contains (1, a private text\nof two lines, null).\n"
        "[SQL: INSERT INTO messages ...]"
    )

    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(failure(error))
        assert "violates not-null constraint" in line
        assert "INSERT INTO messages" in line
        assert "private" not in line
        assert "two lines" not in line


@pytest.fixture
def clean_loggers() -> Iterator[None]:
    """Restore the configuration of all loggers that `configure` changes."""
    names = ("", "chat", "werkzeug", "py.warnings", "gunicorn.error", "gunicorn.access")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    logging.captureWarnings(False)
    for logger, handlers, level in before:
        logger.handlers = handlers
        logger.setLevel(level)


def test_libraries_that_would_log_messages_stay_quiet_at_every_level(
    app: Flask, clean_loggers: None
) -> None:
    for level in ("debug", "info", "warning", "error"):
        configure(level, "text")

        assert logging.getLogger("chat.events").isEnabledFor(getattr(logging, level.upper()))
        for name in ("engineio.server", "socketio.server"):
            logger = logging.getLogger(name)
            assert not logger.isEnabledFor(logging.INFO)
            assert logger.handlers == []
        assert not logging.getLogger("sqlalchemy.engine").isEnabledFor(logging.INFO)


# Floods


def test_an_identical_line_is_logged_once_a_second_with_the_number_of_the_others() -> None:
    clock = StoppedClock()
    limit = RepeatLimit(clock)

    passed = []
    for _ in range(3 * 1024):
        same = record("A host is not allowed: %s", "a..b")
        if limit.filter(same):
            passed.append(TextFormatter().format(same))
        clock.now += 1 / 1024  # exact in binary

    assert len(passed) == 3
    assert "similar" not in passed[0]
    assert passed[1].endswith("(1023 similar lines were not logged)")


def test_different_lines_of_one_logger_are_limited_too_and_others_are_not() -> None:
    clock = StoppedClock()
    limit = RepeatLimit(clock)

    passed = 0
    for number in range(10_000):
        passed += limit.filter(record("A host is not allowed: %d", number))
        clock.now += 0.001

    assert BURST_LINES <= passed <= BURST_LINES + 10
    assert limit.filter(record("Redis cannot be reached", name="chat.delivery.redis_bus"))


def test_the_limit_remembers_a_bounded_number_of_lines() -> None:
    clock = StoppedClock()
    limit = RepeatLimit(clock)

    for number in range(3 * MAX_REMEMBERED_LINES):
        assert limit.filter(record("line %d", number))
        clock.now += 1

    assert len(limit._repeats) == MAX_REMEMBERED_LINES


def test_lines_about_requests_are_not_limited() -> None:
    limit = RepeatLimit(StoppedClock())

    for name in ("gunicorn.access", "werkzeug"):
        assert all(
            limit.filter(record("GET / 200", name=name, level=logging.INFO)) for _ in range(200)
        )


# In servers


def send(server: ConfabServer, request: bytes) -> None:
    """Send a request and read its answer, whatever it is."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request)
        connection.recv(1024)


def attack(server: ConfabServer) -> None:
    """Send what ends in the log: invalid sessions, paths, headers and hosts."""
    forged = FORGED.replace(" ", "%20").encode()
    host = f"Host: 127.0.0.1:{server.port}\r\n".encode()
    polling = b"GET /socket.io/?EIO=4&transport=polling&sid="
    send(server, polling + b"%0d%0a" + forged + b" HTTP/1.1\r\n" + host + b"\r\n")
    send(server, polling + b"%1b[31m" + forged + b" HTTP/1.1\r\n" + host + b"\r\n")
    send(server, b"GET /%0a" + forged + b" HTTP/1.1\r\n" + host + b"\r\n")
    send(server, b"GET /\x1b[31m HTTP/1.1\r\n" + host + b"User-Agent: \x1b[31m\r\n\r\n")
    send(server, b"GET / HTTP/1.1\r\n" + host + b"X\x1b[31m: a\r\n\r\n")


@servers
def test_every_line_of_gunicorn_has_its_parts_and_none_can_be_forged(tmp_path: Path) -> None:
    options = "--access-logfile=-"
    with gunicorn(tmp_path, CONFAB_REDIS_URI="x", GUNICORN_CMD_ARGS=options) as server:
        attack(server)
        wait_until(lambda: "Invalid session" in server.log())
        wait_until(lambda: "CONFAB_REDIS_URI" in server.log())
    lines = server.log().splitlines()

    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith(FORGED) for line in lines)
    assert any("gunicorn.access: " in line for line in lines)
    assert "eprecated" not in server.log()
    assert "DEPRECATED" not in server.log()
    assert server.log().count("eventlet gets fixes but no new features") == 1


@servers
def test_the_log_of_gunicorn_can_be_json(tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text("LOG_FORMAT=json\n")
    with gunicorn(tmp_path, CONFAB_REDIS_URI="x", ENV_FILE=str(file)) as server:
        attack(server)
        wait_until(lambda: "CONFAB_REDIS_URI" in server.log())
    entries = [json.loads(line) for line in server.log().splitlines()]

    assert all({"time", "level", "pid", "event"} <= set(entry) for entry in entries)
    assert any("Listening at" in entry["event"] for entry in entries)
    assert any("did you mean CONFAB_REDIS_URL" in entry["event"] for entry in entries)


@servers
def test_the_log_of_flask_run_has_the_same_form(tmp_path: Path) -> None:
    with flask_run(tmp_path, CONFAB_REDIS_URI="x") as server:
        attack(server)
        wait_until(lambda: "Invalid session" in server.log())
    flask_prints = re.compile(r" \* (Serving Flask app|Debug mode:).*")
    lines = [line for line in server.log().splitlines() if not flask_prints.fullmatch(line)]

    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith(FORGED) for line in lines)
    assert sum("Invalid session" in line for line in lines) == 1


@servers
def test_a_level_hides_what_is_less_important(tmp_path: Path) -> None:
    with gunicorn(tmp_path, CONFAB_REDIS_URI="x", LOG_LEVEL="warning") as server:
        wait_until(lambda: "CONFAB_REDIS_URI" in server.log())
        assert "INFO" not in server.log()
        assert "Listening at" not in server.log()
