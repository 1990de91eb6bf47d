"""The settings; this is the only module that reads the environment.

A setting is a field of Config with a description. Its variable is the name of the field in capital
letters, as in REDIS_URL; CONFAB_REDIS_URL is the same. docs/settings.md is generated from them by
bin/settings_page.py.
"""

import os
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from redis import ConnectionPool, RedisError, UnixDomainSocketConnection
from socketio.redis_manager import parse_redis_sentinel_url
from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

PROJECT_FOLDER = Path(__file__).resolve().parent

TRANSPORTS = ("polling", "websocket")
DRIVERS = ("sqlite", "postgresql+psycopg2")
SENTINEL_SCHEME = "redis+sentinel"

MIN_SECRET_KEY_CHARS = 16
MAX_UNIX_PATH_BYTES = 107
"""Of a socket's address on Linux, see unix(7)."""

STARTUP_ERROR_STATUS = 3
"""The exit status after which gunicorn does not start the worker again."""

MAX_OPERATOR_CHARS = 300
MAX_NODE_NAME_CHARS = 6

MAX_BASE_PATH_CHARS = 200
BASE_PATH_PATTERN = r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+"
"""Parts of unreserved characters (RFC 3986), which no proxy or browser rewrites."""

SECONDS_BY_UNIT = {"s": 1, "min": 60, "h": 3600}

DAY_SECONDS = 24 * 3600
SECONDS_BY_LONG_UNIT = {"h": 3600, "d": DAY_SECONDS, "y": 365 * DAY_SECONDS}
NEVER = 0
"""The expiry of messages that do not expire."""

PREFIX = "CONFAB_"

SET_BY_GUNICORN_CONF = {
    "CONFAB_WORKERS",
    "CONFAB_FIRST_WORKERS",
    "CONFAB_REPLACES",
    "CONFAB_FAILURE_PIPE",
    "CONFAB_MASTER",
    "CONFAB_WORKER_FOLDER",
    "CONFAB_WORKER_SOCKET",
}

COMMAND_VARIABLES = {
    "FORWARDED_ALLOW_IPS",
    "GUNICORN_CMD_ARGS",
    "HOST",
    "PORT",
    "PYTHON",
    "WEB_CONCURRENCY",
    "WORKERS",
}
"""Read by the commands and by gunicorn, and never from a .env file."""

READ_BY_GUNICORN = {"FORWARDED_ALLOW_IPS"}
"""Settings that gunicorn reads too: without a prefix, and empty is a value of its own."""

FLASK_PREFIX = "FLASK_"
"""`flask run` reads its own options from .env too."""

T = TypeVar("T")


class StartupError(SystemExit):
    """The program cannot start; `sentence` tells the operator what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(STARTUP_ERROR_STATUS)
        self.sentence = sentence


@dataclass(frozen=True)
class Rate:
    """The size of a token bucket: `burst` at once, then `per_second`."""

    burst: float
    per_second: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a rate such as `5, 1/s` (5 at once, then one a second) or `600/min`.

        Without a burst, it is the number before the slash. Raises ValueError.
        """
        found = re.fullmatch(r"(?:([0-9]{1,12}),\s*)?([0-9]{1,12})/(s|min|h)", text.strip())
        if found is None:
            raise ValueError(f"{text} is not a rate")
        burst = int(found[1] or found[2])
        per_second = int(found[2]) / SECONDS_BY_UNIT[found[3]]
        if burst == 0 or per_second == 0:
            raise ValueError(f"{text} allows nothing")
        return cls(burst, per_second)


def setting(
    default: T,
    meaning: str,
    *,
    default_meaning: str = "",
    ge: float | None = None,
    le: float | None = None,
) -> T:
    """Declare a setting: a field of Config that is read from the environment.

    `meaning` is its row in docs/settings.md, and `default_meaning` describes a default whose value
    does not explain itself. A number is at least `ge` and at most `le`.
    """
    extra: dict[str, Any] = {"default_meaning": default_meaning}
    return Field(default, description=meaning, json_schema_extra=extra, ge=ge, le=le)


def rate_setting(default: str, meaning: str) -> Rate:
    """Declare a setting that is a rate. Its default is written as an operator writes it."""
    return setting(Rate.parse(default), meaning, default_meaning=f"`{default}`")


