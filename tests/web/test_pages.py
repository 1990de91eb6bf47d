"""The HTML pages: about, new rooms, rooms (also without scripts), QR codes, headers, cookies."""

import math
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import segno
from flask import Flask
from haikunator import Haikunator
from sqlalchemy import Connection, Select, func, select, update

from chat.errors import Busy
from chat.models import Room, messages
from chat.services import services_of
from chat.storage.database import read_transaction
from chat.web import pages
from chat.web.forms import CSRF_MESSAGE
from chat.web.labels import (
    LABEL_RULE,
    RESERVED_LABELS,
    SUFFIX_CHARACTERS,
    SUFFIX_LENGTH,
    is_valid_label,
    random_label,
)
from chat.web.room_links import NOT_A_ROOM
from config import Config
from tests.conftest import Client, Patch, create_room, in_room
from tests.pages import hidden_fields, texts_on

SCRIPTS = Path(pages.__file__).parents[2] / "static" / "js"
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


def count_rooms(app: Flask) -> int:
    with app.app_context(), read_transaction() as connection:
        return connection.scalar(select(func.count()).select_from(Room)) or 0


# The about page and new rooms


def test_the_about_page_leads_to_a_new_room_and_to_a_room_by_name(app: Flask) -> None:
    page = app.test_client().get("/")

    assert page.status_code == 200
    assert 'action="/new/"' in page.text
    assert 'name="room"' in page.text


def press_new_room(app: Flask) -> str:
    """Press "New room" on the home page; return where that leads."""
    browser = app.test_client()
    answer = browser.post("/new/", data=hidden_fields(browser.get("/").text))
    assert answer.status_code == 303
    return answer.location


@pytest.mark.parametrize("path", ["/no/such/page", "/kitchen/messages/99", "/.env"])
def test_new_room_on_an_error_page_creates_a_room_with_a_host_at_the_first_press(
    app: Flask, kitchen: str, path: str
) -> None:
    browser = app.test_client()
    page = browser.get(path)
    assert page.status_code == 404
    [(action, method, fields)] = re.findall(
        r'<form class="about__new" action="([^"]+)" method="(\w+)">(.*?)</form>',
        page.text,
        re.DOTALL,
    )
    assert "New room" in fields

    answer = browser.open(action, method=method.upper(), data=hidden_fields(fields))

    assert answer.status_code == 303
    with app.app_context():
        assert Room.find(answer.location.strip("/")).rules.hosts
    assert "Set-Cookie" not in page.headers


def test_a_new_room_has_a_random_label(app: Flask) -> None:
    answer = app.test_client().get("/new/")

    assert answer.status_code == 303
    for location in (answer.location, press_new_room(app)):
        assert re.fullmatch(r"/[a-z]+-[a-z]+-[a-z2-9]{6}/", location)
    assert count_rooms(app) == 2


def test_a_random_label_that_exists_is_generated_again(app: Flask, monkeypatch: Patch) -> None:
    labels = iter(["old-pond", "old-pond", "new-pond"])
    monkeypatch.setattr(pages, "random_label", lambda: next(labels))
    app.test_client().get("/old-pond/")

    assert press_new_room(app) == "/new-pond/"


def test_a_random_label_has_at_least_forty_random_bits() -> None:
    """Counted as the share of the most frequent choice: some words are in the lists twice."""
    shares = [
        max(Counter(choices).values()) / len(choices)
        for choices in (Haikunator._adjectives, Haikunator._nouns, SUFFIX_CHARACTERS)
    ]
    adjective, noun, character = (-math.log2(share) for share in shares)

    assert adjective + noun + SUFFIX_LENGTH * character >= 40
    assert len({random_label() for _ in range(1000)}) == 1000


def test_labels_of_earlier_releases_still_lead_to_their_rooms(app: Flask) -> None:
    create_room(app, "quiet-otter-1234")

    assert app.test_client().get("/quiet-otter-1234/").status_code == 200
    assert app.test_client().get("/?room=quiet-otter-1234").location == "/quiet-otter-1234/"


