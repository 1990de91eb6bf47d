"""The settings: an invalid one is refused with a sentence that names the remedy."""

import os
from pathlib import Path

import pytest
from flask import Flask
from pydantic import ValidationError

from chat.delivery.redis_server import RedisServer
from chat.storage import instance_folder
from config import NEVER, Config, Rate, StartupError, default_node_name, setting, settings
from tests.conftest import Client, Patch


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("SECRET_KEY", "short", "16 characters"),
        ("SECRET_KEY", "not in UTF-8: \udcff\udcfe", "UTF-8"),
        ("CONFAB_WORKERS", "x", "leave it unset"),
        ("CONFAB_WORKERS", "0", "leave it unset"),
        ("CONFAB_WORKERS", "-1", "leave it unset"),
        ("CONFAB_WORKERS", "1_0", "leave it unset"),
        ("DATABASE_URL", "nonsense", "write sqlite:"),
        ("DATABASE_URL", "sqlite://", "write sqlite:"),
        ("DATABASE_URL", "postgresql://ada@host:port/name", "write sqlite:"),
        ("DATABASE_URL", "mysql://ada@host/name", "supports only sqlite and postgresql"),
        ("REDIS_URL", "http://localhost", "write redis:"),
        ("REDIS_URL", "redis://localhost:port/0", "write redis:"),
        ("REDIS_URL", "redis://localhost:6379/0?foo=bar", "write redis:"),
        ("REDIS_URL", "redis://localhost:99999/0", "write redis:"),
        ("REDIS_URL", "redis://localhost:6379/0?protocol=9", "write redis:"),
        ("REDIS_URL", "rediss://localhost:6379/0?ssl_cert_reqs=perhaps", "write redis:"),
        ("REDIS_URL", "unix:///tmp/redis.sock?socket_keepalive=1", "write redis:"),
        ("REDIS_URL", "unix:///tmp/redis.sock?db=first", "write redis:"),
        ("REDIS_URL", "/tmp/redis.sock", "write redis:"),
        ("REDIS_URL", "unix://", "three slashes"),
        ("REDIS_URL", "unix:///", "three slashes"),
        ("REDIS_URL", "unix://?db=1", "three slashes"),
        ("REDIS_URL", "unix://tmp/redis.sock", "three slashes"),
        ("REDIS_URL", f"unix:///{'x' * 107}", "too long"),
        ("REDIS_URL", "redis+sentinel://localhost/0/name", "with the port of each Sentinel"),
        ("REDIS_URL", "redis+sentinel://localhost:26379", "the name of the master"),
        ("REDIS_URL", "redis+sentinel://localhost:26379/first/name", "the number of the database"),
        ("REDIS_CA", "/nowhere/authority.pem", "PEM format"),
        ("REDIS_CA", "tests/test_config.py", "PEM format"),
        ("REDIS_TLS_VERIFY", "no", "REDIS_TLS_VERIFY=off"),
        ("TRANSPORTS", "pigeon", "polling,websocket"),
        ("NODE_NAME", "web-2", "1 to 6 letters and digits"),
        ("NODE_NAME", "chatserver", "1 to 6 letters and digits"),
        ("NODE_NAME", "Köln", "1 to 6 letters and digits"),
        ("ENGINE", "steam", "ENGINE=off"),
        ("LIMITS", "none", "LIMITS=off"),
        ("LIMIT_PERSON_BYTES", "64 KiB", "5, 1/s"),
        ("LIMIT_ADDRESS_CONNECTIONS", "0", "1 or more"),
        ("DEFAULT_EXPIRY", "0", "24h, 7d or 1y"),
        ("DEFAULT_EXPIRY", "0h", "24h, 7d or 1y"),
        ("DEFAULT_EXPIRY", "-7d", "24h, 7d or 1y"),
        ("MAX_EXPIRY", "24", "24h, 7d or 1y"),
        ("MAX_EXPIRY", "none", "never"),
        ("MAX_EXPIRY", "101y", "24h, 7d or 1y"),
        ("FORWARDED_ALLOW_IPS", "proxy.example", "10.0.0.2"),
        ("FORWARDED_ALLOW_IPS", "10.0.0.1/8", "10.0.0.2"),
    ],
)
def test_an_invalid_setting_is_refused_with_its_remedy(name: str, value: str, remedy: str) -> None:
    with pytest.raises(StartupError) as error:
        Config.from_environment({name: value}).database()

    assert remedy in error.value.sentence
    assert error.value.code == 3


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://ada:secret@localhost:6379/1",
        "rediss://localhost:6379/0",
        "rediss://localhost:6379/0?ssl_cert_reqs=none",
        "unix:///run/redis.sock",
        "unix:///run/redis.sock?db=1&password=secret",
        "unix://ada:secret@/run/redis.sock",
        f"unix:///{'x' * 106}",
        "redis+sentinel://localhost:26379/0/name",
        "redis+sentinel://ada:se%40cret@one:26379,two:26380/1/name",
    ],
)
def test_a_client_can_be_made_for_each_accepted_redis_url(url: str) -> None:
    accepted = Config.from_environment({"REDIS_URL": url}).redis_url
    assert accepted == url

    for decode_responses in (False, True):
        with RedisServer(accepted).client(decode_responses=decode_responses) as client:
            assert client.connection_pool.make_connection()


