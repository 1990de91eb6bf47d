"""Answers have a maximum size, and a client still gets every message."""

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from chat.answer_size import count_fitting, message_bytes
from chat.engine import StrictJSON
from chat.models import MessageRow, Room, messages
from chat.services import services_of
from chat.storage.commands import Command, PostMessage
from chat.storage.database import write_transaction
from chat.wire import message as message_payload
from tests.conftest import JSON, Client

Open = Callable[..., Client]

MAX_ANSWER_BYTES = 512 * 1024
LARGEST_TEXT = "\U0001f44d" * 4000
REACTIONS = {chr(0x1F400 + number): ["someone"] * 100 for number in range(20)}
MESSAGES = 200


def size(answer: JSON) -> int:
    """Return the size of an answer as it is sent."""
    return len(StrictJSON.dumps(answer).encode())


def seqs(answer: JSON) -> list[int]:
    """Return the seq of each message in an answer."""
    return [row["seq"] for row in answer["messages"]]


@pytest.fixture
def cellar(app: Flask, kitchen: str) -> str:
    """A room full of messages of very different sizes, the largest with all possible reactions."""
    random = Random(1)  # the same sizes in every run
    with app.app_context():
        room = Room.find(kitchen)
        texts = [random.choice(["short", "\n" * 4000, LARGEST_TEXT]) for _ in range(MESSAGES)]
        texts[0] = LARGEST_TEXT
        batch: list[Command] = [
            PostMessage(room, "ada", "Ada", f".{text}"[:4000]) for text in texts
        ]
        services_of(app).journal.store_and_publish(batch)
        with write_transaction() as connection:
            changed = update(messages).where(messages.c.seq % 7 == 1)
            connection.execute(changed.values(reactions=REACTIONS))
    return kitchen


def test_the_messages_would_not_fit_into_one_answer(app: Flask, cellar: str) -> None:
    with app.app_context():
        room = Room.find(cellar)
        page = room.history_after(0, 1)
        assert size(message_payload(room, page.messages[0])) > 50_000


def test_joining_and_reading_back_returns_every_message_in_small_answers(
    ada: Client, cellar: str
) -> None:
    answer = ada.join(cellar)
    found = seqs(answer)
    older = answer["older"]
    while older:
        assert size(answer) <= MAX_ANSWER_BYTES
        answer = ada.ask("history", {"before": found[0], "limit": 200})
        found = seqs(answer) + found
        older = answer["older"]
        assert answer["newer"] is True

    assert found == list(range(1, MESSAGES + 1))


def test_catching_up_returns_every_message_in_small_answers(ada: Client, cellar: str) -> None:
    answer = ada.join(cellar, after=0)
    assert answer["missed"] == MESSAGES
    found = seqs(answer)
    answers = 1
    while answer["upto"] < answer["head"]:
        assert size(answer) <= MAX_ANSWER_BYTES
        assert answer["upto"] == found[-1]
        answer = ada.ask("since", {"after": answer["upto"]})
        found += seqs(answer)
        answers += 1

    assert found == list(range(1, MESSAGES + 1))
    assert answers > 2


def test_reading_on_returns_every_message_in_small_answers(ada: Client, cellar: str) -> None:
    found: list[int] = []
    newer = True
    while newer:
        answer = ada.ask("history", {"after": found[-1] if found else 0, "limit": 200})
        assert size(answer) <= MAX_ANSWER_BYTES
        assert answer["older"] is bool(found)
        found += seqs(answer)
        newer = answer["newer"]

    assert found == list(range(1, MESSAGES + 1))


@pytest.mark.parametrize("around", [1, 2, 100, MESSAGES, MESSAGES + 5])
def test_a_page_around_a_message_contains_it_and_what_is_beside_it(
    ada: Client, cellar: str, around: int
) -> None:
    answer = ada.ask("history", {"around": around, "limit": 200})

    found = seqs(answer)
    assert size(answer) <= MAX_ANSWER_BYTES
    assert found == list(range(found[0], found[-1] + 1))
    assert min(around, MESSAGES) in found
    assert (answer["older"], answer["newer"]) == (found[0] > 1, found[-1] < MESSAGES)


def test_the_page_of_a_room_is_bounded_too_and_links_to_the_rest(app: Flask, cellar: str) -> None:
    page = app.test_client().get(f"/{cellar}/").text

    assert len(page.encode()) < 4 * MAX_ANSWER_BYTES
    assert "Earlier messages" in page


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00", min_codepoint=9))


@given(TEXT, st.dictionaries(st.sampled_from(sorted(REACTIONS)), st.integers(1, 100)), st.data())
def test_the_estimated_size_is_never_below_the_real_one(
    text: str, reactions: dict[str, int], data: st.DataObject
) -> None:
    text = "".join(character for character in text if character >= " " or character in "\n\t")
    when = datetime(2026, 11, 26, 12, 34, 56, 789000, UTC)
    largest = 2**53 - 1
    row = MessageRow(
        room_id=1,
        seq=largest,
        rev=largest,
        author="ada",
        client_id="x" * 64,
        handle=data.draw(st.sampled_from(["", '"' * 64, "\U0001f44d" * 64])),
        message=text,
        timestamp=when,
        edited_at=when,
        deleted_at=when,
        reply_to=largest,
        kind="x" * 16,
        reactions={emoji: ["ada"] * count for emoji, count in reactions.items()} or None,
    )

    payload = message_payload(FakeRoom(), row)

    assert size(payload) + len(",") <= message_bytes(row)
    assert count_fitting([row], 0) == 1
    assert count_fitting([], 0) == 0


class FakeRoom(Room):
    """A room whose marks need no app."""

    def __init__(self) -> None:
        super().__init__(label="x" * 50)

    def mark(self, author: str) -> str:
        """Return a mark of the usual length."""
        return author.ljust(16, "0")
