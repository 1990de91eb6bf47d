"""The rate limits of HTTP: pages, new rooms, messages without JavaScript, and handshakes."""

import gc
import io
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chat.identity import MAX_REMEMBERED_ROOMS
from config import Config, Rate
from tests.conftest import Client, create_room
from tests.pages import hidden_fields

SCHOOL = {"X-Forwarded-For": "203.0.113.7"}
HOME = {"X-Forwarded-For": "198.51.100.1"}
HANDSHAKE = "/socket.io/?EIO=4&transport=polling"


class PollingClient:
    """A Socket.IO client over polling, in this process, with a client address."""

    def __init__(
        self,
        app: Flask,
        headers: dict[str, str],
        auth: dict[str, str] | None = None,
        browser: FlaskClient | None = None,
    ) -> None:
        self._browser = browser or app.test_client()
        self._headers = headers
        opened = self._browser.get(HANDSHAKE, headers=headers, buffered=True)
        assert opened.status_code == 200, opened.text
        self.path = f"{HANDSHAKE}&sid={json.loads(opened.text[1:])['sid']}"
        self.connected = self.connect(auth)

    def connect(self, auth: dict[str, str] | None = None) -> str:
        """Connect to the namespace; return the answer."""
        return self._exchange("40" + (json.dumps(auth) if auth else ""))

    def connect_again(self) -> str:
        """Leave the namespace, and connect to it again in the same session; return the answer."""
        return self._exchange("41\x1e40")

    def ask(self, event: str, data: Any) -> dict[str, Any]:
        """Send an event and return its answer."""
        found = re.search(
            r"431(\[.*?\])(?:\x1e|$)", self._exchange(f"421{json.dumps([event, data])}")
        )
        assert found
        answer: dict[str, Any] = json.loads(found[1])[0]
        return answer

    def close(self) -> None:
        """End the session."""
        self._browser.post(self.path, data="1", headers=self._headers, buffered=True)

    def _exchange(self, packet: str) -> str:
        sent = self._headers
        posted = self._browser.post(self.path, data=packet, headers=sent, buffered=True)
        assert posted.text == "OK"
        return self._browser.get(self.path, headers=sent, buffered=True).text


def statuses(answers: list[TestResponse]) -> list[int]:
    """Return the statuses of some answers."""
    return [answer.status_code for answer in answers]


# Pages


@pytest.mark.parametrize("path", ["/", "/kitchen/", "/kitchen/qr.svg", "/no/such/page"])
def test_pages_are_limited_per_address(limited_app: Callable[..., Flask], path: str) -> None:
    app = limited_app(limit_address_pages=Rate(5, 0.25))
    create_room(app, "kitchen")
    browser = app.test_client()

    answers = [browser.get(path, headers=SCHOOL) for _ in range(7)]

    assert 429 not in statuses(answers[:5])
    assert statuses(answers[5:]) == [429, 429]
    assert answers[-1].headers["Retry-After"] == "4"
    assert "Please wait" in answers[-1].text
    assert browser.get(path, headers=HOME).status_code != 429


def test_static_files_and_health_checks_are_not_limited(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_address_pages=Rate(1, 0.1))
    browser = app.test_client()
    page = browser.get("/", headers=SCHOOL).text
    [style, *_] = re.findall(r'href="(/static/[^"]+\.css)"', page)

    answers = [browser.get(path, headers=SCHOOL) for path in (style, "/healthz", "/readyz") * 3]

    assert set(statuses(answers)) == {200}


def test_pages_are_not_limited_when_a_proxy_names_no_address(
    limited_app: Callable[..., Flask],
) -> None:
    app = limited_app(limit_address_pages=Rate(1, 0.1))

    assert set(statuses([app.test_client().get("/") for _ in range(5)])) == {200}


