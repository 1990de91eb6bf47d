"""The pages: what a person and a search engine get."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import segno
from flask import Flask
from haikunator import Haikunator
from sqlalchemy import func, select, update

from chat.errors import Busy
from chat.models import Room, messages
from chat.services import services_of
from chat.storage.database import read_transaction
from chat.web import pages
from chat.web.labels import LABEL_RULE, RESERVED_LABELS, is_valid_label
from tests.conftest import Client, Patch, create_room, in_room


def rooms(app: Flask) -> int:
    with app.app_context(), read_transaction() as connection:
        return connection.scalar(select(func.count()).select_from(Room)) or 0


def test_the_first_page_says_what_this_is_and_leads_on(app: Flask) -> None:
    page = app.test_client().get("/")

    assert page.status_code == 200
    assert 'action="/new/"' in page.text
    assert 'name="room"' in page.text


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_new_room_has_a_haiku_name(app: Flask, method: str) -> None:
    answer = getattr(app.test_client(), method)("/new/")

    assert answer.status_code == 303
    assert re.fullmatch(r"/[a-z]+-[a-z]+-\d{4}/", answer.location)
    assert rooms(app) == 1


def test_a_name_that_is_taken_is_drawn_again_then_lengthened(
    app: Flask, monkeypatch: Patch
) -> None:
    drawn = []

    def haikunate(_self: Haikunator, token_length: int) -> str:
        drawn.append(token_length)
        return f"old-pond-{'1' * token_length}"

    monkeypatch.setattr(Haikunator, "haikunate", haikunate)
    browser = app.test_client()
    browser.get("/old-pond-1111/")

    answer = browser.post("/new/")

    assert drawn == [4, 4, 4, 4, 4, 5]
    assert answer.location == "/old-pond-11111/"


def test_going_to_a_room_by_name(app: Flask) -> None:
    assert app.test_client().get("/?room=%20kitchen%20").location == "/kitchen/"


@pytest.mark.parametrize("name", ["two words", "x" * 51, "küche", "new", "help", "LOGIN", "a/b"])
def test_a_name_that_is_none_is_explained(app: Flask, name: str) -> None:
    page = app.test_client().get("/", query_string={"room": name})

    assert page.status_code == 200
    assert LABEL_RULE in page.text
    assert rooms(app) == 0


def test_a_room_is_made_by_its_first_visitor(app: Flask) -> None:
    assert app.test_client().get("/kitchen/").status_code == 200
    assert app.test_client().get("/kitchen/").status_code == 200
    assert rooms(app) == 1


def test_twenty_visitors_at_once_make_one_room(app: Flask) -> None:
    def visit(_number: int) -> int:
        return app.test_client().get("/party/").status_code

    with ThreadPoolExecutor(20) as visitors:
        assert set(visitors.map(visit, range(20))) == {200}

    assert rooms(app) == 1


def test_labels_differ_by_case(app: Flask) -> None:
    for label in ("Kitchen", "kitchen"):
        app.test_client().get(f"/{label}/")

    assert rooms(app) == 2


@pytest.mark.parametrize("path", ["/kitchen", "/x"])
def test_a_room_without_its_slash_is_the_room(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)

    assert (answer.status_code, answer.location) == (308, f"http://localhost{path}/")


@pytest.mark.parametrize(
    "path",
    ["/a.b/", "/k%C3%BCche/", f"/{'x' * 51}/", "/a/b/", "/about/", "/api/", "/ADMIN/", "/a%0A/"],
)
def test_what_is_not_a_label_is_not_a_room(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)

    assert answer.status_code == 404
    assert "Page not found" in answer.text
    assert rooms(app) == 0


RESERVED = [
    "new",
    "about",
    "api",
    "static",
    "healthz",
    "readyz",
    "version",
    "metrics",
    "admin",
    "privacy",
    "security",
    "help",
    "rooms",
    "host",
    "login",
    "files",
    "export",
    "settings",
]


@pytest.mark.parametrize("word", RESERVED)
def test_a_reserved_word_is_not_a_room(
    app: Flask, open_client: Callable[..., Client], word: str
) -> None:
    browser = app.test_client()

    for label in (word, word.upper(), word.title()):
        for path in (f"/{label}", f"/{label}/", f"/{label}/qr.svg"):
            answer = browser.get(path)
            assert answer.status_code == 404 or path.startswith(("/new", "/healthz", "/readyz"))
            assert 'id="composer"' not in answer.text
        assert browser.post(f"/{label}/", data={}).status_code != 200
        assert LABEL_RULE in browser.get("/", query_string={"room": label}).text
        assert open_client().join(label)["code"] == "not_found"
    with app.app_context(), read_transaction() as connection:
        assert word not in {name.lower() for name in connection.scalars(select(Room.label))}


@pytest.mark.parametrize(
    "label", ["helper", "my-help", "help-", "Help_1", "news", "xlogin", "host2"]
)
def test_a_label_may_begin_or_end_with_a_reserved_word(app: Flask, label: str) -> None:
    assert app.test_client().get(f"/{label}").location == f"http://localhost/{label}/"
    assert app.test_client().get(f"/{label}/").status_code == 200


def test_a_haiku_name_is_never_reserved(app: Flask) -> None:
    made = app.test_client().post("/new/").location.strip("/")

    assert is_valid_label(made)
    assert "-" in made
    assert not any("-" in word for word in RESERVED_LABELS)


def test_the_messages_of_a_room_whose_label_has_been_reserved_are_kept(
    app: Flask, open_client: Callable[..., Client]
) -> None:
    label = create_room(app, "help")  # by an earlier release
    ada = in_room(open_client(), label)
    ada.post("hello")

    assert app.test_client().get("/help/").status_code == 404

    with app.app_context(), read_transaction() as connection:
        connection.execute(update(Room).values(label="help-room"))  # as the changelog says
        connection.commit()
    assert "hello" in app.test_client().get("/help-room/").text


def test_the_page_holds_the_last_fifty_oldest_first(app: Flask, ada: Client, kitchen: str) -> None:
    for number in range(53):
        ada.post(f"message {number:02}")

    page = app.test_client().get(f"/{kitchen}/").text

    shown = re.findall(r"message (\d\d)</", page)
    assert shown == [f"{number:02}" for number in range(3, 53)]


def test_nothing_of_a_room_is_painted_before_all_that_one_sees_is_there(
    app: Flask, kitchen: str
) -> None:
    page = app.test_client().get(f"/{kitchen}/").text

    (awaited,) = re.findall(r'<link rel="expect" href="#(.+?)" blocking="render">', page)
    assert (
        page.index("</form>", page.index('id="composer"'))
        < page.index(f'id="{awaited}"')
        < page.index("<dialog")
    )


def shown(page: str) -> list[str]:
    return re.findall(
        r'<div class="message__text"[^>]*>(.*?)</div>', page.partition("<template")[0]
    )


def form_of(page: str) -> dict[str, str]:
    """What a browser without scripts would send."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))


