"""The host of the room of a scenario, who acts over a new connection each time."""

import time
from secrets import token_hex
from typing import Any

from tests.clients import JSON, Closed, Stranger
from tests.torture.history import History

ACT_SECONDS = 15.0
"""How long an action may take while workers are killed."""

RETRY_SECONDS = 0.2


class Host:
    """A client that becomes the host of a room, and then acts on the others in it.

    `mark_of` of the run names people. The history contains each action with its first answer.
    """

    def __init__(self, url: str, label: str, history: History) -> None:
        self.name = f"{label} host"
        self._url = url
        self._label = label
        self._history = history
        self._token: str | None = None

    def become_host(self) -> None:
        """Become the host, alone in the room, and post once so that people know the name."""
        client = self._connect()
        try:
            answer = client.ask("moderate", {"action": "become_host"})
            assert answer["ok"], answer
            text = f"{self.name} posts 1."
            message_id = token_hex(8)
            self._record("invoke", action="chat", id=message_id, message=text)
            message = {"handle": self.name, "message": text, "id": message_id}
            posted = client.ask("chat", message)
            self._record("ok", id=message_id, seq=posted["seq"], rev=posted["seq"])
        finally:
            client.close()

    def act(self, action: str, **arguments: Any) -> JSON:
        """Perform an action; return its answer."""
        return self._request("moderate", {"action": action, **arguments}, action=action)

    def delete(self, seq: int) -> JSON:
        """Delete a message of somebody else."""
        return self._request("delete", {"seq": seq}, action="delete", seq=seq)

    def _request(self, event: str, data: JSON, **recorded: Any) -> JSON:
        """Send a request until it is answered. A repetition may change nothing: see `ok`."""
        request_id = token_hex(8)
        is_action = event == "moderate"
        recorded["action"] = "moderate" if is_action else event
        message = data["action"] if is_action else ""
        target = data.get("target", "")
        self._record("invoke", id=request_id, message=message, target=target, **recorded)
        answer, attempts = self._ask_until_answered(event, data)
        assert answer["ok"], (data, answer)
        if attempts == 1:
            seq = data.get("seq", answer["rev"])
            self._record("ok", id=request_id, seq=seq, rev=answer["rev"])
        return answer

    def _ask_until_answered(self, event: str, data: JSON) -> tuple[JSON, int]:
        """Return the answer, and after how many attempts it came."""
        deadline = time.monotonic() + ACT_SECONDS
        attempts = 0
        while True:
            try:
                client = self._connect()
            except (Closed, OSError):  # a worker was killed
                assert time.monotonic() < deadline, "the host could not connect"
                time.sleep(RETRY_SECONDS)
                continue
            attempts += 1
            try:
                answer = client.ask(event, data)
                if answer["ok"] or not answer["retry"]:
                    return answer, attempts
                time.sleep(answer.get("retry_after_ms", 0) / 1000)
            except (Closed, OSError):
                pass
            finally:
                client.close()
            assert time.monotonic() < deadline, "no answer to an action of the host"
            time.sleep(RETRY_SECONDS)

    def _connect(self) -> Stranger:
        """Connect and join, as the same person each time. Raises Closed, OSError."""
        client = Stranger(self._url, self._token)
        try:
            answer = client.ask("join", {"label": self._label, "after": 0})
            assert answer["ok"], answer
        except BaseException:
            client.close()
            raise
        self._token = answer["you"]["token"]
        return client

    def _record(self, record_type: str, **fields: Any) -> None:
        self._history.record(record_type, client=self.name, **fields)