# New rooms


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_new_rooms_are_limited_per_address(limited_app: Callable[..., Flask], method: str) -> None:
    app = limited_app(limit_address_rooms=Rate(3, 1 / 30))
    browser = app.test_client()
    [csrf] = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/").text)

    def create(headers: dict[str, str]) -> TestResponse:
        form = {"csrf": csrf} if method == "POST" else None
        return browser.open("/new/", method=method, headers=headers, data=form)

    answers = [create(SCHOOL) for _ in range(5)]

    assert statuses(answers) == [303, 303, 303, 429, 429]
    assert answers[-1].headers["Retry-After"] == "30"
    assert create(HOME).status_code == 303


def test_rooms_created_by_a_visit_count_as_new_rooms(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_address_rooms=Rate(3, 1 / 30))
    browser = app.test_client()

    answers = [browser.get(f"/room-{number}/", headers=SCHOOL) for number in range(5)]

    assert statuses(answers) == [200, 200, 200, 429, 429]
    assert browser.get("/room-0/", headers=SCHOOL).status_code == 200
    with app.app_context():
        assert browser.get("/room-4/", headers=HOME).status_code == 200


# Labels


def test_after_too_many_rooms_that_do_not_exist_nothing_can_be_found_out(
    limited_app: Callable[..., Flask],
) -> None:
    app = limited_app(limit_address_failed_joins=Rate(5, 0.5))
    create_room(app, "kitchen")
    scanner = PollingClient(app, SCHOOL)

    guesses = [scanner.ask("join", {"label": f"guess-{number}"})["code"] for number in range(7)]

    assert guesses == ["not_found"] * 5 + ["rate_limited"] * 2
    assert scanner.ask("join", {"label": "kitchen"})["code"] == "rate_limited"
    assert scanner.ask("join", {"label": "kitchen", "after": 0})["code"] == "rate_limited"
    page = app.test_client().get("/kitchen/", headers=SCHOOL)
    assert page.status_code == 429
    assert PollingClient(app, HOME).ask("join", {"label": "kitchen"})["ok"]


def test_rooms_that_exist_cost_no_failed_join(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_address_failed_joins=Rate(2, 0.1))
    create_room(app, "kitchen")
    ada = PollingClient(app, SCHOOL)

    assert all(ada.ask("join", {"label": "kitchen"})["ok"] for _ in range(10))


def test_people_in_a_room_can_join_it_again_while_somebody_guesses_labels(
    limited_app: Callable[..., Flask],
) -> None:
    app = limited_app(limit_address_failed_joins=Rate(2, 0.1))
    create_room(app, "kitchen")
    ada = PollingClient(app, SCHOOL)
    ada.ask("join", {"label": "kitchen"})
    scanner = PollingClient(app, SCHOOL)
    for number in range(5):
        scanner.ask("join", {"label": f"guess-{number}"})

    assert ada.ask("join", {"label": "kitchen", "after": 0})["ok"]
    assert scanner.ask("join", {"label": "kitchen", "after": 0})["code"] == "rate_limited"


def guess_labels(app: Flask) -> None:
    """Try more labels from the school than its limit of failed joins allows."""
    scanner = PollingClient(app, SCHOOL)
    for number in range(5):
        scanner.ask("join", {"label": f"guess-{number}"})


def test_people_who_know_a_room_can_enter_it_after_a_restart_while_somebody_guesses_labels(
    make_app: Callable[[Config], Flask], tmp_path: Path
) -> None:
    config = Config(instance=tmp_path, limit_address_failed_joins=Rate(2, 0.1))
    before = make_app(config)
    create_room(before, "garden")
    page = before.test_client().get("/kitchen/", headers=SCHOOL)
    cookie = page.headers["Set-Cookie"].partition(";")[0].removeprefix("confab=")

    after = make_app(config)
    guess_labels(after)
    ada = after.test_client()
    ada.set_cookie("confab", cookie)
    cy = after.test_client()

    socket = PollingClient(after, SCHOOL, browser=ada)
    assert socket.ask("join", {"label": "kitchen", "after": 0})["ok"]
    assert socket.ask("join", {"label": "garden", "after": 0})["code"] == "rate_limited"
    assert ada.get("/kitchen/", headers=SCHOOL).status_code == 200
    assert ada.get("/garden/", headers=SCHOOL).status_code == 429
    assert cy.get("/kitchen/", headers=SCHOOL).status_code == 429