def announced_host_setting(platform: str) -> str | None:
    """Declare a setting in which a hosting platform announces the name of the server."""
    meaning = "Allowed like a `PUBLIC_URL` with https."
    return setting(None, meaning, default_meaning=f"set by {platform}")


class Variables(PydanticBaseSettingsSource):
    """Finds settings in the variables of the environment, or in those of a .env file.

    Unlike the sources of the library, it returns the values by the names of the fields. So a value
    of the environment replaces that of the file under whichever of the two names each is given.
    """

    def __init__(
        self, settings_cls: type[BaseSettings], variables: Mapping[str, str | None]
    ) -> None:
        super().__init__(settings_cls)
        self._variables = variables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of a field or None, its name, and that the value is not JSON."""
        for variable in variable_names(field_name):
            value = self._variables.get(variable)
            # Apart from those of gunicorn, an empty variable is one that is not set.
            if value or (value is not None and variable in READ_BY_GUNICORN):
                return value, field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values that are set, by field."""
        fields = settings(self.settings_cls)
        values = {name: self.get_field_value(field, name)[0] for name, field in fields.items()}
        return {name: value for name, value in values.items() if value is not None}


def settings(settings_class: type[BaseSettings]) -> dict[str, FieldInfo]:
    """Return the fields that are settings. The others have the same value in every installation."""
    fields = settings_class.model_fields
    return {name: field for name, field in fields.items() if field.description is not None}


def variable_names(field_name: str) -> tuple[str, ...]:
    """Return the names of the variables for a setting; the first one that is set applies."""
    prefixed = PREFIX + field_name.upper()
    if prefixed in SET_BY_GUNICORN_CONF:
        return (prefixed,)  # WORKERS is what an operator asks of gunicorn
    if field_name.upper() in READ_BY_GUNICORN:
        return (field_name.upper(),)
    return (prefixed, field_name.upper())


def _parse_switch(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    name = (info.field_name or "").upper()
    if value not in ("on", "off"):
        raise StartupError(f"{name} is neither on nor off: write {name}=off, or leave it out.")
    return value == "on"


def _parse_workers(value: object) -> object:
    if not isinstance(value, str):
        return value
    number = _positive_number(value, max_digits=4)
    if number is None:
        raise StartupError(
            f"CONFAB_WORKERS={value} is not a number of workers: leave it unset; gunicorn.conf.py "
            "sets it."
        )
    return number


def _positive_number(text: str, max_digits: int) -> int | None:
    """Return a number that is written in digits; None when it is zero or no such number."""
    is_number = text.isascii() and text.isdigit() and len(text) <= max_digits
    if not is_number or int(text) == 0:
        return None
    return int(text)


def _split_list(value: object) -> object:
    """Return the parts of a list with commas; None for an empty list."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")]
    return tuple(part for part in parts if part) or None


def _check_transports(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is not None and not set(names) <= set(TRANSPORTS):
        raise StartupError(
            "TRANSPORTS names a transport that does not exist: use polling, websocket, or "
            "polling,websocket."
        )
    return names


def default_node_name(host: str) -> str:
    """Return the letters and digits of a host's name, or a part of its hash if they are many."""
    name = re.sub("[^A-Za-z0-9]", "", host)
    if 0 < len(name) <= MAX_NODE_NAME_CHARS:
        return name
    return sha256(host.encode()).hexdigest()[:MAX_NODE_NAME_CHARS]


def _check_node_name(name: str) -> str:
    if re.fullmatch(f"[A-Za-z0-9]{{1,{MAX_NODE_NAME_CHARS}}}", name) is None:
        raise StartupError(
            f"NODE_NAME={name} is not a name for this host: give it 1 to {MAX_NODE_NAME_CHARS} "
            "letters and digits (a to z, A to Z, 0 to 9)."
        )
    return name


def _check_secret_key(key: str | None) -> str | None:
    if key is None:
        return None
    if len(key) < MIN_SECRET_KEY_CHARS:
        raise StartupError(
            "SECRET_KEY is too short to keep anything secret: give it 16 characters or more."
        )
    # Bytes in the environment that are not UTF-8 become surrogates.
    has_surrogate = any("\ud800" <= character <= "\udfff" for character in key)
    if has_surrogate:
        raise StartupError(
            "SECRET_KEY is not valid UTF-8: give it letters and digits, 16 characters or more."
        )
    return key


def _check_redis_url(url: str | None) -> str | None:
    """Check a Redis URL without connecting. Raises StartupError."""
    if url is None:
        return None
    if urlsplit(url).scheme == SENTINEL_SCHEME:
        _check_sentinel_url(url)
        return url
    try:
        connection = ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError, RedisError):
        raise StartupError(
            "REDIS_URL is not a Redis address: write redis://host:6379/0, "
            "unix:///path/to/redis.sock or redis+sentinel://host:26379/0/name."
        ) from None
    if isinstance(connection, UnixDomainSocketConnection):
        _check_socket_path(url, connection.path)
    return url