def test_a_random_label_is_never_reserved(app: Flask) -> None:
    label = press_new_room(app).strip("/")

    assert is_valid_label(label)
    assert "-" in label
    assert not any("-" in word for word in RESERVED_LABELS)


def test_the_about_page_redirects_to_a_room_by_name(app: Flask) -> None:
    assert app.test_client().get("/?room=%20kitchen%20").location == "/kitchen/"


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("my workshop!", "my-workshop"),
        ("Küche & Straße", "kuche-strasse"),
        ("  Ada's  room, 3rd floor ", "adas-room-3rd-floor"),
        ("a/b", "a-b"),
        ("Team_Room", "Team_Room"),
    ],
)
def test_the_about_page_turns_words_into_the_name_of_a_room(
    app: Flask, words: str, label: str
) -> None:
    answer = app.test_client().get("/", query_string={"room": words})

    assert answer.location == f"/{label}/"
    assert count_rooms(app) == 0


@pytest.mark.parametrize(
    ("link", "location"),
    [
        ("http://chat.example.org/kitchen/", "/kitchen/"),
        ("https://chat.example.org/kitchen", "/kitchen/"),
        ("HTTP://Chat.Example.org:80/kitchen/?before=7#m-12", "/kitchen/#m-12"),
        ("chat.example.org/kitchen/#m-12", "/kitchen/#m-12"),
        ("/kitchen/#m-12", "/kitchen/#m-12"),
        ("Join us: <http://chat.example.org/kitchen/>.", "/kitchen/"),
        ("请加入 https://chat.example.org/kitchen。", "/kitchen/"),
        ("「https://chat.example.org/kitchen/#m-12」", "/kitchen/#m-12"),
        ("chat.example.org/kitchen。", "/kitchen/"),
        ("“https://chat.example.org/kitchen”, we said", "/kitchen/"),
        ("https://chat.example.org/kitchen_", "/kitchen_/"),
        ("https://other.example/kitchen/", "/kitchen/"),
        ("https://bücher.example/kitchen/", "/kitchen/"),
        ("http://localhost/kitchen/", "/kitchen/"),
        ("http://[::1]/kitchen/qr.svg", "/kitchen/"),
        ("https://chat.example.org/kitchen/#javascript", "/kitchen/"),
    ],
)
def test_the_about_page_follows_a_link_of_this_site(
    make_app: Callable[[Config], Flask], tmp_path: Path, link: str, location: str
) -> None:
    public = ("https://chat.example.org", "https://other.example", "https://bücher.example")
    app = make_app(Config(instance=tmp_path / "i", public_url=public))

    answer = app.test_client().get(
        "/", query_string={"room": link}, base_url="http://chat.example.org"
    )

    assert answer.location == location


@pytest.mark.parametrize("path", ["/chat/kitchen/#m-12", "/kitchen/#m-12"])
def test_the_about_page_follows_a_link_with_and_without_the_prefix_of_the_site(
    app: Flask, path: str
) -> None:
    answer = app.test_client().get(
        "/", query_string={"room": f"http://localhost{path}"}, base_url="http://localhost/chat"
    )

    assert answer.location == "/chat/kitchen/#m-12"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/kitchen/",
        "evil.example/kitchen/",
        "https://localhost@evil.example/kitchen/",
        "http://localhost:5001/kitchen/",
        "https://[::1/kitchen/",
    ],
)
def test_the_about_page_says_in_one_sentence_that_a_link_is_of_another_site(
    app: Flask, link: str
) -> None:
    page = app.test_client().get("/", query_string={"room": link})

    assert page.status_code == 200
    assert "This link" in page.text
    assert LABEL_RULE not in page.text


@pytest.mark.parametrize(
    "path",
    ["/", "/chat/kitchen/", "/static/x.js", "/about/", "/a%20b/", "/kitchen/export"],
)
def test_the_about_page_says_that_a_link_of_this_site_leads_to_no_room(
    app: Flask, path: str
) -> None:
    page = app.test_client().get("/", query_string={"room": f"http://localhost{path}"})

    assert NOT_A_ROOM in page.text