def test_a_page_of_a_room_that_does_not_exist_proves_nothing(
    limited_app: Callable[..., Flask],
) -> None:
    app = limited_app(limit_address_failed_joins=Rate(2, 0.1))
    mallory = app.test_client()
    mallory.get("/kitchen/", headers=HOME)
    assert mallory.head("/attic/", headers=SCHOOL).status_code == 200
    create_room(app, "attic")
    guess_labels(app)

    socket = PollingClient(app, SCHOOL, browser=mallory)

    assert socket.ask("join", {"label": "attic", "after": 0})["code"] == "rate_limited"
    assert mallory.get("/attic/", headers=SCHOOL).status_code == 429


def test_a_cookie_remembers_a_bounded_number_of_rooms(app: Flask) -> None:
    browser = app.test_client()
    for number in range(3 * MAX_REMEMBERED_ROOMS):
        browser.get(f"/room-{number}/")

    cookie = browser.get_cookie("confab")

    assert cookie is not None
    assert len(cookie.value) < 1_000
    assert "Set-Cookie" not in browser.get(f"/room-{number}/").headers


def test_visits_to_rooms_that_cannot_be_created_count_as_failed_joins(
    limited_app: Callable[..., Flask],
) -> None:
    app = limited_app(limit_address_rooms=Rate(1, 0.001), limit_address_failed_joins=Rate(3, 0.1))
    create_room(app, "kitchen")
    browser = app.test_client()
    for number in range(4):
        browser.get(f"/guess-{number}/", headers=SCHOOL)

    assert browser.get("/kitchen/", headers=SCHOOL).status_code == 429
    assert browser.get("/kitchen/", headers=HOME).status_code == 200


# Messages without JavaScript


def test_messages_without_scripts_are_limited_and_stay_in_the_form(
    limited_app: Callable[..., Flask],
) -> None:
    app = limited_app()
    browser = app.test_client()
    pages = [browser.get("/kitchen/", headers=HOME).text for _ in range(6)]
    forms = [hidden_fields(page) | {"handle": "Ada"} for page in pages]

    answers = [
        browser.post("/kitchen/", data=form | {"message": f"message {number}"}, headers=HOME)
        for number, form in enumerate(forms)
    ]

    assert statuses(answers) == [303] * 5 + [429]
    assert answers[-1].headers["Retry-After"] == "1"
    assert "message 5</textarea>" in answers[-1].text
    assert f'name="id" value="{forms[-1]["id"]}"' in answers[-1].text


# Sockets


def test_handshakes_are_limited_per_address(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_address_handshakes=Rate(3, 0.5))
    browser = app.test_client()

    answers = [browser.get(HANDSHAKE, headers=SCHOOL) for _ in range(5)]

    assert statuses(answers) == [200, 200, 200, 429, 429]
    assert answers[-1].headers["Retry-After"] == "2"
    assert browser.get(HANDSHAKE, headers=HOME).status_code == 200


def test_asking_why_a_handshake_failed_takes_no_token(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_address_handshakes=Rate(3, 0.5))
    browser = app.test_client()

    questions = [browser.post(HANDSHAKE, headers=SCHOOL) for _ in range(5)]
    handshakes = [browser.get(HANDSHAKE, headers=SCHOOL) for _ in range(4)]
    answer = browser.post(HANDSHAKE, headers=SCHOOL)

    assert statuses(questions) == [400] * 5
    assert statuses(handshakes) == [200, 200, 200, 429]
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert answer.text == handshakes[-1].text
    refusal = json.loads(answer.text)
    assert refusal["code"] == "rate_limited"
    assert "from your network" in refusal["message"]
    assert browser.post(HANDSHAKE, headers=HOME).status_code == 400


def test_requests_of_an_open_session_are_no_handshakes(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_address_handshakes=Rate(1, 0.1))
    create_room(app, "kitchen")
    ada = PollingClient(app, SCHOOL)

    assert all(ada.ask("join", {"label": "kitchen"})["ok"] for _ in range(5))