def test_who_has_no_scripts_reads_back_by_links(app: Flask, ada: Client, kitchen: str) -> None:
    for number in range(1, 121):
        ada.post(f"message {number}")
    browser = app.test_client()
    page = browser.get(f"/{kitchen}/").text
    assert "Later messages" not in page

    read = shown(page)
    while earlier := re.search(r'href="([^"]+)">Earlier messages', page):
        page = browser.get(earlier[1]).text
        read = shown(page) + read

    assert read == [f"message {number}" for number in range(1, 121)]
    later = re.search(r'href="([^"]+)">Later messages', page)
    assert later
    assert shown(browser.get(later[1]).text)[0] == "message 21"


def test_a_page_further_back_still_starts_scripts_from_the_newest(
    app: Flask, ada: Client, kitchen: str
) -> None:
    for number in range(3):
        ada.post(f"message {number}")

    page = app.test_client().get(f"/{kitchen}/?before=2").text

    assert shown(page) == ["message 0"]
    assert '"upto": 3' in page
    assert "message 2" in page.partition('id="page">')[2]


@pytest.mark.parametrize(
    "address",
    [
        "before=x",
        "before=",
        "before=-1",
        "before=1.5",
        "before=99999999999999999999",
        f"before={'9' * 5000}",
        "after=x&before=2",
        "after=1&before=2",
        "before=x&before=2",
        "before=1",
        "after=3",
        f"after={2**53 - 1}",
        "around=1",
        "utm_source=mail",
    ],
    ids=lambda address: address[:30],
)
def test_an_address_that_names_no_page_shows_the_latest_messages(
    app: Flask, ada: Client, kitchen: str, address: str
) -> None:
    for number in range(3):
        ada.post(f"message {number}")

    answer = app.test_client().get(f"/{kitchen}/?{address}")

    assert answer.status_code == 200
    assert shown(answer.text) == ["message 0", "message 1", "message 2"]
    assert "Later messages" not in answer.text


def test_an_address_that_names_no_page_shows_an_empty_room_as_it_is(
    app: Flask, kitchen: str
) -> None:
    answer = app.test_client().get(f"/{kitchen}/?before=x")

    assert answer.status_code == 200
    assert "No messages yet" in answer.text


def test_who_has_no_scripts_speaks_by_the_form(app: Flask, ada: Client, kitchen: str) -> None:
    browser = app.test_client()
    form = form_of(browser.get(f"/{kitchen}/").text)

    said = form | {"handle": "Ben", "message": "hello\r\nthere"}
    answers = [
        browser.post(f"/{kitchen}/", data=said) for _ in range(2)
    ]  # pressed twice, or loaded again

    assert [(answer.status_code, answer.location) for answer in answers] == [
        (303, f"/{kitchen}/#m-1")
    ] * 2

    [received] = ada.received("chat")
    assert (received["handle"], received["message"]) == ("Ben", "hello\nthere")
    page = browser.get(f"/{kitchen}/").text
    assert 'data-side="own"' in page
    assert 'name="handle" value="Ben"' in page
    assert form_of(page)["id"] != form["id"]