@pytest.mark.parametrize("name", ["工作坊", "x" * 51, "!?", "new", "help!", "LOGIN"])
def test_the_about_page_explains_an_invalid_name(app: Flask, name: str) -> None:
    page = app.test_client().get("/", query_string={"room": name})

    assert page.status_code == 200
    assert LABEL_RULE in page.text
    assert count_rooms(app) == 0


# Labels


def test_the_first_visit_creates_a_room(app: Flask) -> None:
    assert app.test_client().get("/kitchen/").status_code == 200
    assert app.test_client().get("/kitchen/").status_code == 200
    assert count_rooms(app) == 1


def test_twenty_simultaneous_first_visits_create_one_room(app: Flask) -> None:
    def visit(_number: int) -> int:
        return app.test_client().get("/party/").status_code

    with ThreadPoolExecutor(20) as visitors:
        assert set(visitors.map(visit, range(20))) == {200}

    assert count_rooms(app) == 1


def test_labels_are_case_sensitive(app: Flask) -> None:
    for label in ("Kitchen", "kitchen"):
        app.test_client().get(f"/{label}/")

    assert count_rooms(app) == 2


@pytest.mark.parametrize("path", ["/kitchen", "/x"])
def test_a_label_without_a_slash_redirects_to_the_room(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)

    assert answer.status_code == 308
    assert answer.location == f"{path}/"


@pytest.mark.parametrize(
    "path",
    ["/a.b/", "/k%C3%BCche/", f"/{'x' * 51}/", "/a/b/", "/about/", "/api/", "/ADMIN/", "/a%0A/"],
)
def test_an_invalid_label_is_not_found(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)

    assert answer.status_code == 404
    assert "Page not found" in answer.text
    assert count_rooms(app) == 0


@pytest.mark.parametrize("word", RESERVED)
def test_a_reserved_word_is_not_a_room(
    app: Flask, open_client: Callable[..., Client], word: str
) -> None:
    browser = app.test_client()

    for label in (word, word.upper(), word.title()):
        for path in (f"/{label}", f"/{label}/", f"/{label}/qr.svg"):
            answer = browser.get(path)
            assert answer.status_code == 404 or path.startswith(
                ("/new", "/healthz", "/readyz", "/version", "/privacy")
            )
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
    assert app.test_client().get(f"/{label}").location == f"/{label}/"
    assert app.test_client().get(f"/{label}/").status_code == 200


@pytest.mark.parametrize("path", ["//socket.io/", "///socket.io/", "/socket.io", "/x/socket.io/"])
def test_an_address_that_resembles_that_of_sockets_is_not_found(app: Flask, path: str) -> None:
    answer = app.test_client().get("/", environ_overrides={"PATH_INFO": path})

    assert answer.status_code == 404


def test_the_messages_of_a_room_whose_label_was_reserved_later_are_kept(
    app: Flask, open_client: Callable[..., Client]
) -> None:
    label = create_room(app, "help")  # as an earlier release could have done
    ada = in_room(open_client(), label)
    ada.post("hello")

    assert app.test_client().get("/help/").status_code == 404

    with app.app_context(), read_transaction() as connection:
        # The changelog gives this statement to operators.
        connection.execute(update(Room).values(label="help-room"))
        connection.commit()
    assert "hello" in app.test_client().get("/help-room/").text


# The page of a room


def test_the_page_shows_the_last_fifty_messages_oldest_first(
    app: Flask, ada: Client, kitchen: str
) -> None:
    for number in range(53):
        ada.post(f"message {number:02}")

    page = app.test_client().get(f"/{kitchen}/").text

    shown = re.findall(r"message (\d\d)</", page)
    assert shown == [f"{number:02}" for number in range(3, 53)]


