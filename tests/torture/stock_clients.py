"""Stock Python clients for the fault scenarios: unmodified python-socketio[client] with its default options.

They do what stock_clients.mjs does: join with what they have, ask `since` until they have everything, and from then on
rely on live events alone. This process also posts the probe, over a connection of its own.

python-socketio handles each packet in a thread of its own. So live events may be handled in another order than they
arrived in; the history says so (`ordered`), and everything here is under one lock per client.
"""

import json
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import socketio
from socketio.exceptions import BadNamespaceError, SocketIOError
from socketio.exceptions import ConnectionError as NotConnected

START_SECONDS = 20.0
SETTLE_SECONDS = 10.0  # more than the longest pause between two attempts to reconnect
PROBE_SECONDS = 4.0  # longer than the promise, so that a late probe is noted as late
RETRY_MS = 1_000  # after a refusal that does not say how long to wait
POLL_SECONDS = 0.05

JSON = dict[str, Any]


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition; whether it came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


class HistoryFile:
    """Lines about clients, appended to a file that several processes write: each line in one piece."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, who: str, what: str, **more: object) -> None:
        """Write a line with the time of the machine's monotonic clock, which Node reads too."""
        line = {"at": time.monotonic() * 1000, "who": who, "what": what, **more}
        os.write(self._file, f"{json.dumps(line)}\n".encode())


def brief(row: JSON) -> JSON:
    """What the history keeps of a message."""
    kept = {
        key: row.get(key) for key in ("seq", "rev", "id", "message", "deleted", "kind", "reactions")
    }
    return {**kept, "since": row.get("edited", row.get("timestamp"))}


class StockClient:
    """One client, its rows, and what it posts."""

    def __init__(self, plan: JSON, number: int, history: HistoryFile) -> None:
        self.who = f"{plan['label']} python {number}"
        self.rows: dict[int, JSON] = {}  # by seq
        self.applied = 0  # the change up to which this client is complete
        self.epoch = ""
        self.joined = False  # and everything missed has been read
        self.pending: JSON | None = None  # the message that is not acknowledged yet
        self._plan = plan
        self._url = plan["urls"][number % len(plan["urls"])]
        self._random = random.Random(plan["seed"] * 1000 + 800 + number)
        self._history = history
        self._lock = threading.RLock()
        self._connection = 0  # counts connects and disconnects
        self._attempt = 0  # counts joins; the answers to an earlier one are ignored
        self._latest = 0  # the highest rev among the live events since the last join
        self._socket = socketio.Client()
        self._socket.on("connect", self._connected)
        self._socket.on("disconnect", self._disconnected)
        self._socket.on("chat", lambda row: self._receive("chat", row))
        self._socket.on("change", lambda row: self._receive("change", row))
        self._socket.on("head", self._head)

    def connect(self) -> None:
        """Connect for the first time; from then on, python-socketio reconnects by itself."""
        while True:
            with suppress(NotConnected):
                self._socket.connect(self._url, transports=self._plan["transports"])
                return
            time.sleep(POLL_SECONDS)

    def has(self, message_id: str) -> bool:
        """Whether this client has a message."""
        with self._lock:
            return any(row.get("id") == message_id for row in self.rows.values())

    def leave(self) -> None:
        """Write down what is on the screen."""
        with self._lock:
            rows = [brief(row) for _, row in sorted(self.rows.items())]
            pale = [self.pending["id"]] if self.pending else []
            more = {"label": self._plan["label"], "applied": self.applied, "epoch": self.epoch}
            self._history.note(self.who, "screen", rows=rows, pale=pale, **more)

    def post(self, may_post: threading.Event) -> None:
        """Post one message after the other, as long as the event is set."""
        posted = 0
        while True:
            time.sleep(self._plan["post_seconds"] * (0.5 + self._random.random()))
            if may_post.is_set():
                posted += 1
                text = f"{self.who} says {posted}."
                self._deliver({"handle": self.who, "message": text, "id": str(uuid.uuid4())})

    def _deliver(self, message: JSON) -> None:
        """Send a message under the same id until it is acknowledged."""
        self.pending = message
        self._history.note(
            self.who, "invoke", do="chat", id=message["id"], message=message["message"]
        )
        while True:
            wait_until(lambda: self.joined, float("inf"))
            answer = self._ask("chat", message)
            if answer is None:
                continue
            if answer["ok"]:
                break
            if answer["code"] == "not_joined":
                self._join()
            else:
                time.sleep(answer.get("retry_after_ms", RETRY_MS) / 1000)
        self._history.note(self.who, "ok", id=message["id"], seq=answer["seq"], rev=answer["seq"])
        self.pending = None

    def _connected(self) -> None:
        self._history.note(self.who, "up")
        self._connection += 1
        self._join()

    def _disconnected(self, reason: str) -> None:
        self._history.note(self.who, "down", reason=reason)
        self._connection += 1
        with self._lock:
            self.joined = False
            self._attempt += 1

    def _ask(self, event: str, data: JSON) -> JSON | None:
        """Send an event; the answer, or None when the connection was lost before it came."""
        answered = threading.Event()
        answers: list[JSON] = []

        def answer(payload: JSON) -> None:
            answers.append(payload)
            answered.set()

        connection = self._connection
        try:
            self._socket.emit(event, data, callback=answer)
        except BadNamespaceError:
            time.sleep(POLL_SECONDS)
            return None
        while not answered.wait(POLL_SECONDS):
            if connection != self._connection:
                return None
        return answers[0]

    def _join(self) -> None:
        with self._lock:
            self._attempt += 1
            attempt = self._attempt
            self.joined = False
            self._latest = 0
        entered = False
        while True:
            join = {"label": self._plan["label"], "after": self.applied}
            answer = (
                self._ask("since", {"after": self.applied}) if entered else self._ask("join", join)
            )
            with self._lock:
                if answer is None or attempt != self._attempt:
                    return
                if answer["ok"]:
                    entered = True
                    if self._merge(answer):
                        self.applied = max(self.applied, self._latest)
                        self.joined = True
                        return
            if not answer["ok"]:
                entered = entered and answer["code"] != "not_joined"
                time.sleep(answer.get("retry_after_ms", RETRY_MS) / 1000)
                if attempt != self._attempt:
                    return

    def _merge(self, answer: JSON) -> bool:
        """Take in the rows of an answer; whether nothing is missing any more."""
        if self.epoch != answer["epoch"] or answer["head"] < self.applied:
            is_first = not self.epoch
            self._start_over(answer["epoch"])
            if not is_first:
                return False
        for row in answer["messages"]:
            self._put(row)
        self.applied = answer["upto"]
        return bool(answer["upto"] == answer["head"])

    def _start_over(self, epoch: str) -> None:
        self.rows.clear()
        self.applied = 0
        self._latest = 0
        self.epoch = epoch
        self._history.note(self.who, "load", epoch=epoch, rows=[])

    def _receive(self, event: str, row: JSON) -> None:
        """A live event. The server sends them in the order of `rev`, so a client is complete up to each it received."""
        more = {"event": event, "label": row["label"], "in": self._plan["label"], "row": brief(row)}
        with self._lock:
            self._history.note(self.who, "told", ordered=False, **more)
            self._put(row)
            self._latest = max(self._latest, row["rev"])
            if self.joined:
                self.applied = max(self.applied, row["rev"])

    def _put(self, row: JSON) -> None:
        known = self.rows.get(row["seq"])
        if known is None or known["rev"] < row["rev"]:
            self.rows[row["seq"]] = row
            self._history.note(self.who, "seen", row=brief(row))

    def _head(self, payload: JSON) -> None:
        more = {
            "event": "head",
            "label": payload["label"],
            "in": self._plan["label"],
            "head": payload["head"],
        }
        self._history.note(self.who, "told", row={}, **more)
        with self._lock:
            if not self.epoch or payload["epoch"] == self.epoch:
                return
            self._start_over(payload["epoch"])
        self._join()


