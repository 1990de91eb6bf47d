"""`flask run` says when it can be reached from other machines."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from werkzeug import serving

from chat.engine.dev_server import LimitedRequestHandler, _is_loopback
from config import Config
from tests.servers import ConfabServer, _serving

WARNING = "the development server, which is not for the internet"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("options", "environment", "warns"),
    [
        ([], {}, False),
        (["--host", "localhost"], {}, False),
        (["--host", "0.0.0.0"], {}, True),
        ([], {"FLASK_RUN_HOST": "0.0.0.0"}, True),
    ],
    ids=["default", "localhost", "all addresses", "all addresses by variable"],
)
def test_flask_run_warns_unless_it_listens_at_loopback(
    tmp_path: Path, options: list[str], environment: dict[str, str], warns: bool
) -> None:
    def command_line(port: int) -> list[str]:
        return [sys.executable, "-m", "flask", "--app", "app", "run", *options, "--port", str(port)]

    with _serving(ConfabServer(tmp_path, command_line, **environment)) as server:
        assert server.page("/healthz")
        assert (WARNING in server.log()) == warns


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("unix:///run/confab.sock", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
        ("no such host", False),
    ],
)
def test_only_this_machine_reaches_a_loopback_host(host: str, is_loopback: bool) -> None:
    assert _is_loopback(host) == is_loopback


def test_creating_several_apps_limits_the_development_server_once(
    make_app: Callable[[Config], Flask], tmp_path: Path
) -> None:
    for number in range(3):
        make_app(Config(instance=tmp_path / str(number)))

    assert serving.WSGIRequestHandler is LimitedRequestHandler