def test_the_first_paint_waits_for_the_list_and_the_composer(app: Flask, kitchen: str) -> None:
    page = app.test_client().get(f"/{kitchen}/").text

    [awaited] = re.findall(r'<link rel="expect" href="#(.+?)" blocking="render">', page)
    end_of_composer = page.index("</form>", page.index('id="composer"'))
    assert end_of_composer < page.index(f'id="{awaited}"') < page.index("<dialog")


def test_html_in_messages_and_handles_is_escaped(app: Flask, ada: Client, kitchen: str) -> None:
    ada.post("<script>alert(1)</script></script><!--", handle="<b>Ada</b>")

    page = app.test_client().get(f"/{kitchen}/").text

    assert "<script>alert" not in page
    assert "<b>Ada" not in page
    assert "&lt;script&gt;alert(1)" in page


# Without scripts


def test_without_scripts_links_lead_through_the_whole_history(
    app: Flask, ada: Client, kitchen: str
) -> None:
    for number in range(1, 121):
        ada.post(f"message {number}")
    browser = app.test_client()
    page = browser.get(f"/{kitchen}/").text
    assert "Later messages" not in page

    read = texts_on(page)
    while earlier := re.search(r'href="([^"]+)">Earlier messages', page):
        page = browser.get(earlier[1]).text
        read = texts_on(page) + read

    assert read == [f"message {number}" for number in range(1, 121)]
    later = re.search(r'href="([^"]+)">Later messages', page)
    assert later
    assert texts_on(browser.get(later[1]).text)[0] == "message 21"


def test_an_earlier_page_gives_scripts_the_latest_messages(
    app: Flask, ada: Client, kitchen: str
) -> None:
    for number in range(3):
        ada.post(f"message {number}")

    page = app.test_client().get(f"/{kitchen}/?before=2").text

    assert texts_on(page) == ["message 0"]
    assert '"upto": 3' in page
    assert "message 2" in page.partition('id="page">')[2]


@pytest.mark.parametrize(
    "query",
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
    ids=lambda query: query[:30],
)
def test_an_invalid_or_empty_page_of_history_shows_the_latest_messages(
    app: Flask, ada: Client, kitchen: str, query: str
) -> None:
    for number in range(3):
        ada.post(f"message {number}")

    answer = app.test_client().get(f"/{kitchen}/?{query}")

    assert answer.status_code == 200
    assert texts_on(answer.text) == ["message 0", "message 1", "message 2"]
    assert "Later messages" not in answer.text


def test_an_invalid_page_of_an_empty_room_shows_the_empty_room(app: Flask, kitchen: str) -> None:
    answer = app.test_client().get(f"/{kitchen}/?before=x")

    assert answer.status_code == 200
    assert "Nobody else is here yet" in answer.text


def test_a_form_submitted_twice_posts_one_message(app: Flask, ada: Client, kitchen: str) -> None:
    browser = app.test_client()
    hidden = hidden_fields(browser.get(f"/{kitchen}/").text)

    form = hidden | {"handle": "Ben", "message": "hello\r\nthere"}
    answers = [browser.post(f"/{kitchen}/", data=form) for _ in range(2)]

    for answer in answers:
        assert answer.status_code == 303
        assert answer.location == f"/{kitchen}/#m-1"
    [received] = ada.received("chat")
    assert received["handle"] == "Ben"
    assert received["message"] == "hello\nthere"
    page = browser.get(f"/{kitchen}/").text
    assert 'data-side="own"' in page
    assert 'name="handle" value="Ben"' in page
    assert hidden_fields(page)["id"] != hidden["id"]


def test_a_refused_form_shows_the_reason_and_keeps_the_text(
    app: Flask, ada: Client, kitchen: str
) -> None:
    browser = app.test_client()
    hidden = hidden_fields(browser.get(f"/{kitchen}/").text)

    answer = browser.post(f"/{kitchen}/", data=hidden | {"handle": " ", "message": "\n<b>kept</b>"})

    assert answer.status_code == 400
    assert "The name is empty." in answer.text
    assert ">\n\n&lt;b&gt;kept&lt;/b&gt;</textarea>" in answer.text
    assert ada.received() == []