def reply(word: str) -> None:
    """Tell the harness, which waits for it."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def post_probe(plan: JSON, label: str, message_id: str, history: HistoryFile) -> None:
    """Post a message to a room over a new connection. The checker finds out when it is not acknowledged."""
    who = f"{label} probe"
    message = {
        "handle": who,
        "message": f"{who} asks whether everybody receives this.",
        "id": message_id,
    }
    history.note(who, "invoke", do="chat", id=message_id, message=message["message"])
    socket = socketio.Client(reconnection=False)
    with suppress(SocketIOError):
        socket.connect(plan["urls"][0], transports=plan["transports"], wait_timeout=PROBE_SECONDS)
        socket.call("join", {"label": label}, timeout=PROBE_SECONDS)
        answer = socket.call("chat", message, timeout=PROBE_SECONDS)
        if answer["ok"]:
            history.note(who, "ok", id=message_id, seq=answer["seq"], rev=answer["seq"])
    socket.disconnect()


def obey(
    order: str, message_id: str, plan: JSON, clients: list[StockClient], history: HistoryFile
) -> None:
    """Do what an order says that has to be answered."""
    if order == "settle":
        wait_until(
            lambda: all(client.joined and not client.pending for client in clients), SETTLE_SECONDS
        )
        reply("done")
    elif order == "probe":
        for label in (plan["label"], f"{plan['label']}-next-door"):
            post_probe(plan, label, f"{message_id}-{label}", history)
        wait_until(
            lambda: all(client.has(f"{message_id}-{plan['label']}") for client in clients),
            PROBE_SECONDS,
        )
        reply("done")


def main() -> None:
    """Take part until the order to go home."""
    plan = json.loads(sys.argv[1])
    history = HistoryFile(plan["history"])
    timer = threading.Timer(plan["deadline_seconds"], os._exit, [1])
    timer.daemon = True
    timer.start()
    clients = [StockClient(plan, number, history) for number in range(plan["clients"])]
    for client in clients:
        threading.Thread(target=client.connect, daemon=True).start()
    assert wait_until(lambda: all(client.joined for client in clients), START_SECONDS), (
        "the clients could not join"
    )
    may_post = threading.Event()
    for client in clients[1::2]:
        threading.Thread(target=client.post, args=[may_post], daemon=True).start()
    reply("ready")
    for command in sys.stdin:
        order, _, message_id = command.strip().partition(" ")
        if order == "talk":
            may_post.set()
        else:
            may_post.clear()
        if order == "home":
            break
        obey(order, message_id, plan, clients, history)
    for client in clients:
        client.leave()
    os._exit(0)  # the threads of python-socketio would wait for the server


if __name__ == "__main__":
    main()
