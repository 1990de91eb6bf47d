"""The static files: content, compression and caching."""

import gzip
import re

import brotli
import pytest
from flask import Flask

from chat.web import static_files
from tests.conftest import Client

DECOMPRESS = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}
ACCEPTED_BY_BROWSERS = "gzip, deflate, br, zstd"


def test_scripts_are_sent_unchanged(app: Flask) -> None:
    answer = app.test_client().get("/static/x/js/main.js")

    assert answer.data == (static_files.STATIC / "js" / "main.js").read_bytes()


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (ACCEPTED_BY_BROWSERS, "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("deflate", None),
        ("", None),
    ],
)
def test_text_is_sent_in_the_best_content_coding_that_is_accepted(
    app: Flask, ada: Client, kitchen: str, accepted: str, coding: str | None
) -> None:
    ada.post("hello")
    browser = app.test_client()
    for path in (
        "/",
        f"/{kitchen}/",
        "/no/such/page",
        "/static/x/js/main.js",
        "/static/x/icons/confab.svg",
    ):
        answer = browser.get(path, headers={"Accept-Encoding": accepted})

        assert answer.headers.get("Content-Encoding") == coding
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert len(answer.data) == int(answer.headers["Content-Length"])
        content = DECOMPRESS[coding](answer.data)
        assert content.lstrip()[:1] in (b"<", b"/")
        assert coding is None or len(answer.data) < len(content)


def test_compressed_images_are_not_compressed_again(app: Flask) -> None:
    answer = app.test_client().get(
        "/static/x/icons/confab-192.png", headers={"Accept-Encoding": ACCEPTED_BY_BROWSERS}
    )

    assert "Content-Encoding" not in answer.headers
    assert answer.data == (static_files.STATIC / "icons" / "confab-192.png").read_bytes()


def test_all_style_sheets_are_in_the_combined_one() -> None:
    sheets = {path.stem for path in (static_files.STATIC / "css").iterdir()}
    files = static_files.static_files()

    assert {*static_files.STYLE_SHEETS, "print"} == sheets
    for sheet in static_files.STYLE_SHEETS:
        assert files[f"css/{sheet}.css"] in files["css/all.css"]


def test_the_files_of_a_page_are_immutable_under_their_versioned_urls(app: Flask) -> None:
    browser = app.test_client()
    paths = re.findall(r'(?:href|src)="(/static/[^"]+)"', browser.get("/kitchen/").text)
    assert paths

    for path in paths:
        answer = browser.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        answer.close()


def test_the_files_of_another_version_are_not_cached(app: Flask) -> None:
    answer = app.test_client().get("/static/another/js/main.js")

    assert answer.status_code == 200
    assert "immutable" not in answer.headers["Cache-Control"]
    assert "max-age=0" in answer.headers["Cache-Control"]
    answer.close()


def test_no_file_outside_static_is_served(app: Flask) -> None:
    for path in ("../config.py", "..%2fconfig.py", "%2e%2e/config.py"):
        assert app.test_client().get(f"/static/x/{path}").status_code == 404
