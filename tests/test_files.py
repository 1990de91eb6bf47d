"""The files below static/ on their way to browsers: smaller, and the same."""

import gzip
from pathlib import Path

import brotli
import pytest
from flask import Flask

from chat.web import static_files
from tests.conftest import Client

ROOT = Path(__file__).resolve().parent.parent
OPENED = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}
BROWSER = "gzip, deflate, br, zstd"


def test_scripts_are_sent_as_they_are_written(app: Flask) -> None:
    answer = app.test_client().get("/static/x/js/main.js")

    assert answer.data == (static_files.STATIC / "js" / "main.js").read_bytes()


@pytest.mark.parametrize(
    ("accepted", "how"),
    [
        (BROWSER, "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("deflate", None),
        ("", None),
    ],
)
def test_everything_that_is_text_comes_as_small_as_the_browser_can_read(
    app: Flask, ada: Client, kitchen: str, accepted: str, how: str | None
) -> None:
    ada.post("hello")
    browser = app.test_client()
    for address in (
        "/",
        f"/{kitchen}/",
        "/no/such/page",
        "/static/x/js/main.js",
        "/static/x/icons/confab.svg",
    ):
        answer = browser.get(address, headers={"Accept-Encoding": accepted})

        assert answer.headers.get("Content-Encoding") == how
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert len(answer.data) == int(answer.headers["Content-Length"])
        opened = OPENED[how](answer.data)
        assert opened.lstrip()[:1] in (b"<", b"/")
        assert how is None or len(answer.data) < len(opened)


def test_the_style_sheets_come_as_one() -> None:
    parts = {path.stem for path in (static_files.STATIC / "css").iterdir()}

    assert {*static_files.STYLE_SHEETS, "print", "noscript"} == parts
    for part in static_files.STYLE_SHEETS:
        assert (
            static_files.static_files()[f"css/{part}.css"]
            in static_files.static_files()["css/all.css"]
        )


def test_pictures_are_as_small_as_they_get(app: Flask) -> None:
    answer = app.test_client().get(
        "/static/x/icons/confab-192.png", headers={"Accept-Encoding": BROWSER}
    )

    assert "Content-Encoding" not in answer.headers
    assert answer.data == (static_files.STATIC / "icons" / "confab-192.png").read_bytes()