def test_an_upgrade_of_an_open_session_counts_as_a_handshake(
    limited_app: Callable[..., Flask],
) -> None:
    app = limited_app(limit_address_handshakes=Rate(1, 0.1))
    ada = PollingClient(app, SCHOOL)

    answer = app.test_client().get(ada.path, headers=SCHOOL | {"Upgrade": "websocket"})

    assert answer.status_code == 429


def test_requests_in_progress_are_limited_per_address(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_address_connections=2)
    waiting = [Waiting() for _ in range(4)]
    with ThreadPoolExecutor(len(waiting)) as executor:
        begun = [executor.submit(post, app, each, SCHOOL) for each in waiting]
        assert all(each.has_begun.wait(10) for each in waiting)

        refused = app.test_client().get("/healthz", headers=SCHOOL, buffered=True)
        other = app.test_client().get("/healthz", headers=HOME, buffered=True)
        for each in waiting:
            each.may_end.set()
        assert {each.result().status_code for each in begun} == {400}

    assert (refused.status_code, other.status_code) == (503, 200)
    assert refused.headers["Retry-After"] == "10"
    assert app.test_client().get("/healthz", headers=SCHOOL).status_code == 200


def open_response(app: Flask, path: str, headers: dict[str, str]) -> TestResponse:
    """Request a page; return its response, of which nothing has been read."""
    return app.test_client().get(path, headers=headers, buffered=False)


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/kitchen/", "localhost"),
        ("/no/such/page", "localhost"),
        ("/healthz", "localhost"),
        ("/", "evil.example"),
        (HANDSHAKE, "evil.example"),
    ],
)
def test_a_request_is_in_progress_until_its_response_has_been_sent(
    limited_app: Callable[..., Flask], path: str, host: str
) -> None:
    app = limited_app(limit_address_connections=2)
    headers = {"Host": host}
    unread = [open_response(app, path, SCHOOL | headers) for _ in range(4)]
    assert 503 not in statuses(unread)

    assert open_response(app, path, SCHOOL | headers).status_code == 503
    assert open_response(app, path, HOME | headers).status_code != 503
    unread.pop().close()
    unread.append(open_response(app, path, SCHOOL | headers))
    assert unread[-1].status_code != 503
    assert open_response(app, path, SCHOOL | headers).status_code == 503


def test_a_response_that_the_server_forgets_is_no_longer_in_progress(
    limited_app: Callable[..., Flask],
) -> None:
    app = limited_app(limit_address_connections=1)

    for _ in range(5):
        assert open_response(app, "/healthz", SCHOOL).status_code == 200
        gc.collect()


def test_a_request_that_fails_is_no_longer_in_progress(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_address_connections=1)

    def fail() -> str:
        raise RuntimeError

    app.add_url_rule("/no/such/page/", view_func=fail)
    app.testing = True

    for _ in range(5):
        with pytest.raises(RuntimeError):
            open_response(app, "/no/such/page/", SCHOOL)

    assert open_response(app, "/healthz", SCHOOL).status_code == 200


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/kitchen/", {"Host": "evil.example"}),
        ("/healthz", {"Host": "a..b"}),
        (HANDSHAKE, {"Host": "evil.example"}),
        (HANDSHAKE, {"Origin": "http://evil.example"}),
    ],
)
def test_refused_hosts_and_origins_count_as_pages(
    limited_app: Callable[..., Flask], path: str, refused: dict[str, str]
) -> None:
    app = limited_app(limit_address_pages=Rate(3, 0.25))
    browser = app.test_client()

    answers = [browser.get(path, headers=SCHOOL | refused) for _ in range(5)]

    assert statuses(answers) == [400] * 3 + [429] * 2
    assert answers[-1].headers["Retry-After"] == "4"
    assert browser.get("/", headers=SCHOOL).status_code == 429
    assert browser.get(path, headers=HOME | refused).status_code == 400


