"""Reactions to one message are stored together, a few times a second, each with its own answer."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from chat.errors import Busy, Gone, NotFound, Refusal, TooManyReactions
from chat.models import Room
from chat.services import services_of
from chat.storage.commands import Command, CommandResult, ReactToMessage
from chat.storage.reactions import MessageId, ReactionPacer, ReactTogether
from tests.clients import Node
from tests.conftest import JSON, Client
from tests.servers import gunicorn, wait_until

INTERVAL_SECONDS = 0.2
PEOPLE = 100
THUMB = "\U0001f44d"
HEART = "\u2764\ufe0f"
CALL_SECONDS = 30


class Stopped(BaseException):
    """What ends a thread or greenlet from outside."""


class Gate:
    """Submits commands to the journal of an app, when it is open; counts them."""

    def __init__(self, app: Flask) -> None:
        self.is_open = threading.Event()
        self.is_open.set()
        self.submitted: list[Command] = []
        self.failure: BaseException | None = None
        self._app = app

    def submit(self, command: Command) -> CommandResult:
        self.submitted.append(command)
        assert self.is_open.wait(CALL_SECONDS)
        if self.failure is not None:
            raise self.failure
        with self._app.app_context():
            return services_of(self._app).journal.submit(command)


class HeldPacer(ReactionPacer):
    """A pacer whose interval lasts until the test ends it, however slow the machine is."""

    def __init__(self, submit: Callable[[Command], CommandResult]) -> None:
        super().__init__(submit, interval_seconds=3600)
        self.is_interval_over = threading.Event()

    def _wait(self, message: MessageId) -> None:
        if message in self._submitted_at:
            assert self.is_interval_over.wait(CALL_SECONDS)


@pytest.fixture
def gate(app: Flask) -> Gate:
    """What the pacer submits to."""
    return Gate(app)


@pytest.fixture
def pacer(gate: Gate) -> ReactionPacer:
    """A pacer with a short interval."""
    return ReactionPacer(gate.submit, INTERVAL_SECONDS)


@pytest.fixture
def room(app: Flask, ada: Client, kitchen: str) -> Room:
    """The kitchen, with two messages of Ada."""
    ada.post("hello")
    ada.post("hello again")
    ada.received()
    with app.app_context():
        return Room.find(kitchen)


@pytest.fixture
def people() -> Iterator[ThreadPoolExecutor]:
    """A hundred people who react at the same time."""
    with ThreadPoolExecutor(PEOPLE) as executor:
        yield executor


def react(room: Room, author: str, emoji: str = THUMB, on: bool = True) -> ReactToMessage:
    return ReactToMessage(room, author, 1, emoji, on)


def marks(message: JSON) -> set[str]:
    return {mark for found in message.get("reactions", {}).values() for mark in found}


def refusal_of(future: "Future[CommandResult]") -> type[BaseException]:
    failure = future.exception(CALL_SECONDS)
    assert failure is not None
    return type(failure)


def test_a_hundred_people_cause_few_changes_and_each_reaction_is_stored(
    app: Flask, ada: Client, room: Room, pacer: ReactionPacer, people: ThreadPoolExecutor
) -> None:
    began = time.monotonic()
    futures = [
        people.submit(pacer.submit, react(room, f"person {number}")) for number in range(PEOPLE)
    ]
    results = [future.result(CALL_SECONDS) for future in futures]
    took = time.monotonic() - began

    with app.app_context():
        mark_of = {number: room.mark(f"person {number}") for number in range(PEOPLE)}
    changes = ada.received("change")
    assert len(changes) <= 1 + math.ceil(took / INTERVAL_SECONDS)
    assert marks(changes[-1]) == set(mark_of.values())
    # Every change is a whole message with the next number, so clients see no gap.
    assert [change["rev"] for change in changes] == list(range(3, 3 + len(changes)))
    assert {change["message"] for change in changes} == {"hello"}
    assert ada.ask("since", {"after": 2})["messages"] == [changes[-1]]
    by_rev = {change["rev"]: marks(change) for change in changes}
    for number, result in enumerate(results):
        assert mark_of[number] in by_rev[result.rev]
    with app.app_context():
        assert Room.find(room.label).head == changes[-1]["rev"]


def test_a_reaction_to_a_message_without_recent_reactions_is_stored_at_once(
    room: Room, gate: Gate
) -> None:
    pacer = ReactionPacer(gate.submit, interval_seconds=3600)

    result = pacer.submit(react(room, "ben"))
    other = pacer.submit(ReactToMessage(room, "ben", 2, THUMB, True))

    assert (result.rev, other.rev) == (3, 4)


def test_changes_of_one_message_have_the_interval_between_them(
    room: Room, pacer: ReactionPacer
) -> None:
    began = time.monotonic()
    for number in range(4):
        pacer.submit(react(room, "ben", on=number % 2 == 0))

    assert time.monotonic() - began >= 3 * INTERVAL_SECONDS


def wait_for_group(pacer: ReactionPacer, room: Room, size: int) -> None:
    """Wait until so many reactions to the first message wait to be stored together."""

    def has_size() -> bool:
        group = pacer._waiting.get((room.id, 1))
        return group is not None and len(group.reactions) == size

    wait_until(has_size)


def test_each_reaction_of_a_group_has_its_own_outcome(ada: Client, room: Room, gate: Gate) -> None:
    """The twenty-first emoji is refused; those before and after it in the group are stored."""
    others = [react(room, "cy", chr(0x1F400 + number)) for number in range(19)]
    last = react(room, "ben")
    refused = react(room, "ben", HEART)
    no_effect = react(room, "ben")
    removed = react(room, "cy", chr(0x1F400), on=False)
    group = [*others, last, refused, no_effect, removed]

    result = gate.submit(ReactTogether(room, "ben", 1, group))

    assert result.rev == 3
    assert [type(each.failure) for each in group if each.failure] == [TooManyReactions]
    assert refused.failure is not None
    [change] = ada.received("change")
    assert list(change["reactions"]) == [chr(0x1F401 + number) for number in range(18)] + [THUMB]


def test_a_group_without_effect_consumes_no_number(ada: Client, room: Room, gate: Gate) -> None:
    gate.submit(ReactTogether(room, "ben", 1, [react(room, "ben")]))
    again = gate.submit(ReactTogether(room, "ben", 1, [react(room, "ben")]))

    assert (again.rev, again.head, again.duplicate) == (3, 3, True)
    assert len(ada.received("change")) == 1


@pytest.mark.parametrize(("seq", "refusal"), [(1, Gone), (99, NotFound)])
def test_reactions_to_a_deleted_or_missing_message_are_refused(
    ada: Client, room: Room, pacer: ReactionPacer, seq: int, refusal: type[Refusal]
) -> None:
    ada.ask("delete", {"seq": 1})

    with pytest.raises(refusal):
        pacer.submit(ReactToMessage(room, "ben", seq, THUMB, True))


@pytest.mark.parametrize("failure", [Busy("The database is locked."), Stopped(), ValueError()])
def test_the_failure_of_a_group_reaches_all_who_wait_and_later_reactions_are_stored(
    room: Room,
    pacer: ReactionPacer,
    gate: Gate,
    people: ThreadPoolExecutor,
    failure: BaseException,
) -> None:
    pacer.submit(react(room, "first"))
    gate.failure = failure
    futures = [people.submit(pacer.submit, react(room, f"person {n}")) for n in range(10)]

    found = [refusal_of(future) for future in futures]
    gate.failure = None

    assert set(found) <= {Busy, type(failure)}
    assert pacer.submit(react(room, "later")).rev == 4
    assert pacer._waiting == {}


def test_reactions_that_arrive_while_a_group_is_being_stored_form_the_next_one(
    ada: Client, room: Room, gate: Gate, people: ThreadPoolExecutor
) -> None:
    pacer = HeldPacer(gate.submit)
    gate.is_open.clear()
    first = people.submit(pacer.submit, react(room, "ben"))
    wait_until(lambda: gate.submitted != [])
    later = [people.submit(pacer.submit, react(room, f"person {n}")) for n in range(5)]
    wait_for_group(pacer, room, size=5)
    gate.is_open.set()
    first.result(CALL_SECONDS)
    pacer.is_interval_over.set()

    revs = [future.result(CALL_SECONDS).rev for future in (first, *later)]

    assert revs == [3, *[4] * 5]
    assert [len(marks(change)) for change in ada.received("change")] == [1, 6]


def test_the_end_of_a_group_does_not_close_the_next_one(
    ada: Client, room: Room, gate: Gate, people: ThreadPoolExecutor
) -> None:
    pacer = HeldPacer(gate.submit)
    gate.is_open.clear()
    first = people.submit(pacer.submit, react(room, "ben"))
    wait_until(lambda: gate.submitted != [])
    later = [people.submit(pacer.submit, react(room, "cy"))]
    wait_for_group(pacer, room, size=1)
    gate.is_open.set()
    first.result(CALL_SECONDS)
    later.append(people.submit(pacer.submit, react(room, "dora")))
    wait_for_group(pacer, room, size=2)
    pacer.is_interval_over.set()

    revs = [future.result(CALL_SECONDS).rev for future in later]

    assert revs == [4, 4]
    assert len(ada.received("change")) == 2


def test_old_changes_are_forgotten(room: Room, gate: Gate) -> None:
    pacer = ReactionPacer(gate.submit, interval_seconds=0)
    for seq in (1, 2, 1, 2):
        pacer.submit(ReactToMessage(room, "ben", seq, THUMB, True))

    assert len(pacer._submitted_at) == 1


@pytest.mark.servers
@pytest.mark.parametrize("engine", ["on", "off"])
def test_a_server_broadcasts_at_most_four_changes_a_second_of_one_message(
    tmp_path: Path, engine: str
) -> None:
    with gunicorn(tmp_path, ENGINE=engine) as server, Node() as node:
        server.room("kitchen")
        ada = node.person(server.url)
        ada.join("kitchen")
        ada.post("hello")
        others = [node.person(server.url) for _ in range(20)]
        for person in others:
            person.join("kitchen")
        began = time.monotonic()

        for number in range(6):
            reaction = {"seq": 1, "emoji": THUMB, "on": number % 2 == 0}
            calls = [(person, person.send("react", reaction)) for person in others]
            assert all(person.answer(call)["ok"] for person, call in calls)
        took = time.monotonic() - began

        wait_until(lambda: ada.received("change")[-1]["rev"] == server.head("kitchen"))
        changes = ada.received("change")
        assert len(changes) <= 1 + math.ceil(took / 0.25)
        assert [change["rev"] for change in changes] == list(range(2, 2 + len(changes)))
        assert "reactions" not in changes[-1]


def test_the_event_react_is_paced(ada: Client, app: Flask, room: Room) -> None:
    journal = services_of(app).journal
    calls: list[ReactToMessage] = []

    class Recorder(ReactionPacer):
        def submit(self, reaction: ReactToMessage) -> CommandResult:
            calls.append(reaction)
            return super().submit(reaction)

    journal.reactions = Recorder(journal.submit, 0)

    assert ada.ask("react", {"seq": 1, "emoji": THUMB, "on": True})["ok"]
    assert len(calls) == 1
    assert room.id == calls[0].room.id