def test_the_password_of_a_sentinel_url_may_contain_encoded_characters() -> None:
    server = RedisServer("redis+sentinel://ada:se%40cret@one:26379/1/name")

    options = server.client().connection_pool.connection_kwargs

    assert (options["username"], options["password"], options["db"]) == ("ada", "se@cret", 1)


@pytest.mark.parametrize(
    ("settings_of_tls", "warning"),
    [
        ({"REDIS_URL": "rediss://localhost", "REDIS_TLS_VERIFY": "off"}, "is not checked"),
        ({"REDIS_URL": "rediss://localhost?ssl_cert_reqs=none"}, "is not checked"),
        ({"REDIS_URL": "redis://localhost", "REDIS_TLS_VERIFY": "off"}, "have no effect"),
        ({"REDIS_CA": "tests/vectors/authority.pem"}, "have no effect"),
    ],
)
def test_an_operator_is_warned_of_a_connection_to_redis_that_is_not_verified(
    settings_of_tls: dict[str, str], warning: str
) -> None:
    [reported] = Config.from_environment(settings_of_tls).warnings()

    assert warning in reported


def test_a_verified_connection_to_redis_causes_no_warning() -> None:
    for ca in ({}, {"REDIS_CA": "tests/vectors/authority.pem"}):
        assert Config.from_environment({"REDIS_URL": "rediss://localhost"} | ca).warnings() == []


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_scheme_of_postgresql_gets_the_tested_driver(scheme: str) -> None:
    url = Config.from_environment({"DATABASE_URL": f"{scheme}://ada:secret@host/name"}).database()

    assert url.render_as_string(hide_password=False) == "postgresql+psycopg2://ada:secret@host/name"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("never", NEVER), ("1h", 3600), ("7d", 604_800), (" 30 d ", 2_592_000), ("1y", 31_536_000)],
)
def test_an_expiry_is_written_as_a_duration(value: str, seconds: int) -> None:
    config = Config.from_environment({"DEFAULT_EXPIRY": value, "CONFAB_MAX_EXPIRY": value})

    assert (config.default_expiry, config.max_expiry) == (seconds, seconds)


