"""State and events are one story: an old state, with all events since folded over it, is what a newcomer reads."""

from collections.abc import Callable
from itertools import count
from typing import Any

from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import JSON, Client, create_room, in_room

# Who does what to which of the messages that stand; a number beyond the last means the last.
ACTIONS = st.tuples(
    st.sampled_from([0, 1]),
    st.sampled_from(
        ["say", "say", "repeat", "edit", "edit the same", "delete", "react", "react", "rename"]
    ),
    st.integers(0, 12),
)
numbers = count(1)


class Story:
    """A room, two people who do things in it, and what was told of it."""

    def __init__(self, app: Flask, open_client: Callable[..., Client]) -> None:
        self.label = create_room(app, f"story-{next(numbers)}")
        self.open_client = open_client
        self.people = [in_room(open_client(), self.label), in_room(open_client(), self.label)]
        self.said: list[JSON] = []

    def do(self, who: int, what: str, which: int) -> None:
        """One action; whether it is allowed is the server's business."""
        person = self.people[who]
        if what == "say" or not self.said:
            said = {"id": f"story-id-{next(numbers):016}", "message": f"number {next(numbers)}"}
            self.said.append(said | person.post(**said))
            return
        of = self.said[min(which, len(self.said) - 1)]
        if what == "repeat":
            person.post(of["message"], id=of["id"])
        elif what == "rename":
            person.ask("rename", {"handle": f"Ada {which % 3}"})
        elif what == "react":
            person.ask(
                "react",
                {
                    "seq": of["seq"],
                    "emoji": "👍❤️"[which % 2 :][: 1 + which % 2],
                    "on": which % 3 > 0,
                },
            )
        elif what == "delete":
            person.ask("delete", {"seq": of["seq"]})
        else:
            words = "the same words" if what == "edit the same" else f"words {next(numbers)}"
            person.ask("edit", {"seq": of["seq"], "message": words})

    def as_a_newcomer_reads_it(self) -> list[JSON]:
        """The whole room, as somebody sees it who comes only now."""
        newcomer = in_room(self.open_client(), self.label)
        rows: list[JSON] = newcomer.ask("history", {"limit": 200})["messages"]
        newcomer.close()
        return rows


def fold(state: JSON, events: list[JSON]) -> list[JSON]:
    """The stream rule of docs/protocol.md: the next number is applied, anything else would be wrong here."""
    rows = {row["seq"]: row for row in state["messages"]}
    applied = state["upto"]
    for event in events:
        [row] = event["args"]
        assert row["rev"] == applied + 1, "told out of order, twice, or not at all"
        assert (event["name"] == "chat") == (row["seq"] not in rows), (
            "what is new is told as chat, else as change"
        )
        applied = row["rev"]
        rows[row["seq"]] = row
    return [rows[seq] for seq in sorted(rows)]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=st.lists(ACTIONS, max_size=12), after=st.lists(ACTIONS, max_size=25))
def test_events_folded_over_an_old_state_are_a_fresh_state(
    app: Flask, open_client: Callable[..., Client], before: list[Any], after: list[Any]
) -> None:
    story = Story(app, open_client)
    for action in before:
        story.do(*action)
    ben = open_client()
    old = ben.join(story.label)

    for action in after:
        story.do(*action)

    told = [event for event in ben.received() if event["name"] in ("chat", "change")]
    assert fold(old, told) == story.as_a_newcomer_reads_it()


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=st.lists(ACTIONS, max_size=12), after=st.lists(ACTIONS, max_size=25))
def test_what_changed_since_merged_into_an_old_state_is_a_fresh_state(
    app: Flask, open_client: Callable[..., Client], before: list[Any], after: list[Any]
) -> None:
    story = Story(app, open_client)
    for action in before:
        story.do(*action)
    old = story.people[0].ask("history", {"limit": 200})
    for action in after:
        story.do(*action)

    missed = story.people[0].ask("since", {"after": old["head"]})

    rows = {row["seq"]: row for row in [*old["messages"], *missed["messages"]]}
    assert missed["upto"] == missed["head"]
    assert [rows[seq] for seq in sorted(rows)] == story.as_a_newcomer_reads_it()
