"""The files below static/ on their way to browsers: smaller, and the same."""

import gzip
import json
import subprocess
from pathlib import Path

import brotli
import pytest
from flask import Flask

from chat.web import static_files
from tests.conftest import Tab

HERE = Path(__file__).resolve().parent.parent
OPENED = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}
BROWSER = "gzip, deflate, br, zstd"
# What a program is made of, each piece with its line, as the linter reads it, and how many comments there are.
TOKENS = """
import { Linter } from "eslint"
let given = ""
for await (const chunk of process.stdin) given += chunk
const read = (script) => {
  const linter = new Linter()
  const said = linter.verify(script, [{ languageOptions: { ecmaVersion: "latest", sourceType: "module" } }])
  const { tokens, comments } = linter.getSourceCode()?.ast ?? {}
  return [tokens?.map(({ type, value, loc }) => [type, value, loc.start.line]) ?? said, comments?.length]
}
console.log(JSON.stringify(JSON.parse(given).map(read)))
"""


def test_a_script_as_it_is_sent_is_the_same_program_on_the_same_lines() -> None:
    ours = sorted(
        str(path.relative_to(static_files.STATIC))
        for path in (static_files.STATIC / "js").rglob("*.js")
    )
    scripts = [
        text
        for name in ours
        for text in (static_files.files()[name].decode(), static_files.packed(name, None).decode())
    ]

    read = subprocess.run(
        ["node", "--input-type=module", "--eval", TOKENS],
        input=json.dumps(scripts),
        capture_output=True,
        text=True,
        check=True,
        cwd=HERE,
    )

    found = json.loads(read.stdout)
    for name, (tokens, _), (left, comments) in zip(ours, found[::2], found[1::2], strict=True):
        assert len(tokens) > 10, name
        assert tokens == left, name
        assert comments == 0, name


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ("a = 1 // one\nb = 2", "a = 1 \nb = 2"),
        ("/** What\n * it does. */\nf()", "\n\nf()"),
        ("`//${`/*${x}*/`}//`", "`//${`/*${x}*/`}//`"),
        ('"//" + \'/*\' + /\\/*[/"]/.source', '"//" + \'/*\' + /\\/*[/"]/.source'),
        ("\n\na / b // c / d\n", "\n\na / b \n"),
        ("if (a)\n  b = `\n  c ${\n  d\n  }\n  `\n", "if (a)\nb = `\n  c ${\nd\n}\n  `\n"),
    ],
)
def test_only_comments_and_indentation_are_left_out(script: str, sent: str) -> None:
    assert static_files.slim(script) == sent


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
    app: Flask, ada: Tab, kitchen: str, accepted: str, how: str | None
) -> None:
    ada.say("hello")
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
        assert opened.lstrip()[:1] in (b"<", b"i")
        assert how is None or len(answer.data) < len(opened)


def test_the_style_sheets_come_as_one() -> None:
    parts = {path.stem for path in (static_files.STATIC / "css").iterdir()}

    assert {*static_files.SHEETS, "print", "noscript"} == parts
    for part in static_files.SHEETS:
        assert static_files.files()[f"css/{part}.css"] in static_files.files()["css/all.css"]


def test_pictures_are_as_small_as_they_get(app: Flask) -> None:
    answer = app.test_client().get(
        "/static/x/icons/confab-192.png", headers={"Accept-Encoding": BROWSER}
    )

    assert "Content-Encoding" not in answer.headers
    assert answer.data == (static_files.STATIC / "icons" / "confab-192.png").read_bytes()
