"""The privacy page: what is stored, and who runs the server."""

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from chat.web.privacy import link_contacts
from config import MAX_OPERATOR_CHARS, Config, StartupError
from tests.pages import hidden_fields

NO_CONTACT = "The operator of this server has not given a contact."


def text_of(page: str) -> str:
    """Return the text of a page without its markup."""
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def test_the_privacy_page_names_the_operator(
    make_app: Callable[[Config], Flask], tmp_path: Path
) -> None:
    operator = "Example & School, chat@example.org, https://example.org/chat."
    app = make_app(Config(instance=tmp_path, operator=operator, limits=False))

    page = app.test_client().get("/privacy")

    assert page.status_code == 200
    assert operator in text_of(page.text)
    assert 'href="mailto:chat@example.org"' in page.text
    assert 'href="https://example.org/chat"' in page.text
    assert NO_CONTACT not in page.text


def test_without_a_contact_the_privacy_page_says_so(app: Flask) -> None:
    assert NO_CONTACT in app.test_client().get("/privacy").text


def test_the_privacy_page_gives_a_new_visitor_no_cookie(app: Flask) -> None:
    answer = app.test_client().get("/privacy")

    assert "Set-Cookie" not in answer.headers
    assert hidden_fields(answer.text) == {}


def test_the_form_of_the_privacy_page_deletes_the_cookie(app: Flask, kitchen: str) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    before = browser.get_cookie("confab")

    form = hidden_fields(browser.get("/privacy").text)
    answer = browser.post("/privacy/forget", data=form)

    assert before is not None
    assert answer.status_code == 303
    assert browser.get_cookie("confab") is None


def test_the_home_page_and_every_room_link_to_the_privacy_page(app: Flask, kitchen: str) -> None:
    for path in ("/", f"/{kitchen}/"):
        assert 'href="/privacy"' in app.test_client().get(path).text


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("Ada", []),
        ("ada@example.org", ["mailto:ada@example.org"]),
        ("Ada <ada@example.org>", ["mailto:ada@example.org"]),
        ("(see https://example.org/a).", ["https://example.org/a"]),
        ("javascript:alert(1)", []),
        ("<script>https://example.org</script>", ["https://example.org"]),
        ("", []),
    ],
)
def test_contacts_become_links(text: str, links: list[str]) -> None:
    parts = link_contacts(text)

    assert "".join(part for part, _ in parts) == text
    assert [url for _, url in parts if url] == links


def test_a_long_text_about_the_operator_is_refused() -> None:
    assert Config.from_environment({"OPERATOR": "x" * MAX_OPERATOR_CHARS}).operator
    with pytest.raises(StartupError) as error:
        Config.from_environment({"OPERATOR": "x" * (MAX_OPERATOR_CHARS + 1)})
    assert "OPERATOR" in error.value.sentence
