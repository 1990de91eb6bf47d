"""Snapshot plus events equals a fresh snapshot, for random sequences of commands."""

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import JSON, Client, create_room, in_room

EMOJI = ("👍", "❤️")


class Action(NamedTuple):
    """What one of two clients does, to which message; a number beyond the last is the last."""

    client: int
    kind: str
    message: int


KINDS = ["post", "post", "repeat", "edit", "edit the same", "delete", "react", "react", "rename"]
ACTIONS = st.builds(Action, st.sampled_from([0, 1]), st.sampled_from(KINDS), st.integers(0, 12))

numbers = count(1)


class RandomRoom:
    """A room with two clients that perform random actions."""

    def __init__(self, app: Flask, open_client: Callable[..., Client]) -> None:
        self.label = create_room(app, f"room-{next(numbers)}")
        self._open_client = open_client
        self.clients = [in_room(open_client(), self.label), in_room(open_client(), self.label)]
        self._posted: list[JSON] = []

    def perform(self, actions: list[Action]) -> None:
        """Perform actions. The server refuses those that are not allowed."""
        for action in actions:
            client = self.clients[action.client]
            if action.kind == "post" or not self._posted:
                self._post(client)
            else:
                target = self._posted[min(action.message, len(self._posted) - 1)]
                self._change(client, action, target)

    def fresh_snapshot(self) -> list[JSON]:
        """Return all messages as a client that enters now reads them."""
        newcomer = in_room(self._open_client(), self.label)
        rows: list[JSON] = newcomer.ask("history", {"limit": 200})["messages"]
        newcomer.close()
        return rows

    def _post(self, client: Client) -> None:
        sent = {"id": f"random-id-{next(numbers):016}", "message": f"number {next(numbers)}"}
        self._posted.append(sent | client.post(**sent))

    def _change(self, client: Client, action: Action, target: JSON) -> None:
        seq = target["seq"]
        if action.kind == "repeat":
            client.post(target["message"], id=target["id"])
        elif action.kind == "edit":
            client.ask("edit", {"seq": seq, "message": f"text {next(numbers)}"})
        elif action.kind == "edit the same":
            client.ask("edit", {"seq": seq, "message": "the same text"})
        elif action.kind == "delete":
            client.ask("delete", {"seq": seq})
        elif action.kind == "react":
            emoji = EMOJI[action.message % 2]
            client.ask("react", {"seq": seq, "emoji": emoji, "on": action.message % 3 > 0})
        else:
            client.ask("rename", {"handle": f"Ada {action.message % 3}"})


def apply_events(snapshot: JSON, events: list[JSON]) -> list[JSON]:
    """Return the messages of a snapshot after events, by the stream rule of docs/protocol.md.

    All events arrive over one connection, so each has to have the next number.
    """
    rows = {row["seq"]: row for row in snapshot["messages"]}
    applied = snapshot["upto"]
    for event in events:
        [row] = event["args"]
        is_new = row["seq"] not in rows
        assert row["rev"] == applied + 1, "an event is missing, repeated or out of order"
        assert event["name"] == ("chat" if is_new else "change")
        applied = row["rev"]
        rows[row["seq"]] = row
    return [rows[seq] for seq in sorted(rows)]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=st.lists(ACTIONS, max_size=12), after=st.lists(ACTIONS, max_size=25))
def test_a_snapshot_with_all_later_events_equals_a_fresh_snapshot(
    app: Flask, open_client: Callable[..., Client], before: list[Action], after: list[Action]
) -> None:
    room = RandomRoom(app, open_client)
    room.perform(before)
    ben = open_client()
    snapshot = ben.join(room.label)

    room.perform(after)

    events = [event for event in ben.received() if event["name"] in ("chat", "change")]
    assert apply_events(snapshot, events) == room.fresh_snapshot()


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=st.lists(ACTIONS, max_size=12), after=st.lists(ACTIONS, max_size=25))
def test_a_snapshot_with_the_answer_of_since_equals_a_fresh_snapshot(
    app: Flask, open_client: Callable[..., Client], before: list[Action], after: list[Action]
) -> None:
    room = RandomRoom(app, open_client)
    room.perform(before)
    snapshot = room.clients[0].ask("history", {"limit": 200})
    room.perform(after)

    missed = room.clients[0].ask("since", {"after": snapshot["head"]})

    rows = {row["seq"]: row for row in [*snapshot["messages"], *missed["messages"]]}
    assert missed["upto"] == missed["head"]
    assert [rows[seq] for seq in sorted(rows)] == room.fresh_snapshot()
