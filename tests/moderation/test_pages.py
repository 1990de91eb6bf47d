"""The pages and forms of hosts and moderators, as a browser without scripts uses them."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.test import TestResponse

from chat import events, membership
from chat.membership import check_access, person_in
from chat.models import KnownRules, Room, rooms
from chat.moderation.rules import Person, RoomRules, utc_now
from chat.moderation.views import LOG_ENTRIES
from chat.services import services_of
from chat.storage.database import write_transaction
from chat.web.forms import CSRF_MESSAGE
from tests.conftest import Client, Patch, in_room
from tests.moderation.conftest import Salon
from tests.pages import hidden_fields, texts_on


class Parlor(Salon):
    """A salon whose people have browsers with cookies; Cy has one too, and is not in the room."""

    def __init__(self, app: Flask, open_client: Callable[..., Client]) -> None:
        self.browsers = {name: app.test_client() for name in ("Hana", "Ada", "Ben", "Cy")}
        super().__init__(app, open_client)

    def enter(self, handle: str) -> tuple[Client, str]:
        """Connect somebody with the cookie of their browser, who posts once."""
        browser = self.browsers[handle]
        browser.get(f"/{self.label}/")
        client = self.open_client(browser)
        mark = client.join(self.label)["you"]["mark"]
        assert client.post(f"{handle} is here", handle=handle)["ok"]
        return client, mark

    def get(self, path: str, who: str = "Hana") -> TestResponse:
        """Request a page of the room."""
        return self.browsers[who].get(f"/{self.label}/{path}")

    def send(self, who: str = "Hana", path: str = "moderate", **fields: Any) -> TestResponse:
        """Send a form with the CSRF token of the browser."""
        csrf = hidden_fields(self.get("your-data", who).text)["csrf"]
        form = {"csrf": csrf, **{key: str(value) for key, value in fields.items()}}
        return self.browsers[who].post(f"/{self.label}/{path}", data=form)


@pytest.fixture
def parlor(app: Flask, open_client: Callable[..., Client]) -> Parlor:
    """A room with a host, Hana; Ada and Ben are in it too, and all have browsers."""
    return Parlor(app, open_client)


RULES: list[tuple[dict[str, Any], str]] = [
    ({"action": "lock"}, "Hana locked the room: only hosts can post"),
    (
        {"action": "slow_mode", "seconds": 30},
        "Hana turned on slow mode: one message every 30 seconds",
    ),
    ({"action": "naming", "by": "hosts"}, "Hana let only hosts name the room"),
    ({"action": "expiry", "seconds": 3600}, "Hana set messages to disappear after 1 hour"),
    ({"action": "password", "password": "tea"}, "Hana set a password"),
]


@pytest.mark.parametrize(("fields", "sentence"), RULES)
def test_a_host_changes_the_rules_with_forms(
    parlor: Parlor, cy: Client, fields: dict[str, Any], sentence: str
) -> None:
    cy.received()

    answer = parlor.send(**fields)

    assert answer.status_code == 303
    assert answer.location == f"/salon/settings#{fields['action']}"
    [announced] = parlor.ben.received("chat")
    assert announced["message"] == sentence
    assert cy.received("chat") == []
    assert parlor.get("settings").status_code == 200


PEOPLE: list[tuple[dict[str, Any], str]] = [
    ({"action": "mute", "seconds": 600}, "Hana muted Ada for 10 minutes"),
    ({"action": "mute", "seconds": ""}, "Hana muted Ada"),
    ({"action": "remove"}, "Hana removed Ada for 10 minutes"),
    ({"action": "ban"}, "Hana banned Ada"),
    ({"action": "ban", "address": "yes"}, "Hana banned Ada"),
    ({"action": "appoint"}, "Hana made Ada a moderator"),
    ({"action": "delete_all", "confirm": "yes"}, "Hana deleted 1 message of Ada"),
    ({"action": "hand_over", "confirm": "yes"}, "Hana made Ada the host"),
]


@pytest.mark.parametrize(("fields", "sentence"), PEOPLE)
def test_a_host_acts_on_people_with_forms(
    parlor: Parlor, fields: dict[str, Any], sentence: str
) -> None:
    answer = parlor.send(target=parlor.ada_mark, **fields)

    assert answer.status_code == 303
    assert sentence in [row["message"] for row in parlor.ben.received("chat")]
    assert parlor.browsers["Hana"].get(answer.location).status_code == 200


@pytest.mark.parametrize("who", ["Ben", "Cy"])
@pytest.mark.parametrize(
    "fields", [fields for fields, _ in (*RULES, *PEOPLE)], ids=lambda fields: str(fields["action"])
)
def test_nobody_without_a_role_acts_with_forms(
    parlor: Parlor, who: str, fields: dict[str, Any]
) -> None:
    before = parlor.messages()
    target = {"target": parlor.ada_mark} if fields in [each for each, _ in PEOPLE] else {}

    answer = parlor.send(who, **fields, **target)

    assert answer.status_code == 403
    assert 'role="alert"' in answer.text
    assert parlor.messages() == before
    assert parlor.ada.received() == []


TYPED = "\nI was just <writing> this\nto you"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"action": "password", "password": "tea"}, 401),
        ({"action": "remove", "target": "Ada"}, 403),
        ({"action": "ban", "target": "Ada"}, 403),
        ({"action": "close", "confirm": "yes"}, 410),
    ],
    ids=lambda value: str(value["action"]) if isinstance(value, dict) else "",
)
def test_a_message_typed_while_its_author_loses_access_is_shown_to_them(
    parlor: Parlor, fields: dict[str, Any], status: int
) -> None:
    hidden = hidden_fields(parlor.get("", "Ada").text)
    target = {"target": parlor.ada_mark} if "target" in fields else {}
    assert parlor.send(**fields | target).status_code == 303

    form = hidden | {"handle": "Ada", "message": TYPED}
    answer = parlor.browsers["Ada"].post("/salon/", data=form)

    assert answer.status_code == status
    [(identifier, shown)] = re.findall(
        r'<textarea class="field-form__text" id="([\w-]+)"[^>]* readonly [^>]*>\n(.*?)</textarea>',
        answer.text,
        re.DOTALL,
    )
    assert unescape(shown) == TYPED
    assert f'for="{identifier}"' in answer.text
    assert "Hana is here" not in answer.text
    assert "<textarea" not in parlor.get("", "Ada").text


@pytest.mark.parametrize("path", ["people", "audit"])
def test_people_without_a_name_are_listed_too(
    parlor: Parlor, open_client: Callable[..., Client], path: str
) -> None:
    nameless = open_client().join(parlor.label)["you"]["mark"]
    assert parlor.send(action="mute", target=nameless, seconds=600).status_code == 303

    page = parlor.get(path)

    assert page.status_code == 200
    assert f"/salon/people/{nameless}" in page.text
    assert "Somebody without a name" in page.text


@pytest.mark.parametrize("path", ["people", "audit"])
def test_a_page_that_only_hosts_may_see_leads_others_back_to_the_room(
    parlor: Parlor, path: str
) -> None:
    page = parlor.get(path, "Ben")

    assert page.status_code == 403
    assert 'href="/salon/"' in page.text


def test_a_form_without_a_csrf_token_does_nothing(parlor: Parlor) -> None:
    before = parlor.messages()

    answer = parlor.browsers["Hana"].post("/salon/moderate", data={"action": "lock"})

    assert answer.status_code == 400
    assert CSRF_MESSAGE in answer.text
    assert parlor.messages() == before


@pytest.mark.parametrize("action", ["clear", "close"])
def test_what_cannot_be_undone_is_asked_first(parlor: Parlor, action: str) -> None:
    before = parlor.messages()

    page = parlor.send(action=action)

    assert page.status_code == 200
    assert parlor.messages() == before
    form = hidden_fields(page.text)
    assert form["confirm"] == "yes"
    assert parlor.browsers["Hana"].post("/salon/moderate", data=form).status_code == 303


@pytest.mark.parametrize("action", ["clear", "close", "hand_over"])
def test_a_moderator_is_refused_before_confirming_what_only_hosts_do(
    parlor: Parlor, action: str
) -> None:
    parlor.moderate("appoint", target=parlor.ben_mark)
    before = parlor.messages()
    target = {"target": parlor.ada_mark} if action == "hand_over" else {}

    answer = parlor.send("Ben", action=action, **target)

    assert answer.status_code == 403
    assert 'name="confirm"' not in answer.text
    assert parlor.messages() == before


def test_a_moderator_is_refused_before_confirming_to_delete_messages_of_a_host(
    parlor: Parlor,
) -> None:
    parlor.moderate("appoint", target=parlor.ben_mark)

    allowed = parlor.send("Ben", action="delete_all", target=parlor.ada_mark)
    refused = parlor.send("Ben", action="delete_all", target=parlor.hana_mark)

    assert allowed.status_code == 200
    assert 'name="confirm"' in allowed.text
    assert refused.status_code == 403
    assert 'name="confirm"' not in refused.text


def test_an_empty_password_is_refused_and_removes_none(parlor: Parlor) -> None:
    parlor.send(action="password", password="tea")

    for empty in ("", "   ", "\u2800"):
        assert parlor.send(action="password", password=empty).status_code == 400
    assert parlor.get("", "Ben").status_code == 401

    assert parlor.send(action="password", remove="yes").status_code == 303
    assert parlor.get("", "Ben").status_code == 200


def test_a_moderator_sees_people_but_not_the_audit(parlor: Parlor) -> None:
    parlor.moderate("appoint", target=parlor.ben_mark)

    page = parlor.get("people", "Ben")
    assert page.status_code == 200
    assert parlor.ada_mark in page.text
    assert parlor.get(f"people/{parlor.ada_mark}", "Ben").status_code == 200
    assert parlor.get("audit", "Ben").status_code == 403
    assert parlor.send("Ben", action="mute", target=parlor.ada_mark).status_code == 303
    assert parlor.send("Ben", action="mute", target=parlor.hana_mark).status_code == 403


@pytest.mark.parametrize("path", ["people", "people/0123456789abcdef", "audit"])
def test_people_without_a_role_see_no_page_about_people(parlor: Parlor, path: str) -> None:
    page = parlor.get(path, "Ben")

    assert page.status_code == 403
    assert "Ada" not in page.text


def test_everybody_in_the_room_sees_its_rules(parlor: Parlor) -> None:
    parlor.moderate("lock")

    page = parlor.get("settings", "Ben").text

    assert "Only hosts can change these." in page
    assert "/salon/moderate" not in page


def test_pages_of_a_room_that_does_not_exist_create_none(parlor: Parlor) -> None:
    for path in ("settings", "people", "audit", "host", "messages/1"):
        assert parlor.browsers["Cy"].get(f"/nowhere/{path}").status_code == 404
    assert parlor.browsers["Cy"].get("/nowhere/settings").status_code == 404


def test_somebody_alone_in_a_young_room_becomes_host_with_a_form(app: Flask) -> None:
    browser = app.test_client()
    browser.get("/attic/")
    form = hidden_fields(browser.get("/attic/settings").text)
    assert form["action"] == "become_host"

    assert browser.post("/attic/moderate", data=form).status_code == 303

    assert "Lock room" in browser.get("/attic/settings").text
    with app.app_context(), write_transaction() as connection:
        early = utc_now() - timedelta(minutes=11)
        connection.execute(update(rooms).values(created_at=early, roles=None))
    assert "Become host" not in browser.get("/attic/settings").text


def test_a_sanction_is_lifted_on_the_audit_page(parlor: Parlor) -> None:
    parlor.moderate("mute", target=parlor.ada_mark)
    page = parlor.get("audit").text
    assert "Hana muted Ada" in page
    assert "Unmute" in page

    answer = parlor.send(action="unmute", target=parlor.ada_mark, back="audit")

    assert answer.location == "/salon/audit#sanctions"
    assert "Nobody is muted" in parlor.get("audit").text
    assert parlor.ada.post("thanks")["ok"]


def test_the_audit_page_names_deletions_and_has_earlier_pages(parlor: Parlor) -> None:
    seq = parlor.ada.post("something bad")["seq"]
    assert parlor.hana.ask("delete", {"seq": seq})["ok"]
    for _ in range(LOG_ENTRIES // 2):
        parlor.moderate("lock")
        parlor.moderate("unlock")

    page = parlor.get("audit").text
    earlier = re.search(r"audit\?before=\d+", page)

    assert earlier
    assert page.count("audit__entry") == LOG_ENTRIES
    text = re.sub("<[^>]*>", "", parlor.get(earlier[0]).text)
    assert "Hana deleted a message of Ada" in text
    assert "something bad" not in text


def test_a_host_resolves_a_report(parlor: Parlor) -> None:
    seq = parlor.ada.post("something bad")["seq"]
    sent = parlor.send("Ben", path="report", seq=seq, reason="It is rude.")
    assert sent.status_code == 303
    page = parlor.get("audit").text
    assert "something bad" in page
    assert "It is rude." in page
    number = hidden_fields(page)["report"]
    assert parlor.send("Ben", path="audit/resolve", report=number).status_code == 403

    assert parlor.send(path="audit/resolve", report=number).status_code == 303

    assert "It is rude." not in parlor.get("audit").text


def test_messages_link_to_their_actions_for_those_who_have_some(parlor: Parlor) -> None:
    seq = parlor.ada.post("hello")["seq"]
    path = f"/salon/messages/{seq}"

    assert path in parlor.get("").text
    assert path in parlor.get("", "Ada").text
    assert path not in parlor.get("", "Ben").text
    assert f"/salon/people/{parlor.ada_mark}" in parlor.get(f"messages/{seq}").text
    assert "Delete" not in parlor.get(f"messages/{seq}", "Ben").text


@pytest.mark.parametrize("who", ["Ada", "Hana"])
def test_authors_and_hosts_delete_a_message_with_a_form(parlor: Parlor, who: str) -> None:
    seq = parlor.ada.post("hello")["seq"]
    parlor.ben.received()

    answer = parlor.send(who, action="delete", seq=seq)

    assert answer.location == f"/salon/#m-{seq}"
    [tombstone] = parlor.ben.received("change")
    assert tombstone["deleted"]
    assert "Message deleted" in texts_on(parlor.get("", "Ben").text)[-1]


def test_others_delete_no_message_with_a_form(parlor: Parlor) -> None:
    seq = parlor.ada.post("hello")["seq"]
    before = parlor.messages()

    assert parlor.send("Ben", action="delete", seq=seq).status_code == 403
    assert parlor.send("Ben", action="delete", seq="x").status_code == 400

    assert parlor.messages() == before


# Host links


def created_link(parlor: Parlor) -> str:
    """Create a host link with the form; return it."""
    found = re.search(r'value="(http[^"]*#host=[^"]*)"', parlor.send(action="host_link").text)
    assert found
    return found[1]


def test_a_host_link_is_pasted_without_scripts(parlor: Parlor) -> None:
    link = created_link(parlor)
    assert link.startswith("http://localhost/salon/#host=")

    answer = parlor.send("Ada", path="host", secret=link)

    assert answer.location == "/salon/"
    assert parlor.ben.received("chat")[-1]["message"] == "Ada is a host now"
    refused = parlor.send("Ben", path="host", secret=link)
    assert refused.status_code == 403
    assert "already been used" in refused.text


@pytest.mark.parametrize("action", ["ban", "remove", "mute"])
def test_a_host_link_works_for_people_under_a_sanction(parlor: Parlor, action: str) -> None:
    link = created_link(parlor)
    parlor.moderate("password", password="tea")
    parlor.moderate("lock")
    parlor.moderate(action, target=parlor.ada_mark)
    assert parlor.get("", "Ada").status_code in (401, 403)

    assert parlor.send("Ada", path="host", secret=link).status_code == 303

    page = parlor.get("settings", "Ada")
    assert page.status_code == 200
    assert "Unlock room" in page.text
    assert in_room(parlor.open_client(parlor.browsers["Ada"]), "salon").post("back")["ok"]


def current_room(parlor: Parlor) -> Room:
    """Return the room as the database has it."""
    with parlor.app.app_context():
        return Room.find(parlor.label)


def test_a_refusal_is_not_final_when_the_rules_change_during_the_check(
    parlor: Parlor, monkeypatch: Patch
) -> None:
    link = created_link(parlor)
    parlor.moderate("password", password="tea")
    old = current_room(parlor)
    assert parlor.send("Ada", path="host", secret=link).status_code == 303
    newer = current_room(parlor)
    shared = services_of(parlor.app).reconciler.rooms["salon"]

    def room_with_old_rules(label: str) -> Room:
        shared._newer_rules = KnownRules(old.rules, old.epoch, old.head)
        return shared

    def person_before_the_rules_change(room: Room, current: RoomRules, author_id: str) -> Person:
        person = person_in(room, current, author_id)
        shared.set_rules(newer.rules, newer.epoch, newer.head)
        return person

    monkeypatch.setattr(events, "find_room", room_with_old_rules)
    monkeypatch.setattr(membership, "person_in", person_before_the_rules_change)

    assert in_room(parlor.open_client(parlor.browsers["Ada"]), "salon").post("back")["ok"]


def test_a_banned_address_does_not_stop_a_host_link(parlor: Parlor) -> None:
    link = created_link(parlor)
    parlor.moderate("ban", target=parlor.ada_mark, address=True)
    parlor.wait_until_disconnected(parlor.ada)

    assert parlor.send("Cy", path="host", secret=link).status_code == 303
    assert parlor.get("settings", "Cy").status_code == 200


def test_a_script_uses_a_host_link_and_gets_json(parlor: Parlor) -> None:
    secret = created_link(parlor).partition("#host=")[2]
    browser = parlor.browsers["Ada"]
    form = {"csrf": hidden_fields(browser.get("/salon/host").text)["csrf"], "secret": secret}
    headers = {"Accept": "application/json"}

    assert browser.post("/salon/host", data=form, headers=headers).json["ok"]  # type: ignore[index]

    refused = browser.post("/salon/host", data=form | {"secret": "wrong"}, headers=headers)
    assert refused.status_code == 403
    assert refused.json
    assert refused.json["code"] == "host_link_refused"


def test_a_host_link_without_a_csrf_token_is_not_used(parlor: Parlor) -> None:
    link = created_link(parlor)

    assert parlor.browsers["Ada"].post("/salon/host", data={"secret": link}).status_code == 400

    assert parlor.send("Ada", path="host", secret=link).status_code == 303


def test_a_closed_room_has_no_use_for_a_host_link(parlor: Parlor) -> None:
    link = created_link(parlor)
    parlor.moderate("close")

    assert parlor.send("Ada", path="host", secret=link).status_code == 410


# People who may not enter


ROOM_PAGES = ("", "?before=3", "settings", "people", "audit", "messages/1", "report")
NAME = "Secret council"


def refuse(parlor: Parlor, reason: str) -> None:
    """Keep Ada out of the room."""
    if reason == "password":
        parlor.moderate("password", password="tea")
    elif reason == "close":
        parlor.moderate("close")
    else:
        parlor.moderate(reason, target=parlor.ada_mark)


@pytest.mark.parametrize(
    ("reason", "status", "title"),
    [
        ("ban", 403, "You are banned from this room"),
        ("remove", 403, "You were removed from this room"),
        ("password", 401, "This room has a password"),
        ("close", 410, "This room is closed"),
    ],
)
def test_the_page_of_somebody_who_may_not_enter_shows_nothing_of_the_room(
    parlor: Parlor, reason: str, status: int, title: str
) -> None:
    parlor.hana.ask("title", {"name": NAME})
    refuse(parlor, reason)

    for path in ROOM_PAGES:
        page = parlor.get(path, "Ada")
        assert page.status_code == status
        assert page.headers["Cache-Control"] == "no-store"
        assert f'<h1 class="about__title">{title}</h1>' in page.text
        for secret in (NAME, "Hana", "is here", "og:title", parlor.hana_mark, 'id="page"'):
            assert secret not in page.text
    assert parlor.get("qr.svg", "Ada").status_code == 200
    assert parlor.get("your-data", "Ada").status_code == 200


@pytest.mark.parametrize(("reason", "status"), [("password", 401), ("close", 410)])
@pytest.mark.parametrize("agent", ["Slackbot-LinkExpanding 1.0", "facebookexternalhit/1.1"])
def test_link_previews_show_nothing_of_the_room(
    parlor: Parlor, reason: str, status: int, agent: str
) -> None:
    parlor.hana.ask("title", {"name": NAME})
    refuse(parlor, reason)

    preview = parlor.app.test_client().get("/salon/", headers={"User-Agent": agent})
    head = parlor.app.test_client().head("/salon/")

    assert (preview.status_code, head.status_code) == (status, status)
    assert NAME not in preview.text
    assert "og:title" not in preview.text


def test_a_removed_person_learns_when_they_can_return(parlor: Parlor) -> None:
    refuse(parlor, "remove")

    page = parlor.get("", "Ada")

    assert "You can come back in 10 minutes." in page.text
    assert 590 <= int(page.headers["Retry-After"]) <= 600


def test_a_closed_room_says_when_its_link_is_free(parlor: Parlor) -> None:
    refuse(parlor, "close")
    free_at = utc_now() + timedelta(days=30)

    page = parlor.get("", "Cy").text

    sentence = f"Its link will be free again on {free_at.day} {free_at:%B %Y}."
    assert sentence in page
    assert sentence in str(parlor.open_client().join("salon")["message"])
    typed = parlor.browsers["Cy"].get("/?room=salon")
    assert parlor.browsers["Cy"].get(typed.location).status_code == 410
    form = {"handle": "Cy", "message": "hello", "id": "0123456789abcdef"}
    assert parlor.send("Cy", path="", **form).status_code == 410


def test_a_banned_person_posts_nothing_with_the_form(parlor: Parlor) -> None:
    refuse(parlor, "ban")
    before = parlor.messages()

    answer = parlor.send("Ada", path="", handle="Ada", message="again", id="0123456789abcdef")

    assert answer.status_code == 403
    assert parlor.messages() == before


@pytest.mark.parametrize(
    "path",
    [
        f"{page}{number}"
        for page in ("report?seq=", "messages/", "audit?before=")
        for number in ("9" * 11 + "x", "9" * 20, "9" * 5_000)
    ],
)
def test_a_number_that_no_row_has_is_refused(parlor: Parlor, path: str) -> None:
    expected = 404 if path.startswith("messages") else 400

    assert parlor.get(path).status_code == expected


@pytest.mark.parametrize("number", ["99999999999999999999", "9" * 5_000, "-1", "²"])
def test_a_report_with_a_malformed_number_is_refused(parlor: Parlor, number: str) -> None:
    answer = parlor.send("Ben", path="report", reason="Look", seq=number)

    assert answer.status_code == 400


def test_somebody_banned_while_they_post_sees_nothing_of_the_room(
    parlor: Parlor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_then_ban(room: Room) -> None:
        check_access(room)
        assert parlor.moderate("ban", target=parlor.ada_mark)["ok"]

    monkeypatch.setattr("chat.web.pages.check_access", check_then_ban)
    answer = parlor.send("Ada", path="", handle="Ada", message="again", id="0123456789abcdef")

    assert answer.status_code == 403
    assert "You are banned from this room" in answer.text
    assert "Hana is here" not in answer.text