class Waiting(io.RawIOBase):
    """A request body that arrives only when it may end, and then is shorter than announced."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def readinto(self, _buffer: Any) -> int:
        """Wait until the body may end."""
        self.has_begun.set()
        self.may_end.wait(10)
        return 0


def post(app: Flask, body: Waiting, headers: dict[str, str]) -> TestResponse:
    """Post a body that has not arrived yet; return the response."""
    arriving: dict[str, Any] = {"wsgi.input": body, "CONTENT_LENGTH": "10"}
    return app.test_client().post(
        "/kitchen/", headers=headers, environ_overrides=arriving, buffered=True
    )


def test_connecting_again_in_a_session_counts_as_a_handshake(
    limited_app: Callable[..., Flask],
) -> None:
    app = limited_app(limit_address_handshakes=Rate(3, 0.1))
    ada = PollingClient(app, SCHOOL)

    answers = [ada.connect_again() for _ in range(4)]

    assert [answer[:2] for answer in answers] == ["40", "40", "44", "44"]
    assert json.loads(answers[-1][2:])["data"]["code"] == "rate_limited"


def test_connecting_again_in_a_session_is_no_reconnect(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_person_joins=Rate(2, 0.1))
    create_room(app, "kitchen")
    ada = PollingClient(app, SCHOOL)
    answers = []
    for _ in range(4):
        answers.append(ada.ask("join", {"label": "kitchen", "after": 0}))
        ada.connect_again()

    assert [answer["ok"] for answer in answers] == [True, True, False, False]


def test_connecting_again_in_a_session_enters_no_room(app: Flask) -> None:
    create_room(app, "kitchen")
    ada = PollingClient(app, SCHOOL)
    ada.ask("join", {"label": "kitchen"})

    ada.connect_again()

    assert ada.ask("chat", {"handle": "Ada", "message": "hello"})["code"] == "not_joined"


def test_open_connections_are_limited_per_address(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_address_connections=3)
    clients = [PollingClient(app, SCHOOL) for _ in range(3)]

    refused = app.test_client().get(HANDSHAKE, headers=SCHOOL)

    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "10"
    answer = app.test_client().post(HANDSHAKE, headers=SCHOOL)
    assert (answer.status_code, answer.text) == (503, refused.text)
    assert json.loads(answer.text)["code"] == "too_many_connections"
    PollingClient(app, HOME)
    clients[0].close()
    PollingClient(app, SCHOOL)
    assert app.test_client().get(HANDSHAKE, headers=SCHOOL).status_code == 503


def test_open_connections_are_limited_per_person(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_person_connections=2)
    create_room(app, "kitchen")
    browser = app.test_client()
    browser.get("/kitchen/")
    clients = [Client(app, browser) for _ in range(3)]
    joined = [client.join("kitchen") if client.is_connected else None for client in clients]

    assert [answer is not None for answer in joined] == [True, True, False]
    clients[0].close()
    assert Client(app, browser).is_connected
    assert Client(app, None).is_connected


def test_a_refused_connection_is_told_why(limited_app: Callable[..., Flask]) -> None:
    app = limited_app(limit_person_connections=1)
    create_room(app, "kitchen")
    first = PollingClient(app, HOME)
    token = first.ask("join", {"label": "kitchen"})["you"]["token"]
    second = PollingClient(app, HOME, auth={"token": token})

    kind, data = second.connected[:2], json.loads(second.connected[2:])

    assert kind == "44"
    assert data["data"]["code"] == "too_many_connections"
    assert data["data"]["retry"]


def test_limits_that_are_off_have_no_effect(limited_app: Callable[..., Flask]) -> None:
    one = Rate(1, 0.001)
    app = limited_app(
        limits=False,
        limit_address_handshakes=one,
        limit_address_pages=one,
        limit_address_rooms=one,
        limit_address_connections=1,
    )
    browser = app.test_client()

    answers = [browser.get(path, headers=SCHOOL) for path in (HANDSHAKE, "/a/", "/b/", HANDSHAKE)]

    assert set(statuses(answers)) == {200}