@pytest.mark.parametrize("content", ["", "short", " " * 20])
def test_a_truncated_secret_key_is_replaced(app: Flask, content: str) -> None:
    folder = app.config["CONFAB"].instance
    (folder / "secret_key").write_text(content)

    key = instance_folder.read_or_create_secret_key(folder)

    assert len(key) > 40
    assert instance_folder.read_or_create_secret_key(folder) == key
    assert (folder / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_secret_key_that_is_not_a_text_file_is_reported(app: Flask) -> None:
    path = app.config["CONFAB"].instance / "secret_key"

    path.write_bytes(b"\xff\xfe" * 20)
    with pytest.raises(StartupError) as garbage:
        instance_folder.read_or_create_secret_key(path.parent)
    path.unlink()
    path.mkdir()
    with pytest.raises(StartupError) as folder:
        instance_folder.read_or_create_secret_key(path.parent)

    assert f"The file {path} is not text" in garbage.value.sentence
    assert f"The file {path} cannot be read" in folder.value.sentence


def test_a_secret_key_that_cannot_be_written_is_reported(app: Flask) -> None:
    path = app.config["CONFAB"].instance / "secret_key"
    path.unlink()
    (path.parent / "secret_key.new").mkdir()

    with pytest.raises(StartupError) as refused:
        instance_folder.read_or_create_secret_key(path.parent)

    assert str(path) in refused.value.sentence
    assert "SECRET_KEY" in refused.value.sentence


def test_a_handle_without_visible_characters_is_refused(ada: Client) -> None:
    for name in ("\u200d", "\u3164\u2800", "\u200b \u2060"):
        assert ada.post("hello", handle=name)["code"] == "empty"
    assert ada.post("hello", handle="\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645")["ok"]


def read(folder: Path, environment: dict[str, str], lines: str = "") -> Config:
    """Read the settings from an environment and from a .env file with such lines."""
    file = folder / "settings.env"
    file.write_text(lines)
    return Config.from_environment({"ENV_FILE": str(file), **environment})


@pytest.mark.parametrize(
    ("environment", "lines", "url"),
    [
        ({"REDIS_URL": "redis://a"}, "", "redis://a"),
        ({"CONFAB_REDIS_URL": "redis://a"}, "", "redis://a"),
        ({"CONFAB_REDIS_URL": "redis://a", "REDIS_URL": "redis://b"}, "", "redis://a"),
        ({"CONFAB_REDIS_URL": "", "REDIS_URL": "redis://b"}, "", "redis://b"),
        ({}, "REDIS_URL=redis://c", "redis://c"),
        ({}, "# our Redis\nexport CONFAB_REDIS_URL='redis://c'\n", "redis://c"),
        ({"REDIS_URL": "redis://a"}, "REDIS_URL=redis://c", "redis://a"),
        ({"REDIS_URL": "redis://a"}, "CONFAB_REDIS_URL=redis://c", "redis://a"),
        ({"CONFAB_REDIS_URL": "redis://a"}, "REDIS_URL=redis://c", "redis://a"),
        ({"REDIS_URL": ""}, "REDIS_URL=redis://c", "redis://c"),
        ({"redis_url": "redis://a"}, "redis_url=redis://c", None),
    ],
)
def test_a_setting_is_found_under_both_names_and_the_environment_takes_precedence(
    tmp_path: Path, environment: dict[str, str], lines: str, url: str | None
) -> None:
    assert read(tmp_path, environment, lines).redis_url == url


TEXTS = {
    "instance": "elsewhere",
    "secret_key": "secret enough to be used",
    "database_url": "sqlite:////tmp/confab.db",
    "redis_url": "redis://localhost",
    "redis_ca": "tests/vectors/authority.pem",
    "public_url": "https://chat.example.org",
    "allowed_hosts": "*",
    "security_contact": "security@example.org",
    "operator": "Ada, ada@example.org",
    "heroku_app_default_domain_name": "chat.example.org",
    "render_external_hostname": "chat.example.org",
    "railway_public_domain": "chat.example.org",
    "node_name": "web2",
    "base_path": "/chat",
    "transports": "polling, websocket",
    "log_level": "debug",
    "log_format": "json",
    "default_expiry": "7d",
    "max_expiry": "1y",
}
"""A valid value other than the default, for each setting that is no number, rate or switch."""


def another_value(name: str) -> str:
    """Return a valid value of a setting that is not its default."""
    if name in TEXTS:
        return TEXTS[name]
    default = settings(Config)[name].default
    if isinstance(default, bool):
        return "off" if default else "on"
    if isinstance(default, Rate):
        return "7, 7/min"
    return str(default + 1)


@pytest.mark.parametrize(
    "name",
    # A dyno is accepted only with other settings: see tests/deploy/test_heroku.py.
    sorted(
        set(settings(Config))
        - {"env_file", "workers", "worker_socket", "forwarded_allow_ips", "dyno"}
    ),
)
def test_a_setting_is_accepted_under_both_names_and_from_a_file(tmp_path: Path, name: str) -> None:
    for variable in (name.upper(), f"CONFAB_{name.upper()}"):
        for config in (
            read(tmp_path, {variable: another_value(name)}),
            read(tmp_path, {}, f"{variable}={another_value(name)}"),
        ):
            assert getattr(config, name) != getattr(Config(), name)


def test_the_env_file_of_the_working_directory_is_read(tmp_path: Path, monkeypatch: Patch) -> None:
    (tmp_path / ".env").write_text("ENGINE=off\n")
    monkeypatch.chdir(tmp_path)

    assert not Config.from_environment({}).engine
    monkeypatch.chdir(tmp_path.parent)
    assert Config.from_environment({}).engine


def test_an_env_file_that_is_missing_or_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"SECRET_KEY=\xe9\xe8\n")

    for name, problem in (("none", "does not exist"), ("latin", "cannot be read")):
        with pytest.raises(StartupError) as error:
            Config.from_environment({"ENV_FILE": str(tmp_path / name)})
        assert str(tmp_path / name) in error.value.sentence
        assert problem in error.value.sentence


def test_the_number_of_workers_is_not_what_the_operator_asks_of_gunicorn(tmp_path: Path) -> None:
    assert read(tmp_path, {"WORKERS": "4"}, "WORKERS=4").workers == 1
    assert read(tmp_path, {"CONFAB_WORKERS": "4"}).workers == 4