def test_a_form_with_the_csrf_token_of_another_browser_is_refused(
    app: Flask, ada: Client, kitchen: str
) -> None:
    mallory = hidden_fields(app.test_client().get(f"/{kitchen}/").text)
    browser = app.test_client()
    browser.get(f"/{kitchen}/")

    for csrf in (mallory["csrf"], "", "\xe9", "x" * 100):
        form = mallory | {"csrf": csrf, "handle": "Ben", "message": "bad"}
        answer = browser.post(f"/{kitchen}/", data=form)
        assert answer.status_code == 400
        assert CSRF_MESSAGE in answer.text
    assert ada.received() == []


def test_each_page_has_a_csrf_token_of_its_own(app: Flask, kitchen: str) -> None:
    browser = app.test_client()
    forms = [hidden_fields(browser.get(f"/{kitchen}/").text) for _ in range(2)]

    assert forms[0]["csrf"] != forms[1]["csrf"]
    for form in forms:
        answer = browser.post(f"/{kitchen}/", data=form | {"handle": "Ben", "message": "hello"})
        assert answer.status_code == 303


def test_a_form_that_may_have_been_stored_keeps_its_message_id(
    app: Flask, kitchen: str, monkeypatch: Patch
) -> None:
    def submit(*_arguments: object) -> None:
        raise Busy

    browser = app.test_client()
    form = hidden_fields(browser.get(f"/{kitchen}/").text)
    monkeypatch.setattr(services_of(app).journal, "submit", submit)

    answer = browser.post(f"/{kitchen}/", data=form | {"handle": "Ben", "message": "hello"})

    assert answer.status_code == 503
    assert hidden_fields(answer.text)["id"] == form["id"]


# QR codes, headers and cookies


def test_the_qr_code_holds_the_address_of_the_room(app: Flask) -> None:
    answer = app.test_client().get("/kitchen/qr.svg")

    assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
    assert "max-age=86400" in answer.headers["Cache-Control"]
    code = segno.make_qr("http://localhost/kitchen/", error="m")
    assert f'viewBox="0 0 {code.symbol_size(border=4)[0]} ' in answer.text
    assert count_rooms(app) == 0
    assert app.test_client().get("/api/qr.svg").status_code == 404


def test_the_qr_code_of_a_long_address_is_refused_without_encoding_it(
    app: Flask, monkeypatch: Patch
) -> None:
    encoded: list[str] = []

    def encode(address: str) -> bytes:
        encoded.append(address)
        return b"<svg/>"

    monkeypatch.setattr(pages, "qr_svg", encode)
    label = "k" * 50
    rest = len(f"http:///{label}/")
    host_end = "x.localhost"

    def get(host_length: int) -> int:
        host = ("x" * 60 + ".") * 4
        url = f"http://{host[: host_length - len(host_end)]}{host_end}"
        return app.test_client().get(f"/{label}/qr.svg", base_url=url).status_code

    statuses = [get(pages.MAX_QR_ADDRESS_CHARS - rest + surplus) for surplus in (0, 1)]

    assert statuses == [200, 400]
    assert [len(address) for address in encoded] == [pages.MAX_QR_ADDRESS_CHARS]


def test_a_qr_code_is_encoded_once(app: Flask, monkeypatch: Patch) -> None:
    addresses: list[str] = []
    make_qr = segno.make_qr

    def count(address: str, error: str) -> segno.QRCode:
        addresses.append(address)
        return make_qr(address, error=error)

    monkeypatch.setattr(segno, "make_qr", count)
    documents = {app.test_client().get("/attic/qr.svg").data for _ in range(3)}

    assert len(documents) == 1
    assert addresses == ["http://localhost/attic/"]


def test_every_page_has_security_headers(app: Flask) -> None:
    for path in ("/", "/kitchen/", "/no.such.page"):
        headers = app.test_client().get(path).headers
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["X-Robots-Tag"] == "noindex"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]