def test_what_the_form_is_refused_is_said_and_kept(app: Flask, ada: Client, kitchen: str) -> None:
    browser = app.test_client()
    form = form_of(browser.get(f"/{kitchen}/").text)

    answer = browser.post(f"/{kitchen}/", data=form | {"handle": " ", "message": "\n<b>kept</b>"})

    assert answer.status_code == 400
    assert "The name is empty." in answer.text
    assert ">\n\n&lt;b&gt;kept&lt;/b&gt;</textarea>" in answer.text
    assert ada.received() == []


def test_a_form_of_somebody_else_says_nothing(app: Flask, ada: Client, kitchen: str) -> None:
    mallory = form_of(app.test_client().get(f"/{kitchen}/").text)
    browser = app.test_client()
    browser.get(f"/{kitchen}/")

    for csrf in (mallory["csrf"], "", "\xe9", "x" * 100):
        answer = browser.post(
            f"/{kitchen}/", data=mallory | {"csrf": csrf, "handle": "Ben", "message": "bad"}
        )
        assert answer.status_code == 400
        assert pages.CSRF_MESSAGE in answer.text
    assert ada.received() == []


def test_a_form_never_says_the_same_secret_twice(app: Flask, kitchen: str) -> None:
    browser = app.test_client()
    forms = [form_of(browser.get(f"/{kitchen}/").text) for _ in range(2)]

    assert forms[0]["csrf"] != forms[1]["csrf"]
    for form in forms:
        assert (
            browser.post(
                f"/{kitchen}/", data=form | {"handle": "Ben", "message": "hello"}
            ).status_code
            == 303
        )


def test_a_form_that_may_have_been_stored_keeps_its_id(
    app: Flask, kitchen: str, monkeypatch: Patch
) -> None:
    def busy(*_given: object) -> None:
        raise Busy

    browser = app.test_client()
    form = form_of(browser.get(f"/{kitchen}/").text)
    monkeypatch.setattr(services_of(app).journal, "submit", busy)

    answer = browser.post(f"/{kitchen}/", data=form | {"handle": "Ben", "message": "hello"})

    assert answer.status_code == 503
    assert form_of(answer.text)["id"] == form["id"]


def test_the_address_of_a_room_as_a_picture(app: Flask) -> None:
    answer = app.test_client().get("/kitchen/qr.svg")

    assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
    assert "max-age=86400" in answer.headers["Cache-Control"]
    code = segno.make_qr("http://localhost/kitchen/", error="m")
    assert f'viewBox="0 0 {code.symbol_size(border=4)[0]} ' in answer.text
    assert rooms(app) == 0
    assert app.test_client().get("/api/qr.svg").status_code == 404


def test_html_in_a_message_is_text(app: Flask, ada: Client, kitchen: str) -> None:
    ada.post("<script>alert(1)</script></script><!--", handle="<b>Ada</b>")

    page = app.test_client().get(f"/{kitchen}/").text

    assert "<script>alert" not in page
    assert "<b>Ada" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_page_tells_nobody_where_it_is(app: Flask) -> None:
    for path in ("/", "/kitchen/", "/no.such.page"):
        headers = app.test_client().get(path).headers
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["X-Robots-Tag"] == "noindex"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(app: Flask) -> None:
    cookie = app.test_client().get("/kitchen/").headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_a_second_visit_is_the_same_person(app: Flask) -> None:
    browser = app.test_client()

    pages = [browser.get("/kitchen/").text for _ in range(2)]

    marks = [re.findall(r'"you": ?\{"mark": ?"(\w{16})"', page) for page in pages]
    assert marks[0] == marks[1] != []


def test_files_are_kept_for_ever_under_the_name_of_their_version(app: Flask) -> None:
    browser = app.test_client()
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', browser.get("/kitchen/").text)
    assert addresses

    for address in addresses:
        answer = browser.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        answer.close()


def test_a_file_of_another_release_is_not_kept(app: Flask) -> None:
    answer = app.test_client().get("/static/another/js/main.js")

    assert answer.status_code == 200
    assert "immutable" not in answer.headers["Cache-Control"]
    assert "max-age=0" in answer.headers["Cache-Control"]
    answer.close()


def test_no_file_outside_static_is_served(app: Flask) -> None:
    for path in ("../config.py", "..%2fconfig.py", "%2e%2e/config.py"):
        assert app.test_client().get(f"/static/x/{path}").status_code == 404


def test_a_long_room_costs_its_database_what_a_short_one_costs(app: Flask, kitchen: str) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        plans = []
        with read_transaction() as connection:
            query = select(messages.c.seq).where(messages.c.room_id == room.id)
            for ordered in (
                query.order_by(messages.c.seq.desc()).limit(50),
                query.where(messages.c.rev > 7).order_by(messages.c.rev).limit(200),
                query.where(messages.c.seq < 7).order_by(messages.c.seq.desc()).limit(50),
            ):
                sql = str(
                    ordered.compile(
                        dialect=connection.dialect, compile_kwargs={"literal_binds": True}
                    )
                )
                plans += [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]

    assert len(plans) == 3
    assert all("USING" in plan and "INDEX" in plan and "SCAN" not in plan for plan in plans), plans