def test_the_constructor_does_not_read_the_environment(monkeypatch: Patch) -> None:
    monkeypatch.setenv("ENGINE", "off")
    monkeypatch.setenv("PING_SECONDS", "1")

    assert Config().engine
    assert Config.from_environment().ping_seconds == Config().ping_seconds == 20


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().engine = False  # type: ignore[misc]  # what is tested


@pytest.mark.parametrize(
    ("environment", "lines", "unknown", "nearest"),
    [
        ({"CONFAB_REDIS_URI": "redis://a"}, "", "CONFAB_REDIS_URI", "CONFAB_REDIS_URL"),
        ({"CONFAB_TRANSPORT": "polling"}, "", "CONFAB_TRANSPORT", "CONFAB_TRANSPORTS"),
        ({}, "DATABASE_URI=sqlite:////tmp/x", "DATABASE_URI", "DATABASE_URL"),
        ({}, "redis_url=redis://a", "redis_url", "REDIS_URL"),
        ({}, "SECRETKEY=", "SECRETKEY", "SECRET_KEY"),
        ({"CONFAB_0123456789": "1"}, "", "CONFAB_0123456789", "docs/settings.md"),
        ({}, "PORT=8000", "PORT", "environment of the command"),
    ],
)
def test_a_name_that_is_no_setting_is_reported_with_the_nearest_one(
    tmp_path: Path, environment: dict[str, str], lines: str, unknown: str, nearest: str
) -> None:
    [warning] = read(tmp_path, environment, lines).warnings()

    assert warning.startswith(f"{unknown} ")
    assert nearest in warning


def test_known_names_and_names_of_others_are_not_reported(tmp_path: Path) -> None:
    environment = {
        "CONFAB_WORKERS": "1",
        "CONFAB_REPLACES": "",
        "CONFAB_ENGINE": "on",
        "REDIS_URI": "of another program",
        "PORT": "8000",
    }

    assert read(tmp_path, environment, "FLASK_DEBUG=1\nINSTANCE=x\n").warnings() == []


def test_a_value_of_the_wrong_type_is_refused_without_repeating_it() -> None:
    class Numbered(Config):
        size: int = setting(1, "A number.", ge=1)

    for value, problem in (("much", "valid integer"), ("0", "greater than or equal to 1")):
        with pytest.raises(StartupError) as error:
            Numbered.from_environment({"SIZE": value, "ENV_FILE": os.devnull})
        assert error.value.sentence.startswith("SIZE is not valid: it should be")
        assert problem in error.value.sentence
        assert "much" not in error.value.sentence


def test_trusted_proxies_are_read_from_the_environment_only_and_may_be_nobody(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, {}).forwarded_allow_ips == "127.0.0.1,::1"
    assert read(tmp_path, {"FORWARDED_ALLOW_IPS": ""}).forwarded_allow_ips == ""
    assert read(tmp_path, {"FORWARDED_ALLOW_IPS": "10.0.0.2"}).forwarded_allow_ips == "10.0.0.2"

    from_file = read(tmp_path, {}, "FORWARDED_ALLOW_IPS=10.0.0.2")

    assert from_file.forwarded_allow_ips == "127.0.0.1,::1"
    [notice] = from_file.notices
    assert notice.startswith("FORWARDED_ALLOW_IPS has no effect in .env")


def test_a_message_within_the_limit_of_characters_is_within_that_of_bytes() -> None:
    """The page counts characters only, also when it splits a long text."""
    config = Config()

    assert config.message_chars * len("\U0001f44d".encode()) <= config.message_bytes


def test_workers_that_cannot_reach_each_other_offer_websocket_only_and_report_it() -> None:
    alone = Config(workers=2)
    connected = Config(workers=2, worker_socket=Path("/tmp/confab-1/000"))
    chosen = Config(workers=2, transports=("polling", "websocket"))

    assert alone.offered_transports() == ("websocket",)
    assert any("offer only WebSocket" in warning for warning in alone.warnings())
    for config in (Config(), connected, chosen):
        assert config.offered_transports() == ("polling", "websocket")
        assert not any("WebSocket" in warning for warning in config.warnings())


@pytest.mark.parametrize(
    ("host", "name"),
    [("web2", "web2"), ("web-2", "web2"), ("web-2.example.org", "03b488"), ("-", "3973e0")],
)
def test_the_name_of_a_host_is_derived_from_its_own(host: str, name: str) -> None:
    assert default_node_name(host) == name
