"""The settings: an invalid one is refused with a sentence that names the remedy."""

import pytest
from flask import Flask

from chat.delivery.bus import redis_client
from chat.storage import instance_folder
from config import Config, StartupError
from tests.conftest import Client


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("SECRET_KEY", "short", "16 characters"),
        ("SECRET_KEY", "not in UTF-8: \udcff\udcfe", "UTF-8"),
        ("CONFAB_WORKERS", "x", "leave it out"),
        ("CONFAB_WORKERS", "0", "leave it out"),
        ("CONFAB_WORKERS", "-1", "leave it out"),
        ("CONFAB_WORKERS", "1_0", "leave it out"),
        ("DATABASE_URL", "nonsense", "write sqlite:"),
        ("DATABASE_URL", "sqlite://", "write sqlite:"),
        ("DATABASE_URL", "postgresql://ada@host:port/name", "write sqlite:"),
        ("DATABASE_URL", "mysql://ada@host/name", "supports sqlite and postgresql"),
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
        ("TRANSPORTS", "pigeon", "polling,websocket"),
        ("ENGINE", "steam", "ENGINE=off"),
        ("LIMITS", "none", "LIMITS=off"),
        ("LIMIT_PERSON_BYTES", "64 KiB", "5, 1/s"),
        ("LIMIT_ADDRESS_CONNECTIONS", "0", "1 or more"),
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
    ],
)
def test_a_client_can_be_made_for_each_accepted_redis_url(url: str) -> None:
    accepted = Config.from_environment({"REDIS_URL": url}).redis_url
    assert accepted == url

    for decode_responses in (False, True):
        with redis_client(accepted, decode_responses=decode_responses) as client:
            assert client.connection_pool.make_connection()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_scheme_of_postgresql_gets_the_tested_driver(scheme: str) -> None:
    url = Config.from_environment({"DATABASE_URL": f"{scheme}://ada:secret@host/name"}).database()

    assert url.render_as_string(hide_password=False) == "postgresql+psycopg2://ada:secret@host/name"


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