def _check_sentinel_url(url: str) -> None:
    try:
        _, service, _ = parse_redis_sentinel_url(url)
    except ValueError:
        service = None
    if service is None:
        raise StartupError(
            "REDIS_URL does not name the Sentinels and the master: write "
            "redis+sentinel://host1:26379,host2:26379/0/name, with the port of each Sentinel, the "
            "number of the database and the name of the master."
        )


def _check_redis_ca(path: Path | None) -> Path | None:
    """Check that a file has certificates of authorities. Raises StartupError."""
    if path is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:  # also ssl.SSLError
        raise StartupError(
            f"REDIS_CA={path} cannot be read, or has no certificates: name a file in PEM format."
        ) from None
    return path


def _check_socket_path(url: str, path: str) -> None:
    # redis-py ignores a host: in unix://tmp/redis.sock, that is the first part of the path.
    if not path.strip("/") or urlsplit(url).hostname:
        raise StartupError(
            "REDIS_URL has no absolute path: write unix:///path/to/redis.sock, with three slashes."
        )
    if len(os.fsencode(path)) > MAX_UNIX_PATH_BYTES:
        raise StartupError(
            f"REDIS_URL has a path that is too long for a Unix socket: {MAX_UNIX_PATH_BYTES} bytes "
            "at most."
        )