def test_the_cookie_is_hidden_from_scripts_and_other_sites(app: Flask) -> None:
    cookie = app.test_client().get("/kitchen/").headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_a_second_visit_keeps_the_identity(app: Flask) -> None:
    browser = app.test_client()

    first = browser.get("/kitchen/").text
    second = browser.get("/kitchen/").text

    pattern = r'"you": ?\{"mark": ?"(\w{16})"'
    [mark] = re.findall(pattern, first)
    assert re.findall(pattern, second) == [mark]


# Queries


def test_the_queries_for_messages_use_an_index(app: Flask, kitchen: str) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        query = select(messages.c.seq).where(messages.c.room_id == room.id)
        queries = (
            query.order_by(messages.c.seq.desc()).limit(50),
            query.where(messages.c.rev > 7).order_by(messages.c.rev).limit(200),
            query.where(messages.c.seq < 7).order_by(messages.c.seq.desc()).limit(50),
        )
        with read_transaction() as connection:
            plans = [step for each in queries for step in query_plan(connection, each)]

    assert len(plans) == 3
    for plan in plans:
        assert "USING" in plan
        assert "INDEX" in plan
        assert "SCAN" not in plan


def query_plan(connection: Connection, query: Select[tuple[int]]) -> list[str]:
    """Return the steps in which SQLite executes a query."""
    sql = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]


def test_page_and_script_show_equally_many_characters_of_a_mark(
    app: Flask, open_client: Callable[..., Client]
) -> None:
    create_room(app, "kitchen")
    in_room(open_client(), "kitchen").post("hello")
    script = (SCRIPTS / "view" / "message_parts.js").read_text()
    [count] = re.findall(r"SHOWN_MARK_CHARACTERS = (\d+)", script)

    page = app.test_client().get("/kitchen/").text

    [shown] = re.findall(r'<span class="message__mark"[^>]*>(\w+)</span>', page)
    assert len(shown) == int(count)


def hues_of_messages(page: str) -> list[str]:
    """Return the colors of the authors of the messages on a page."""
    return re.findall(r'class="avatar message__avatar" aria-hidden="true" data-hue="(\w+)"', page)


def test_twenty_people_have_twenty_colors_in_the_order_in_which_they_wrote(
    app: Flask, open_client: Callable[..., Client]
) -> None:
    create_room(app, "kitchen")
    for number in range(20):
        in_room(open_client(), "kitchen").post(f"I am {number}")

    page = app.test_client().get("/kitchen/").text

    assert hues_of_messages(page) == [str(number) for number in range(20)]


def test_a_person_keeps_one_color_and_an_own_message_has_none_of_them(
    app: Flask, open_client: Callable[..., Client]
) -> None:
    create_room(app, "kitchen")
    browser = app.test_client()
    form = hidden_fields(browser.get("/kitchen/").text)
    browser.post("/kitchen/", data={"handle": "Me", "message": "mine", **form})
    ada, ben = (in_room(open_client(), "kitchen") for _ in range(2))
    for writer in (ada, ben, ada):
        writer.post("hello")

    page = browser.get("/kitchen/").text

    assert hues_of_messages(page) == ["own", "0", "1", "0"]


def test_page_script_and_style_sheet_have_equally_many_colors_and_faces() -> None:
    script = (SCRIPTS / "state" / "person_hues.js").read_text()
    [count] = re.findall(r"HUE_COUNT = (\d+)", script)
    sheet = (SCRIPTS.parent / "css" / "avatar.css").read_text()
    hues = re.findall(r'^\[data-hue="(\d+)"\]', sheet, re.MULTILINE)
    parts = (SCRIPTS / "view" / "message_parts.js").read_text()
    template = (SCRIPTS.parents[1] / "templates" / "_message.html").read_text()

    assert int(count) == pages.HUE_COUNT
    assert sorted(map(int, hues)) == list(range(pages.HUE_COUNT))
    assert re.findall(r"MAX_FACES = (\d+)", parts) == re.findall(r"marks\[:(\d+)\]", template)
