"""Headers that protect pages, and the files that crawlers and security researchers look for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from chat.web.static_files import version
from config import Config, StartupError
from tests.conftest import Patch

PUBLIC = "https://chat.example"
PATHS = ("/", "/kitchen/", "/kitchen", "/no.such.page", "/kitchen/qr.svg", "/robots.txt")


@pytest.fixture
def public_app(make_app: Callable[[Config], Flask], tmp_path: Path) -> Flask:
    """An app with a public address and a contact."""
    settings = {"PUBLIC_URL": PUBLIC, "SECURITY_CONTACT": "security@chat.example"}
    return make_app(Config.from_environment({"INSTANCE": str(tmp_path / "i"), **settings}))


def test_the_content_security_policy_does_not_depend_on_the_host(app: Flask) -> None:
    policies = {
        app.test_client().get(path, base_url=f"http://{host}").headers["Content-Security-Policy"]
        for path in PATHS
        for host in ("localhost", "localhost:5000", "[::1]", "[::1]:5000")
    }

    [policy] = policies
    directives = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert "[" not in policy


def test_browsers_use_only_https_once_they_have(public_app: Flask) -> None:
    static = f"/static/{version()}/js/main.js"
    for path in (*PATHS, static):
        headers = public_app.test_client().get(path, base_url=PUBLIC).headers
        assert headers["Strict-Transport-Security"] == "max-age=31536000"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_other_programs_on_this_machine_are_not_bound_to_https(app: Flask) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        for scheme in ("http", "https"):
            headers = app.test_client().get("/", base_url=f"{scheme}://{host}").headers
            assert "Strict-Transport-Security" not in headers
            assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_plain_http_gets_no_headers_that_browsers_warn_about(
    make_app: Callable[[Config], Flask], tmp_path: Path
) -> None:
    app = make_app(Config(instance=tmp_path / "i", allowed_hosts="*"))

    headers = app.test_client().get("/", base_url="http://chat.example").headers

    assert "Strict-Transport-Security" not in headers
    assert "Cross-Origin-Opener-Policy" not in headers


@pytest.mark.parametrize("base_url", ["http://localhost", "http://[::1]:5000", PUBLIC])
def test_redirects_are_relative(public_app: Flask, base_url: str) -> None:
    for path in ("/kitchen", "/?room=kitchen", "/kitchen/qr.svg/", "/new"):
        answer = public_app.test_client().get(path, base_url=base_url)
        assert answer.status_code == 404 or answer.location.startswith("/")
        assert not (answer.location or "").startswith("//")
    assert public_app.test_client().get("/kitchen", base_url=base_url).location == "/kitchen/"


def test_errors_are_not_cached(app: Flask, monkeypatch: Patch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError

    browser = app.test_client()
    answers = [
        browser.get("/no.such.page"),
        browser.get("/static/x/no-such-file.js"),
        browser.post("/kitchen/", data={"csrf": "x"}),
        browser.post("/kitchen/", data=b"x" * 100_000),
        browser.delete("/"),
        browser.get("/.well-known/security.txt"),
    ]
    monkeypatch.setattr("chat.storage.journal.get_or_create_room", fail)
    answers.append(browser.get("/garden/"))

    assert [each.status_code for each in answers] == [404, 404, 400, 413, 405, 404, 500]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"


def test_crawlers_may_read_the_home_page_only(app: Flask) -> None:
    answer = app.test_client().get("/robots.txt")

    assert answer.mimetype == "text/plain"
    assert answer.text.splitlines() == ["User-agent: *", "Allow: /$", "Disallow: /"]


def test_the_security_contact_is_published(public_app: Flask) -> None:
    answer = public_app.test_client().get("/.well-known/security.txt", base_url=PUBLIC)

    assert answer.mimetype == "text/plain"
    fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert fields["Contact"] == "mailto:security@chat.example"
    remaining = datetime.fromisoformat(fields["Expires"]) - datetime.now(UTC)
    assert timedelta(days=30) < remaining < timedelta(days=365)


@pytest.mark.parametrize(
    ("given", "published"),
    [
        ("ada@chat.example", "mailto:ada@chat.example"),
        ("mailto:ada@chat.example", "mailto:ada@chat.example"),
        ("https://chat.example/report?x=1", "https://chat.example/report?x=1"),
        ("tel:+1-201-555-0123", "tel:+1-201-555-0123"),
    ],
)
def test_a_contact_is_an_address_or_a_url(given: str, published: str) -> None:
    assert Config.from_environment({"SECURITY_CONTACT": given}).security_contact == published


@pytest.mark.parametrize(
    "given", ["Ada", "http://x", "ada@chat.example\nX: y", "a b@c", "https://"]
)
def test_an_invalid_contact_is_refused(given: str) -> None:
    with pytest.raises(StartupError) as error:
        Config.from_environment({"SECURITY_CONTACT": given})

    assert "SECURITY_CONTACT=security@example.org" in error.value.sentence
