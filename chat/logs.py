"""The form of the log: time, level, process and event on every line, as text or as JSON.

What clients send cannot forge a line, reorder its characters or control a terminal, and cannot
fill the disk: a repeated line is limited to one a second. The text of messages is never logged.

gunicorn.conf.py loads this file by its path, in gunicorn's master. So it imports only the standard
library.
"""

import json
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import SysLogHandler
from typing import Any

REPEAT_SECONDS = 1.0
"""How long an identical line is not logged again."""

BURST_LINES = 50
"""Different lines that a logger may log at once; then it may log one every REPEAT_SECONDS."""

MAX_REMEMBERED_LINES = 200
MAX_LINE_CHARS = 2_000

UNLIMITED_LOGGERS = {"gunicorn.access", "werkzeug"}
"""They log one line for each request, except for warnings."""

MULTILINE_LOGGERS = {"py.warnings", "werkzeug"}
"""Their messages have several lines. Those of others are escaped: clients may have sent them."""

SHORT_NAMES = {"gunicorn.error": "gunicorn"}
COLOR = re.compile(r"\x1b\[[0-9;]*m")

ROW_OF_POSTGRESQL = re.compile(
    r"^DETAIL:.*?(?=^\[SQL: |^The above exception|^During handling|\Z)", re.MULTILINE | re.DOTALL
)
"""The part of an error of PostgreSQL that quotes the row, and with it the text of a message."""


def configure(level: str, form: str) -> None:
    """Configure the log of this process: `level` as in LOG_LEVEL, `form` as in LOG_FORMAT.

    The log goes to where gunicorn's goes, otherwise to the standard error. Libraries log warnings
    only: with more, Engine.IO and SQLAlchemy would log the text of messages.
    """
    handlers = list(logging.getLogger("gunicorn.error").handlers) or [logging.StreamHandler()]
    for handler in [*handlers, *logging.getLogger("gunicorn.access").handlers]:
        handler.setFormatter(_formatter(handler, form))
        handler.filters = [RepeatLimit()]
    logging.root.handlers = handlers
    logging.root.setLevel(logging.WARNING)
    for name in ("chat", "werkzeug"):
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(True)


def quiet_logger(name: str) -> logging.Logger:
    """Return the logger for a library that logs what clients send; it logs nothing but errors."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.ERROR)
    return logger


def escape(text: str) -> str:
    """Return a text with escapes instead of characters that have an effect or no glyph."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


@dataclass
class Entry:
    """What is logged for one record: the event, and the lines that explain it."""

    event: str
    details: list[str]

    @classmethod
    def of(cls, record: logging.LogRecord) -> "Entry":
        """Return the entry for a record."""
        event = record.getMessage()
        details: list[str] = []
        if record.name == "werkzeug":
            event = COLOR.sub("", event)
        if record.name in MULTILINE_LOGGERS or hasattr(record, "multiline"):
            event, *details = event.rstrip("\n").split("\n")
        if record.exc_info:
            traceback = logging.Formatter().formatException(record.exc_info)
            details += ROW_OF_POSTGRESQL.sub("", traceback).split("\n")
        if record.stack_info:
            details += record.stack_info.split("\n")
        return cls(_shortened(event) + _count(record), [_shortened(each) for each in details])


def _shortened(line: str) -> str:
    if len(line) <= MAX_LINE_CHARS:
        return line
    return f"{line[:MAX_LINE_CHARS]}… ({len(line) - MAX_LINE_CHARS} more characters)"


def _count(record: logging.LogRecord) -> str:
    """Return how many similar records were not logged, if any."""
    suppressed = getattr(record, "suppressed", 0)
    return f" ({suppressed} similar lines were not logged)" if suppressed else ""


def _time(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """Lines such as `2026-01-02T03:04:05.678Z WARNING [42] chat.delivery.bus: the event`.

    The lines of a traceback begin in the same way, with a bar before their text.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one or several lines, without the last newline."""
        entry = Entry.of(record)
        name = SHORT_NAMES.get(record.name, record.name)
        start = f"{_time(record)} {record.levelname} [{record.process}] {name}: "
        lines = [entry.event, *(f"| {line}".rstrip() for line in entry.details)]
        return "\n".join(start + escape(line) for line in lines)


class JsonFormatter(logging.Formatter):
    """Lines of one JSON object each, with `time`, `level`, `pid`, `logger` and `event`.

    `details` contains a traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, without the newline."""
        entry = Entry.of(record)
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "pid": record.process,
            "logger": SHORT_NAMES.get(record.name, record.name),
            "event": entry.event,
        }
        if entry.details:
            fields["details"] = "\n".join(entry.details)
        return json.dumps(fields)  # which escapes everything that is not ASCII


class EscapingFormatter(logging.Formatter):
    """The lines of another formatter, escaped."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        return escape(self._inner.format(record))


def _formatter(handler: logging.Handler, form: str) -> logging.Formatter:
    if isinstance(handler, SysLogHandler):  # syslog adds the time and the level
        return EscapingFormatter(handler.formatter or logging.Formatter())
    return JsonFormatter() if form == "json" else TextFormatter()


@dataclass
class Repeats:
    """When a line was logged, and how often it was not logged since."""

    logged_at: float
    suppressed: int = 0


@dataclass
class Allowance:
    """How many lines a logger may still log at once, and how many it was not allowed since."""

    lines: float
    updated_at: float
    suppressed: int = 0


class RepeatLimit(logging.Filter):
    """Passes an identical line once every REPEAT_SECONDS, and few different lines of one logger.

    The next line that passes states how many did not.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._repeats: OrderedDict[tuple[str, str], Repeats] = OrderedDict()
        self._allowances: dict[str, Allowance] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged."""
        if record.levelno < logging.WARNING and record.name in UNLIMITED_LOGGERS:
            return True
        line = (record.name, record.getMessage()[:MAX_LINE_CHARS])
        with self._lock:
            return self._passes(record, line, self._clock())

    def _passes(self, record: logging.LogRecord, line: tuple[str, str], now: float) -> bool:
        repeats = self._repeats.get(line)
        if repeats is not None and now - repeats.logged_at < REPEAT_SECONDS:
            repeats.suppressed += 1
            return False
        allowance = self._allowance(record.name, now)
        if allowance.lines < 1:
            allowance.suppressed += 1
            return False
        allowance.lines -= 1
        record.suppressed = allowance.suppressed + (repeats.suppressed if repeats else 0)
        allowance.suppressed = 0
        self._repeats[line] = Repeats(now)
        self._repeats.move_to_end(line)
        if len(self._repeats) > MAX_REMEMBERED_LINES:
            self._repeats.popitem(last=False)
        return True

    def _allowance(self, name: str, now: float) -> Allowance:
        """Return the allowance of a logger, with what it has gained since the last line."""
        allowance = self._allowances.setdefault(name, Allowance(BURST_LINES, now))
        gained = (now - allowance.updated_at) / REPEAT_SECONDS
        allowance.lines = min(BURST_LINES, allowance.lines + gained)
        allowance.updated_at = now
        return allowance
