"""Names that somebody in the room has cannot be used by others, on both databases.

Ada has visited the page of the kitchen, so her browser is known. Mallory tries to be Ada.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import NoneType

import pytest
from flask import Flask
from sqlalchemy import event, select, update

from chat import create_app, shut_down
from chat.errors import NameTaken
from chat.models import Room, RoomRow, messages
from chat.moderation.names import HOLD_SECONDS, NO_CLAIM, NameClaim
from chat.moderation.rules import SanctionKind, utc_now
from chat.moderation.tables import known_names
from chat.services import services_of
from chat.storage.commands import (
    ChangeHandle,
    Command,
    DeleteMessage,
    PostMessage,
    SetTitle,
)
from chat.storage.database import db, read_transaction, write_transaction
from chat.storage.erasure import erase_records
from chat.storage.known_names import extend_names
from chat.storage.moderation_commands import Impose, Lift, Target
from chat.storage.recent_claims import MAX_RECENT_CLAIMS, RecentClaims
from config import Config
from tests.conftest import JSON, Client, create_room, in_room, submit_elsewhere
from tests.pages import hidden_fields
from tests.servers import wait_until
from tests.services import Postgres

Open = Callable[..., Client]
DAY = timedelta(days=1)
KNOWN = NameClaim(is_known=True)

IMPERSONATIONS = [
    "Ada",
    "ADA",
    " Ada",
    "Ada ",
    "Ad\u00e1",
    "Ad\u0430",
    "\u0391da",
    "A\u200dda",
    "Ada\u2800",
    "Ada\U000e0041",
    "\uff21\uff44\uff41",
]


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.servers)])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """The settings of an installation with an empty database of each kind."""
    url = None
    if request.param == "PostgreSQL":
        postgres_server: Postgres = request.getfixturevalue("postgres_server")
        url = postgres_server.database()
    return Config(instance=tmp_path / "instance", database_url=url, limits=False)


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    """Confab with an empty database of each kind."""
    created = create_app(config)
    yield created
    shut_down(created)


@pytest.fixture
def visit(app: Flask, open_client: Open, kitchen: str) -> Callable[[], Client]:
    """A function that opens the kitchen in a new browser, whose identity is known."""

    def open_browser() -> Client:
        browser = app.test_client()
        browser.get(f"/{kitchen}/")
        return in_room(open_client(browser), kitchen)

    return open_browser


@pytest.fixture
def ada(visit: Callable[[], Client]) -> Client:
    """A client in the kitchen that has posted as Ada."""
    client = visit()
    assert client.post("hello")["ok"]
    return client


@pytest.fixture
def mallory(visit: Callable[[], Client]) -> Client:
    """A client in the kitchen that has not posted."""
    return visit()


def held_names(app: Flask) -> dict[str, datetime]:
    """Return until when each name is held."""
    with app.app_context(), read_transaction() as connection:
        rows = connection.execute(select(known_names.c.handle, known_names.c.held_until)).all()
    return dict(rows)


def set_held_until(app: Flask, handle: str, until: datetime) -> None:
    """Change until when a name is held."""
    of_name = known_names.c.handle == handle
    with app.app_context(), write_transaction() as connection:
        connection.execute(update(known_names).where(of_name).values(held_until=until))


def author_of(app: Flask) -> str:
    """Return who wrote the first message."""
    with app.app_context(), read_transaction() as connection:
        return connection.scalars(select(messages.c.author)).first() or ""


def statements_of(app: Flask, work: Callable[[], object]) -> list[str]:
    """Return the SQL statements that are executed while `work` runs."""
    statements: list[str] = []

    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    work()
    event.remove(engine, "before_cursor_execute", note)
    return statements


def about_names(statements: list[str]) -> list[str]:
    return [statement for statement in statements if "known_names" in statement]


# Taken names


def test_a_name_that_looks_like_one_in_use_is_refused(ada: Client, mallory: Client) -> None:
    ada.received()

    for name in IMPERSONATIONS:
        answer = mallory.post("give me your keys", handle=name)

        assert answer == {
            "ok": False,
            "code": "name_taken",
            "message": f'The name "{name}" is taken in this room. Use "{name.strip()} 2"?',
            "retry": False,
            "suggestion": f"{name.strip()} 2",
        }
    assert ada.received() == []
    assert mallory.post("sorry", handle="Ada 2")["ok"]


def test_other_names_and_ones_own_are_accepted(ada: Client, mallory: Client) -> None:
    assert mallory.post("hello", handle="Adam")["ok"]
    assert mallory.post("hello", handle="Ada 2")["ok"]
    assert ada.post("hello", handle="ADA")["ok"]
    assert ada.post("hello", handle="Ada")["ok"]


def test_the_suggested_name_is_one_that_nobody_has(
    ada: Client, mallory: Client, visit: Callable[[], Client]
) -> None:
    visit().post("hello", handle="ada 2")

    assert mallory.post("hello")["suggestion"] == "Ada 3"
    assert mallory.post("hello", handle="Ada 2")["suggestion"] == "Ada 3"


def test_a_suggested_name_is_not_too_long(visit: Callable[[], Client]) -> None:
    long = "\U0001f44d" * 64
    assert visit().post("hello", handle=long)["ok"]

    other = visit()
    suggestion = other.post("hello", handle=long)["suggestion"]

    assert suggestion == "\U0001f44d" * 62 + " 2"
    assert other.post("hello", handle=suggestion)["ok"]


def test_a_taken_name_cannot_be_used_in_another_way(ada: Client, mallory: Client) -> None:
    mallory.post("hello", handle="Mallory")
    ada.received()

    answers = [
        mallory.ask("rename", {"handle": "ada"}),
        mallory.ask("title", {"name": "Supper", "handle": "ada"}),
    ]

    assert [answer["code"] for answer in answers] == ["name_taken"] * 2
    assert ada.received() == []
    assert ada.ask("title", {"name": "Supper", "handle": "Ada"})["ok"]


def test_a_name_of_another_room_is_free(app: Flask, ada: Client, open_client: Open) -> None:
    browser = app.test_client()
    browser.get("/garden/")

    assert in_room(open_client(browser), create_room(app, "garden")).post("hello")["ok"]


def test_a_message_that_is_sent_again_is_no_new_use_of_its_name(
    app: Flask, ada: Client, mallory: Client
) -> None:
    mallory.post("first", handle="Mal", id="a-random-id-of-16")
    ada.ask("rename", {"handle": "Ada L."})
    mallory.ask("rename", {"handle": "Mallory"})
    assert ada.post("hello", handle="Mal")["ok"]

    again = mallory.post("first", handle="Mal", id="a-random-id-of-16")

    assert again["duplicate"]


# Who holds a name


def test_a_connection_without_cookies_holds_no_name(
    app: Flask, open_client: Open, kitchen: str, ada: Client
) -> None:
    ben, cy = (in_room(open_client(), kitchen) for _ in range(2))

    assert ben.post("hello", handle="Ben")["ok"]
    assert cy.post("hello", handle="Ben")["ok"]
    assert ben.post("hello")["code"] == "name_taken"
    assert set(held_names(app)) == {"Ada"}


def test_a_client_that_returns_with_its_token_holds_its_name(
    open_client: Open, kitchen: str, mallory: Client
) -> None:
    first = open_client()
    token = first.join(kitchen)["you"]["token"]
    first.close()
    returned = in_room(open_client(token=token), kitchen)

    assert returned.post("hello", handle="Ben")["ok"]

    assert mallory.post("hello", handle="Ben")["code"] == "name_taken"


def test_a_new_name_frees_the_one_before(ada: Client, mallory: Client) -> None:
    assert ada.ask("rename", {"handle": "Countess"})["ok"]

    assert mallory.post("hello", handle="countess")["code"] == "name_taken"
    assert mallory.post("hello", handle="Ada")["ok"]
    assert ada.post("hello", handle="Ada")["code"] == "name_taken"


def test_a_name_is_claimed_by_naming_oneself_before_the_first_message(
    visit: Callable[[], Client], mallory: Client
) -> None:
    assert visit().ask("rename", {"handle": "Ben"})["ok"]

    assert mallory.post("hello", handle="Ben")["code"] == "name_taken"


def test_of_two_people_who_use_a_name_at_once_one_is_refused(
    app: Flask, kitchen: str, visit: Callable[[], Client]
) -> None:
    with app.app_context():
        room = Room.find(kitchen)
        commands = [
            PostMessage(room, author, "Ada", "hello", claim=KNOWN)
            for author in ("a" * 32, "b" * 32)
        ]
        services_of(app).journal.submit_many(commands)

    assert commands[0].failure is None
    assert isinstance(commands[1].failure, NameTaken)


# For how long


def test_a_name_is_free_a_day_after_it_was_used(app: Flask, ada: Client, mallory: Client) -> None:
    assert held_names(app)["Ada"] > utc_now() + DAY
    set_held_until(app, "Ada", utc_now() - timedelta(seconds=1))

    assert mallory.post("hello")["ok"]


def test_the_name_of_a_host_is_held_for_ever(
    app: Flask, kitchen: str, open_client: Open, mallory: Client
) -> None:
    browser = app.test_client()
    hidden = hidden_fields(browser.get("/").text)
    label = browser.post("/new/", data=hidden).location.strip("/")
    hana = in_room(open_client(browser), label)
    assert hana.post("welcome", handle="Hana")["ok"]
    set_held_until(app, "Hana", utc_now() - DAY)

    assert mallory.join(label)["ok"]
    assert mallory.post("hello", handle="hana")["code"] == "name_taken"


def test_the_names_of_people_who_are_present_are_extended(
    app: Flask, kitchen: str, ada: Client, mallory: Client
) -> None:
    mark = ada.join(kitchen)["you"]["mark"]
    set_held_until(app, "Ada", utc_now() - DAY)

    with app.app_context():
        extend_names(kitchen, [mark, "another person"])

    assert held_names(app)["Ada"] > utc_now() + timedelta(seconds=HOLD_SECONDS - 60)
    assert mallory.post("hello")["code"] == "name_taken"


def test_a_name_that_somebody_else_has_taken_meanwhile_is_not_extended(
    app: Flask, kitchen: str, ada: Client, mallory: Client
) -> None:
    mark = ada.join(kitchen)["you"]["mark"]
    expired = utc_now() - DAY
    set_held_until(app, "Ada", expired)
    assert mallory.post("hello", handle="ada")["ok"]

    with app.app_context():
        extend_names(kitchen, [mark])

    assert held_names(app)["Ada"] == expired


def test_extending_names_that_are_held_long_enough_writes_nothing(
    app: Flask, kitchen: str, ada: Client
) -> None:
    mark = ada.join(kitchen)["you"]["mark"]

    def extend() -> None:
        with app.app_context():
            extend_names(kitchen, [mark])

    assert not [each for each in statements_of(app, extend) if "UPDATE" in each]


def test_somebody_who_comes_back_has_their_name_again(
    app: Flask, kitchen: str, ada: Client, mallory: Client
) -> None:
    set_held_until(app, "Ada", utc_now() - DAY)

    ada.join(kitchen)

    wait_until(lambda: held_names(app)["Ada"] > utc_now(), what="the name of Ada is held again")
    assert mallory.post("hello")["code"] == "name_taken"


# What it costs


def test_everyday_messages_need_no_statement_for_their_name(app: Flask, ada: Client) -> None:
    first = statements_of(app, lambda: ada.post("hello", handle="Countess"))
    second = statements_of(app, lambda: ada.post("hello", handle="Countess"))

    assert len(about_names(first)) == 2  # read, and written
    assert about_names(second) == []


def test_a_refused_name_is_compared_again_each_time(ada: Client, mallory: Client) -> None:
    for _ in range(3):
        assert mallory.post("hello")["code"] == "name_taken"


def row(label: str, room_id: int = 1) -> RoomRow:
    """Return a room as the journal has it."""
    return RoomRow(room_id, label, label, 0, "first")


def test_the_memory_of_claims_is_bounded_and_forgets_the_oldest() -> None:
    claims, kitchen = RecentClaims(), row("kitchen")
    for number in range(MAX_RECENT_CLAIMS + 1):
        claims.add(kitchen.id, f"mark {number}", "Ada", KNOWN, 0)

    assert not claims.is_recent(kitchen, "mark 0", "Ada", KNOWN)
    assert claims.is_recent(kitchen, "mark 1", "Ada", KNOWN)
    assert not claims.is_recent(kitchen, "mark 1", "Ben", KNOWN)


def test_a_name_that_was_only_free_has_to_be_claimed_by_a_known_identity() -> None:
    claims, kitchen = RecentClaims(), row("kitchen")
    claims.add(kitchen.id, "mark", "Ada", NO_CLAIM, 0)

    assert claims.is_recent(kitchen, "mark", "Ada", NO_CLAIM)
    assert not claims.is_recent(kitchen, "mark", "Ada", KNOWN)


def test_a_name_is_claimed_again_from_another_address() -> None:
    claims, kitchen = RecentClaims(), row("kitchen")
    at_school = NameClaim(is_known=True, address="192.0.2.1")
    claims.add(kitchen.id, "mark", "Ada", at_school, 0)

    assert claims.is_recent(kitchen, "mark", "Ada", at_school)
    at_home = NameClaim(is_known=True, address="198.51.100.7")
    assert not claims.is_recent(kitchen, "mark", "Ada", at_home)


def test_no_claim_counts_after_somebody_gave_up_a_name_of_the_room() -> None:
    claims, kitchen = RecentClaims(), row("kitchen")
    claims.add(kitchen.id, "mark", "Ada", KNOWN, kitchen.names_version)
    kitchen.names_version += 1

    assert not claims.is_recent(kitchen, "mark", "Ada", KNOWN)
    assert not claims.is_recent(row("kitchen", room_id=2), "mark", "Ada", KNOWN)


# Several workers


def rename_elsewhere(app: Flask, label: str, author: str) -> None:
    """Let the author use another name on another worker."""
    submit_elsewhere(app, label, lambda room: ChangeHandle(room, author, "Eve", claim=KNOWN))


def post_and_delete_elsewhere(app: Flask, label: str, author: str) -> None:
    """Let the author post under another name on another worker, and delete that."""
    submit_elsewhere(app, label, lambda room: PostMessage(room, author, "Eve", "hi", claim=KNOWN))
    with app.app_context():
        seq = Room.find(label).head
    submit_elsewhere(app, label, lambda room: DeleteMessage(room, author, seq))


def name_the_room_elsewhere(app: Flask, label: str, author: str) -> None:
    """Let the author name the room on another worker, under another name of their own."""
    submit_elsewhere(app, label, lambda room: SetTitle(room, author, "Soup", "Eve", claim=KNOWN))


def rename_silently_elsewhere(app: Flask, label: str, author: str) -> None:
    """Let the author use another name on another worker, when nothing is known to be theirs."""
    submit_elsewhere(app, label, lambda room: DeleteMessage(room, author, 1))
    rename_elsewhere(app, label, author)


def remove_and_readmit_elsewhere(app: Flask, label: str, author: str) -> None:
    """Let the operator remove the author, and let them in again at once."""
    with app.app_context():
        target = Target(Room.find(label).mark(author), "Ada")
    removal = SanctionKind.REMOVAL
    submit_elsewhere(app, label, lambda room: Impose(room, "", "", True, target, removal, 600))
    submit_elsewhere(app, label, lambda room: Lift(room, "", "", True, target, removal))


def erase_elsewhere(app: Flask, label: str, author: str) -> None:
    """Erase what names the author, as a command of the operator does."""
    with app.app_context():
        room = Room.find(label)
        erase_records(room, room.mark(author))


WAYS_TO_GIVE_UP_A_NAME: dict[str, Callable[[Flask, str, str], None]] = {
    "another name": rename_elsewhere,
    "another name that nothing shows": rename_silently_elsewhere,
    "a message under another name, deleted": post_and_delete_elsewhere,
    "a title under another name": name_the_room_elsewhere,
    "a removal": remove_and_readmit_elsewhere,
    "an erasure": erase_elsewhere,
}


def test_a_name_is_held_on_every_worker(
    app: Flask, config: Config, kitchen: str, ada: Client
) -> None:
    other_worker = create_app(config)
    browser = other_worker.test_client()
    browser.get(f"/{kitchen}/")
    mallory = in_room(Client(other_worker, browser), kitchen)

    assert mallory.post("hello", handle="ada")["code"] == "name_taken"

    mallory.close()
    shut_down(other_worker)


def test_a_name_given_up_on_another_worker_is_no_longer_ones_own(
    app: Flask, config: Config, open_client: Open, kitchen: str, mallory: Client
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    ada = in_room(open_client(browser), kitchen)
    assert ada.post("hello")["ok"]
    other_worker = create_app(config)
    with other_worker.app_context():
        room = Room.find(kitchen)
        author = author_of(app)
        renamed = ChangeHandle(room, author, "Countess", claim=KNOWN)
        services_of(other_worker).journal.submit(renamed)
    shut_down(other_worker)
    with app.app_context():
        services_of(app).reconciler.poll()
    assert mallory.post("hello", handle="Ada")["ok"]

    assert ada.post("hello", handle="Ada")["code"] == "name_taken"


@pytest.mark.parametrize("way", WAYS_TO_GIVE_UP_A_NAME)
def test_a_name_given_up_elsewhere_is_no_longer_ones_own(
    app: Flask, open_client: Open, kitchen: str, visit: Callable[[], Client], way: str
) -> None:
    browser = app.test_client()
    browser.get(f"/{kitchen}/")
    ada = in_room(open_client(browser), kitchen)
    assert ada.post("hello")["ok"]
    author = author_of(app)
    WAYS_TO_GIVE_UP_A_NAME[way](app, kitchen, author)
    assert visit().post("hello", handle="Ada")["ok"]

    assert ada.post("hello", handle="Ada")["code"] == "name_taken"


def test_a_name_given_up_in_the_same_batch_is_no_longer_ones_own(
    app: Flask, ada: Client, kitchen: str
) -> None:
    author = author_of(app)
    with app.app_context():
        room = Room.find(kitchen)
        batch: list[Command] = [
            PostMessage(room, author, "Ada", "one", claim=KNOWN),
            ChangeHandle(room, author, "Eve", claim=KNOWN),
            PostMessage(room, "another author", "Ada", "two", claim=KNOWN),
            PostMessage(room, author, "Ada", "three", claim=KNOWN),
        ]
        services_of(app).journal.store_and_publish(batch)

    assert [type(command.failure) for command in batch] == [NoneType] * 3 + [NameTaken]


def test_nobody_is_shown_typing_under_a_name_that_another_person_took(
    open_client: Open, kitchen: str, visit: Callable[[], Client]
) -> None:
    mallory = in_room(open_client(), kitchen)
    assert mallory.post("hello", handle="Ada")["ok"]
    ada = visit()
    assert ada.post("hello", handle="Ada")["ok"]
    ada.received()

    assert mallory.ask("typing", {"handle": "Ada"})["ok"]
    assert ada.ask("typing", {"handle": "Ada"})["ok"]

    assert ada.received("typing") == []
    assert len(mallory.received("typing")) == 1


# The form


def test_the_form_shows_that_a_name_is_taken_and_suggests_another(
    app: Flask, ada: Client, kitchen: str
) -> None:
    browser = app.test_client()
    hidden = hidden_fields(browser.get(f"/{kitchen}/").text)
    answer = browser.post(f"/{kitchen}/", data=hidden | {"handle": "ADA", "message": "my text"})

    assert answer.status_code == 409
    assert "The name &#34;ADA&#34; is taken in this room. Use &#34;ADA 2&#34;?" in answer.text
    assert 'name="handle" value="ADA 2"' in answer.text
    assert "my text</textarea>" in answer.text
    form: JSON = hidden_fields(answer.text) | {"handle": "ADA 2", "message": "my text"}
    assert browser.post(f"/{kitchen}/", data=form).status_code == 303