def _to_lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _parse_rate(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    try:
        return Rate.parse(value)
    except ValueError:
        name = (info.field_name or "").upper()
        raise StartupError(
            f"{name}={value} is not a rate: write 5, 1/s for 5 at once and then one a second; the "
            "units are s, min and h."
        ) from None


def _parse_connections(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    number = _positive_number(value, max_digits=9)
    if number is None:
        name = (info.field_name or "").upper()
        raise StartupError(f"{name}={value} is not a number of connections: use 1 or more.")
    return number


def _check_proxies(text: str) -> str:
    """Check a list of addresses and networks, as gunicorn does. Raises StartupError."""
    try:
        for part in text.split(","):
            if part.strip() not in ("", "*"):
                ip_network(part.strip())
    except ValueError:
        raise StartupError(
            "FORWARDED_ALLOW_IPS is not a list of addresses: write 10.0.0.2, or 10.0.0.0/8 for a "
            "network, with commas between several."
        ) from None
    return text


def _parse_security_contact(contact: str | None) -> str | None:
    """Return a contact as a URL. Raises StartupError."""
    if contact is None:
        return None
    if re.fullmatch(r"[^@\s:/]+@[^@\s:/]+", contact):
        return f"mailto:{contact}"
    if not re.fullmatch(r"(https://|mailto:|tel:)[!-~]+", contact):
        raise StartupError(
            "SECURITY_CONTACT is neither an e-mail address nor a URL: write "
            "SECURITY_CONTACT=security@example.org."
        )
    return contact


def parse_duration(text: str) -> int:
    """Parse a duration such as `24h`, `7d` or `1y`; return the seconds. Raises ValueError.

    At most 100 years: a time so far in the past is still a time.
    """
    found = re.fullmatch(r"([0-9]{1,6})\s*([hdy])", text.strip())
    seconds = 0 if found is None else int(found[1]) * SECONDS_BY_LONG_UNIT[found[2]]
    if not 0 < seconds <= 100 * SECONDS_BY_LONG_UNIT["y"]:
        raise ValueError(f"{text} is not a duration")
    return seconds


def _parse_expiry(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    if value.strip() == "never":
        return NEVER
    try:
        return parse_duration(value)
    except ValueError:
        name = (info.field_name or "").upper()
        raise StartupError(
            f"{name}={value} is not a duration: write 24h, 7d or 1y for hours, days or years, or "
            "never."
        ) from None


def _check_operator(text: str | None) -> str | None:
    if text is not None and len(text) > MAX_OPERATOR_CHARS:
        raise StartupError(
            f"OPERATOR is too long: write who runs this server, in {MAX_OPERATOR_CHARS} characters "
            "at most."
        )
    return text


def parse_base_path(text: str) -> str:
    """Return the path below which a site is served, without a slash at its end; "" for the root.

    Raises ValueError.
    """
    path = text.strip().rstrip("/")
    if path and (len(path) > MAX_BASE_PATH_CHARS or not re.fullmatch(BASE_PATH_PATTERN, path)):
        raise ValueError(f"{text} is not a path")
    return path


def _check_base_path(text: str) -> str:
    try:
        return parse_base_path(text)
    except ValueError:
        raise StartupError(
            f"BASE_PATH={text} is not the path of an address: write BASE_PATH=/chat for "
            "https://example.org/chat/."
        ) from None


def _check_allowed_hosts(text: str | None) -> str | None:
    if text not in (None, "*"):
        raise StartupError(
            "ALLOWED_HOSTS can only be *, which allows every host: list addresses in PUBLIC_URL, "
            "such as PUBLIC_URL=https://chat.example.org."
        )
    return text


Switch = Annotated[bool, BeforeValidator(_parse_switch)]
"""A setting that is `on` or `off`."""

CommaSeparated = Annotated[tuple[str, ...] | None, BeforeValidator(_split_list)]
"""A setting that is a list with commas; None when it is empty."""


LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_to_lower_case)]
"""A setting that is the name of a level, in lower or upper case."""

RateLimit = Annotated[Rate, BeforeValidator(_parse_rate)]
"""A setting that is a rate, such as `5, 1/s`."""

MaxConnections = Annotated[int, BeforeValidator(_parse_connections)]
"""A setting that is a number of open connections."""


Expiry = Annotated[int, BeforeValidator(_parse_expiry)]
"""A setting that is a duration in seconds, such as `24h`; NEVER is none."""


class Settings(BaseSettings):
    """The base class of all settings. They are read from the environment only on request."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use what the constructor is given, to which `from_environment` passes the variables."""
        return (init_settings,)


class DataSettings(Settings):
    """Data and identity."""

    env_file: Path = setting(
        Path(".env"),
        "A file with settings, one `NAME=value` a line. The environment takes precedence over it.",
        default_meaning="`.env` in the working directory, if it exists",
    )
    instance: Annotated[Path, AfterValidator(Path.absolute)] = setting(
        PROJECT_FOLDER / "instance",
        "The folder for the data of this installation: the database and the secret key.",
        default_meaning="`instance`, beside `app.py`",
    )
    secret_key: Annotated[str | None, AfterValidator(_check_secret_key)] = setting(
        None,
        "Signs cookies and tokens, and is the key for marks; at least 16 characters. If it "
        "changes, every browser gets a new identity, hosts and moderators lose their roles, bans "
        "and mutes no longer apply, and the passwords of rooms have to be typed again.",
        default_meaning="generated at the first start, kept in `instance/secret_key`",
    )
    replace_secret_key: Switch = setting(
        False,
        "`on` for one start after `SECRET_KEY` has been changed on purpose. Otherwise, a host with "
        "another key than the one before refuses to start, if the database is PostgreSQL.",
    )
    database_url: str | None = setting(
        None,
        "`sqlite:////path/to/file` or `postgresql://user@host/name`.",
        default_meaning="SQLite in `instance/confab.db`",
    )
    dyno: str | None = setting(
        None,
        "The name of the dyno, whose disk is erased every day. With it, `DATABASE_URL` must name "
        "PostgreSQL, and `SECRET_KEY` must be set.",
        default_meaning="set by Heroku",
    )


class ExpirySettings(Settings):
    """Expiry of messages."""

    default_expiry: Expiry = setting(
        NEVER,
        "When the messages of a room are deleted, if its host has not chosen otherwise: so many "
        "hours (`24h`), days (`7d`) or years (`1y`) after they were posted, or `never`. It applies "
        "to existing rooms too. See [Expiry](operations.md#expiry).",
        default_meaning="`never`",
        ge=0,
    )
    max_expiry: Expiry = setting(
        NEVER,
        "The longest that the messages of any room are kept, whatever its host has chosen, or "
        "`never`. It applies to existing rooms too.",
        default_meaning="`never`: hosts may keep messages for ever",
        ge=0,
    )


class AddressSettings(Settings):
    """Addresses of the server."""

    public_url: CommaSeparated = setting(
        None,
        "The addresses at which browsers reach this server, separated by commas, such as "
        "`https://chat.example.org`. Needed behind a proxy and for every other name of the server; "
        "see [Allowed addresses](#allowed-addresses).",
        default_meaning="none",
    )
    base_path: Annotated[str, AfterValidator(_check_base_path)] = setting(
        "",
        "The path below which browsers reach this server, such as `/chat` for "
        "`https://example.org/chat/`. See [Under a path](proxies.md#under-a-path).",
        default_meaning="none: the whole host",
    )
    allowed_hosts: Annotated[str | None, AfterValidator(_check_allowed_hosts)] = setting(
        None,
        "`*` answers requests for every host. Any website can then talk to a server in the "
        "visitor's own network.",
        default_meaning="none: see [Allowed addresses](#allowed-addresses)",
    )
    heroku_app_default_domain_name: str | None = announced_host_setting("Heroku")
    render_external_hostname: str | None = announced_host_setting("Render")
    railway_public_domain: str | None = announced_host_setting("Railway")

    security_contact: Annotated[str | None, AfterValidator(_parse_security_contact)] = setting(
        None,
        "An e-mail address or URL for reports of security problems, shown in "
        "`/.well-known/security.txt`.",
        default_meaning="none: there is no `security.txt`",
    )
    operator: Annotated[str | None, AfterValidator(_check_operator)] = setting(
        None,
        "Who runs this server and how to reach them, shown on `/privacy`, such as "
        "`Example School, chat@example.org`. E-mail addresses and URLs become links.",
        default_meaning="none: the page says that there is no contact",
    )

    @property
    def public_urls(self) -> tuple[str, ...]:
        """The addresses in PUBLIC_URL, and those that the hosting platform announces."""
        announced = (
            self.heroku_app_default_domain_name,
            self.render_external_hostname,
            self.railway_public_domain,
        )
        return (self.public_url or ()) + tuple(f"https://{name}" for name in announced if name)

    @property
    def allows_any_host(self) -> bool:
        """Whether the Host of a request may be any name."""
        return self.allowed_hosts == "*"


class WorkerSettings(Settings):
    """Workers and connections."""

    redis_url: Annotated[str | None, AfterValidator(_check_redis_url)] = setting(
        None,
        "The Redis message queue between workers: `redis://host:6379/0`, `rediss://host:6379/0` "
        "for TLS, `unix:///path/to/redis.sock`, or "
        "`redis+sentinel://host1:26379,host2:26379/0/name`. See [Redis](scaling.md#redis).",
        default_meaning="none: workers share only the database",
    )
    redis_ca: Annotated[Path | None, AfterValidator(_check_redis_ca)] = setting(
        None,
        "A PEM file with the certificates of the authorities that may have issued the certificate "
        "of Redis, for `rediss://`.",
        default_meaning="those of the system",
    )
    redis_tls_verify: Switch = setting(
        True,
        "`off` accepts every certificate of Redis, for platforms whose certificates are "
        "self-signed: whoever controls the network in between can then read and change what "
        "workers send. Reported in the log.",
    )
    workers: Annotated[int, BeforeValidator(_parse_workers)] = setting(
        1, "The number of workers. `gunicorn.conf.py` sets it; do not set it yourself."
    )
    worker_socket: Path | None = setting(
        None,
        "The Unix socket at which the other workers of this host reach this one. "
        "`gunicorn.conf.py` sets it; do not set it yourself.",
        default_meaning="none",
    )
    node_name: Annotated[str, AfterValidator(_check_node_name)] = setting(
        default_node_name(gethostname()),
        "The name of this gunicorn in the session ids of its clients: 1 to 6 letters and digits. "
        "Each gunicorn behind one proxy needs a name of its own, also two on one host. See "
        "[Long-polling](proxies.md#long-polling).",
        default_meaning="the name of the host if it is so short, otherwise 6 characters of its "
        "hash",
    )
    transports: Annotated[CommaSeparated, AfterValidator(_check_transports)] = setting(
        None,
        "`websocket` switches long-polling off, `polling` WebSocket. See "
        "[Long-polling](proxies.md#long-polling).",
        default_meaning="`polling,websocket`",
    )
    engine: Switch = setting(
        True,
        "`off` disables Confab's own WebSocket implementation and uses that of the libraries: "
        "everything works, but more slowly.",
    )


class LimitSettings(Settings):
    """Rate limits."""

    limits: Switch = setting(
        True, "`off` disables all [rate limits](#rate-limits). For benchmarks and tests only."
    )
    limit_person_messages: RateLimit = rate_setting("5, 1/s", "Messages per person.")
    limit_person_bytes: RateLimit = rate_setting(
        "65536, 8192/s", "Bytes of UTF-8 in the messages and edits of a person."
    )
    limit_person_changes: RateLimit = rate_setting(
        "20, 2/s", "Edits, deletions, reactions and actions of hosts and moderators, per person."
    )
    limit_person_names: RateLimit = rate_setting(
        "5, 6/min", "Changes of the own name or of the room's name, per person."
    )
    limit_person_reads: RateLimit = rate_setting(
        "40, 10/s", "Requests for older or missed messages, and all other events, per person."
    )
    limit_person_joins: RateLimit = rate_setting(
        "20/min", "Joins per person, except after a reconnect."
    )
    limit_person_passwords: RateLimit = rate_setting(
        "5, 6/min", "Passwords of rooms that a person tries."
    )
    limit_person_data: RateLimit = rate_setting(
        "20, 30/min", "Requests to count, download or delete the own messages, per person."
    )
    limit_person_reports: RateLimit = rate_setting(
        "5, 10/h", "Reports of messages and rooms per person."
    )
    limit_person_connections: MaxConnections = setting(
        10, "Open connections per person and worker."
    )
    limit_address_messages: RateLimit = rate_setting(
        "200, 60/s",
        "Messages, edits, deletions, reactions, name changes and actions of hosts and moderators, "
        "per address.",
    )
    limit_address_reads: RateLimit = rate_setting(
        "1000, 200/s", "The events of `LIMIT_PERSON_READS` per address."
    )
    limit_address_joins: RateLimit = rate_setting(
        "600/min", "Joins per address, except after a reconnect."
    )
    limit_address_passwords: RateLimit = rate_setting(
        "60, 30/min", "Passwords of rooms that are tried from an address."
    )
    limit_address_data: RateLimit = rate_setting(
        "60, 60/min", "The requests of `LIMIT_PERSON_DATA` per address."
    )
    limit_address_reports: RateLimit = rate_setting(
        "30, 60/h", "Reports of messages and rooms per address."
    )
    limit_address_failed_joins: RateLimit = rate_setting(
        "60, 30/min", "Attempts to enter a room that does not exist, per address."
    )
    limit_address_pages: RateLimit = rate_setting(
        "300, 30/s",
        "Pages and refused requests per address. Static files and health checks do not count.",
    )
    limit_address_rooms: RateLimit = rate_setting("120/h", "New rooms per address.")
    limit_address_handshakes: RateLimit = rate_setting(
        "1000, 50/s", "New Socket.IO connections per address."
    )
    limit_address_connections: MaxConnections = setting(
        1_000,
        "Open Socket.IO connections per address and worker. Twice as many requests may be in "
        "progress.",
    )
    forwarded_allow_ips: Annotated[str, AfterValidator(_check_proxies)] = setting(
        "127.0.0.1,::1",
        "The proxies whose `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Prefix` are "
        "trusted: addresses and networks, `*` for all, or nothing. See "
        "[Behind a proxy](proxies.md#behind-a-proxy).",
    )


class LogSettings(Settings):
    """Log."""

    log_level: LogLevel = setting(
        "info", "The least important lines that are logged: `debug`, `info`, `warning` or `error`."
    )
    log_format: Literal["text", "json"] = setting(
        "text", "`json` writes each line as a JSON object. See [Logs](operations.md#logs)."
    )


class ProtocolLimits(Settings):
    """Limits that clients rely on: they are the same in every installation."""

    handle_chars: int = 64
    message_chars: int = 4000
    message_bytes: int = 16 * 1024
    reason_chars: int = 500
    """Of a report."""

    frame_bytes: int = 32 * 1024
    body_bytes: int = 64 * 1024
    """Of a page's form: the longest message takes 48 KiB of it, percent-encoded."""

    body_seconds: int = 10
    page_messages: int = 50
    """Messages in the answer to `join`, in a page and in one step of the history."""

    catch_up_changes: int = 200
    """Changes in one answer to `since`."""

    cookie_seconds: int = 400 * 24 * 3600
    """The longest that browsers keep a cookie."""

    ping_seconds: int = 20
    ping_grace_seconds: int = 15

    join_seconds: int = 15
    """How long a new connection has to join a room."""

    left_seconds: int = 600
    """How long a connection that has left its room may stay connected."""

    head_seconds: int = 10
    """How long the request line and the headers of a request may take to arrive."""

    stall_seconds: int = 15
    """How long a client may read nothing of the answer to its request."""

    reaction_seconds: float = 0.25
    """The shortest time between two changes of the reactions to one message, on each worker."""

    answer_bytes: int = 512 * 1024
    """The answer to `join`, `since` or `history`. More messages are in the next answers."""


class Config(
    DataSettings,
    ExpirySettings,
    AddressSettings,
    WorkerSettings,
    LimitSettings,
    LogSettings,
    ProtocolLimits,
):
    """The settings of one installation. The defaults need no other service."""

    notices: tuple[str, ...] = ()
    """What the operator should know about the variables that were read."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """Read the settings from the environment, and those it lacks from a .env file.

        Raises StartupError when one of them is invalid.
        """
        given = Variables(cls, environ)()
        file_variables = _read_env_file(given.get("env_file"))
        usable = {
            name: value for name, value in file_variables.items() if name not in COMMAND_VARIABLES
        }
        values = Variables(cls, usable)() | given
        try:
            config = cls(**values, notices=tuple(_notices(environ, file_variables)))
        except ValidationError as error:
            raise StartupError(_sentence(error)) from None
        if config.dyno is not None:
            config.require_no_disk()
        return config

    def offered_transports(self) -> tuple[str, ...]:
        """Return the transports to offer.

        Long-polling needs the same worker for each request. So workers that cannot forward requests
        to each other offer only WebSocket, unless the operator decides otherwise.
        """
        if self.transports is not None:
            return self.transports
        return TRANSPORTS if self._are_workers_connected() else ("websocket",)

    def _are_workers_connected(self) -> bool:
        """Return whether a request that reaches any worker reaches the right one."""
        return self.workers == 1 or self.worker_socket is not None

    def require_no_disk(self) -> None:
        """Check that nothing would be stored on a disk that is erased. Raises StartupError."""
        if self.database().get_backend_name() == "sqlite":
            raise StartupError(
                "The disk of a dyno is erased every day, and all messages with it: add PostgreSQL "
                "(heroku addons:create heroku-postgresql:essential-0), which sets DATABASE_URL."
            )
        if self.secret_key is None:
            raise StartupError(
                "The disk of a dyno is erased every day, and the identity of every browser with "
                'it: set one key for ever (heroku config:set SECRET_KEY="$(openssl rand -hex 32)").'
            )

    def warnings(self) -> list[str]:
        """Return what an operator who starts it with these settings should know."""
        warnings = list(self.notices)
        if self.workers > 1 and self.redis_url is None:
            warnings.append(
                f"{self.workers} workers without REDIS_URL: messages between clients of "
                "different workers arrive up to 3.5 s late."
            )
        warnings += self._redis_warnings()
        if self.transports is None and not self._are_workers_connected():
            warnings.append(
                f"{self.workers} workers offer only WebSocket, because they cannot forward "
                "requests to each other: restart gunicorn, and see the warnings above."
            )
        return warnings

    def _redis_warnings(self) -> list[str]:
        """Return what to report about the settings for TLS to Redis."""
        url = self.redis_url or ""
        uses_tls = url.startswith("rediss://")
        if uses_tls and (not self.redis_tls_verify or "ssl_cert_reqs=none" in url):
            return [
                "REDIS_TLS_VERIFY=off: the certificate of Redis is not checked, so whoever "
                "controls the network in between can read and change what workers send. If you "
                "have the certificate of the authority that issued it, set REDIS_CA instead."
            ]
        if not uses_tls and (self.redis_ca is not None or not self.redis_tls_verify):
            return [
                "REDIS_CA and REDIS_TLS_VERIFY have no effect: the connection to Redis uses no "
                "TLS. Write REDIS_URL=rediss://host:6379/0 to use it."
            ]
        return []

    def database(self) -> URL:
        """Return the URL of the database, with the driver. Raises StartupError."""
        if self.database_url is None:
            return URL.create("sqlite", database=str(self.instance / "confab.db"))
        url = _parse_database_url(self.database_url)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg2")
        if url.drivername not in DRIVERS:
            raise StartupError(
                f"DATABASE_URL names {url.drivername}, but Confab supports only sqlite and "
                "postgresql."
            )
        return url


def is_replacement_worker(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process replaces a worker that ended, according to gunicorn.conf.py."""
    return bool(environ.get("CONFAB_REPLACES"))


def should_report_failure(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process should report that it cannot start. Call it once.

    The first workers of a gunicorn all fail for the same reason. gunicorn.conf.py has written one
    byte into a pipe, and only the worker that reads it reports the failure.
    """
    pipe = environ.get("CONFAB_FAILURE_PIPE")
    if pipe is None or is_replacement_worker(environ):
        return True
    return os.read(int(pipe), 1) != b""


def _read_env_file(path: str | None) -> Mapping[str, str | None]:
    """Return the variables in a .env file, by default the one in the working directory.

    Raises StartupError when the file cannot be read, or when one that is named does not exist.
    """
    if path is not None and not Path(path).exists():
        raise StartupError(f"ENV_FILE={path} does not exist: name a file, or leave it out.")
    file = Path(path) if path is not None else Config.model_fields["env_file"].default
    try:
        return DotEnvSettingsSource(Config, env_file=file, case_sensitive=True).env_vars
    except (OSError, ValueError) as error:
        raise StartupError(f"The settings in {file} cannot be read: {error}.") from None


def _notices(environ: Iterable[str], file_variables: Iterable[str]) -> Iterator[str]:
    """Return what to report about variables that have no effect."""
    known = {variable for name in settings(Config) for variable in variable_names(name)}
    in_environment = {variable for variable in environ if variable.startswith(PREFIX)}
    in_file = {variable for variable in file_variables if not variable.startswith(FLASK_PREFIX)}
    for variable in sorted((in_environment - SET_BY_GUNICORN_CONF) | in_file):
        if variable not in known or variable in READ_BY_GUNICORN:
            yield _notice(variable, known)


def _notice(variable: str, known: set[str]) -> str:
    if variable in COMMAND_VARIABLES:
        return f"{variable} has no effect in .env: set it in the environment of the command."
    nearest = get_close_matches(variable.upper(), sorted(known), n=1)
    if not nearest:
        return f"{variable} is not a setting and has no effect: docs/settings.md lists them."
    return f"{variable} is not a setting and has no effect: did you mean {nearest[0]}?"


def _sentence(error: ValidationError) -> str:
    """Return what is wrong with a setting, without its value, which may be secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    problem = first["msg"].removeprefix("Input ")
    return f"{str(first['loc'][0]).upper()} is not valid: it {problem}."


def _parse_database_url(text: str) -> URL:
    # Heroku and others still write postgres://, which SQLAlchemy no longer accepts.
    text = text.replace("postgres://", "postgresql://", 1)
    try:
        url = make_url(text)
        if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
            raise ValueError("no file")
    except (ArgumentError, ValueError):
        raise StartupError(
            "DATABASE_URL is not a database address: write sqlite:////path/to/file or "
            "postgresql://user@host/name."
        ) from None
    return url
