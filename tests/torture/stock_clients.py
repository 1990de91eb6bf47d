"""Stock Python clients for the fault scenarios: python-socketio, with default options but one.

They do what stock_clients.mjs does: join with the number up to which they are complete, repeat
`since` until they have everything, and from then on rely on live events alone. This process also
posts the probe, over a connection of its own.

python-socketio handles each packet in a thread of its own. So live events may be handled in
another order than that of their arrival, which the history states (`ordered`), and each client has
a lock.
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
from typing import Any, TypeAlias

import socketio
from socketio.exceptions import BadNamespaceError, SocketIOError
from socketio.exceptions import ConnectionError as NotConnected

START_SECONDS = 60.0  # while hundreds of other clients connect
CONNECT_SECONDS = 3.0  # until Socket.IO has connected; see PatientClient
PROBE_SECONDS = 4.0  # longer than the promise, so that a late probe is recorded as late
RETRY_MS = 1_000  # after a refusal that does not state how long to wait
POLL_SECONDS = 0.05
RECORDED_KEYS = ("seq", "rev", "id", "mark", "message", "deleted", "kind", "reactions", "details")

JSON: TypeAlias = dict[str, Any]


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition; return whether it became true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


class HistoryFile:
    """Records of clients, appended to a file that several processes write to, line by line."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def record(self, client: str, record_type: str, **fields: object) -> None:
        """Record something; the time is that of the machine's monotonic clock, as in history.py."""
        record = {"at": time.monotonic() * 1000, "client": client, "type": record_type, **fields}
        os.write(self._file, f"{json.dumps(record)}\n".encode())


def row_record(row: JSON) -> JSON:
    """Return what the history keeps of a message."""
    record = {key: row.get(key) for key in RECORDED_KEYS}
    record["changed_at"] = row.get("edited", row.get("timestamp"))
    return record


class PatientClient(socketio.Client):  # type: ignore[misc]  # the library ships no types
    """Waits CONNECT_SECONDS for Socket.IO instead of one second.

    When it reconnects, the library has no option for this. After its own second it closes the
    connection, which takes 25 s if it polls, and fires `connect` all the same if the answer
    arrives meanwhile.
    """

    def connect(
        self, *arguments: Any, wait_timeout: float = CONNECT_SECONDS, **options: Any
    ) -> None:
        """Connect, also when the library reconnects by itself."""
        super().connect(*arguments, wait_timeout=wait_timeout, **options)


class StockClient:
    """A client with the rows it shows; those with an odd number also post."""

    def __init__(self, plan: JSON, number: int, history: HistoryFile) -> None:
        self.name = f"{plan['label']} python {number}"
        self.rows: dict[int, JSON] = {}  # by seq
        self.applied = 0  # the change up to which this client is complete
        self.epoch = ""
        self.caught_up = False  # joined, and everything missed has been read
        self.pending: JSON | None = None  # the message that is not acknowledged yet
        self._plan = plan
        self._url = plan["urls"][number % len(plan["urls"])]
        self._transports = plan["transports"][number % len(plan["transports"])]
        self._random = random.Random(plan["seed"] * 1000 + 800 + number)
        self._history = history
        self._lock = threading.RLock()
        self._connection = 0  # counts connects and disconnects
        self._attempt = 0  # counts joins; answers to an earlier one are ignored
        self._latest = 0  # the highest rev among the live events since the last join
        self._socket = PatientClient()
        self._socket.on("connect", self._on_connect)
        self._socket.on("disconnect", self._on_disconnect)
        self._socket.on("chat", self._on_chat)
        self._socket.on("change", self._on_change)
        self._socket.on("head", self._on_head)

    def connect(self) -> None:
        """Connect for the first time; from then on, python-socketio reconnects by itself."""
        while True:
            with suppress(NotConnected):
                self._socket.connect(self._url, transports=self._transports)
                return
            time.sleep(POLL_SECONDS)

    def has(self, message_id: str) -> bool:
        """Return whether this client has a message."""
        with self._lock:
            return any(row.get("id") == message_id for row in self.rows.values())

    def record_final_rows(self) -> None:
        """Record what is shown at the end."""
        with self._lock:
            self._history.record(
                self.name,
                "final",
                label=self._plan["label"],
                applied=self.applied,
                epoch=self.epoch,
                rows=[row_record(row) for _, row in sorted(self.rows.items())],
                pending=[self.pending["id"]] if self.pending else [],
            )

    def post_messages(self, may_send: threading.Event) -> None:
        """Post one message after the other, while the event is set."""
        posted = 0
        while True:
            time.sleep(self._plan["post_seconds"] * (0.5 + self._random.random()))
            if may_send.is_set():
                posted += 1
                text = f"{self.name} posts {posted}."
                self._post({"handle": self.name, "message": text, "id": str(uuid.uuid4())})

    def _post(self, message: JSON) -> None:
        """Send a message, under the same id, until it is acknowledged."""
        self.pending = message
        message_id = message["id"]
        self._history.record(
            self.name, "invoke", action="chat", id=message_id, message=message["message"]
        )
        while True:
            wait_until(lambda: self.caught_up, float("inf"))
            answer = self._request("chat", message)
            if answer is None:
                continue
            if answer["ok"]:
                break
            if answer["code"] == "not_joined":
                self._join()
            else:
                time.sleep(answer.get("retry_after_ms", RETRY_MS) / 1000)
        seq = answer["seq"]
        self._history.record(self.name, "ok", id=message_id, seq=seq, rev=seq)
        self.pending = None

    def _on_connect(self) -> None:
        self._history.record(self.name, "connect")
        self._connection += 1
        self._join()

    def _on_disconnect(self, reason: str) -> None:
        self._history.record(self.name, "disconnect", reason=reason)
        self._connection += 1
        with self._lock:
            self.caught_up = False
            self._attempt += 1

    def _request(self, event: str, data: JSON) -> JSON | None:
        """Send an event; return the answer, or None when the connection was lost before it came."""
        answered = threading.Event()
        answers: list[JSON] = []

        def on_answer(answer: JSON) -> None:
            answers.append(answer)
            answered.set()

        connection = self._connection
        try:
            self._socket.emit(event, data, callback=on_answer)
        except BadNamespaceError:
            time.sleep(POLL_SECONDS)
            return None
        while not answered.wait(POLL_SECONDS):
            if connection != self._connection:
                return None
        if not answers[0]["ok"]:
            self._history.record(self.name, "refused", event=event, code=answers[0]["code"])
        return answers[0]

    def _join(self) -> None:
        """Join the room and catch up, until a later join or the end of the connection."""
        with self._lock:
            self._attempt += 1
            attempt = self._attempt
            self.caught_up = False
            self._latest = 0
        has_joined = False
        while True:
            answer = self._request_missed(has_joined)
            with self._lock:
                if answer is None or attempt != self._attempt:
                    return
                if answer["ok"]:
                    has_joined = True
                    if self._merge(answer):
                        self.applied = max(self.applied, self._latest)
                        self.caught_up = True
                        return
            if not answer["ok"]:
                if answer["code"] == "not_joined":
                    has_joined = False
                time.sleep(answer.get("retry_after_ms", RETRY_MS) / 1000)
                if attempt != self._attempt:
                    return

    def _request_missed(self, has_joined: bool) -> JSON | None:
        if has_joined:
            return self._request("since", {"after": self.applied})
        return self._request("join", {"label": self._plan["label"], "after": self.applied})

    def _merge(self, answer: JSON) -> bool:
        """Merge the rows of an answer; return whether the client has everything now."""
        if not self.epoch:
            self.epoch = answer["epoch"]  # live events may have arrived before the first answer
        if self.epoch != answer["epoch"] or answer["head"] < self.applied:
            self._start_over(answer["epoch"])
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
        self._history.record(self.name, "reset", epoch=epoch, rows=[])

    def _on_chat(self, row: JSON) -> None:
        self._receive("chat", row)

    def _on_change(self, row: JSON) -> None:
        self._receive("change", row)

    def _receive(self, event: str, row: JSON) -> None:
        """Handle a live event. The server sends them in the order of `rev`.

        So a client that has caught up is complete up to each event it receives.
        """
        with self._lock:
            self._history.record(
                self.name,
                "receive",
                event=event,
                label=row["label"],
                row=row_record(row),
                ordered=False,
            )
            self._put(row)
            self._latest = max(self._latest, row["rev"])
            if self.caught_up:
                self.applied = max(self.applied, row["rev"])

    def _put(self, row: JSON) -> None:
        known = self.rows.get(row["seq"])
        if known is None or known["rev"] < row["rev"]:
            self.rows[row["seq"]] = row
            self._history.record(self.name, "show", row=row_record(row))

    def _on_head(self, payload: JSON) -> None:
        self._history.record(
            self.name,
            "receive",
            event="head",
            label=payload["label"],
            head=payload["head"],
            row={},
        )
        with self._lock:
            if not self.epoch or payload["epoch"] == self.epoch:
                return
            self._start_over(payload["epoch"])
        self._join()


def reply(word: str) -> None:
    """Reply to the harness, which waits for it."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def post_probe(plan: JSON, label: str, message_id: str, history: HistoryFile) -> None:
    """Post a message to a room over a new connection; the checker reports if this fails."""
    name = f"{label} probe"
    text = "Does every client receive this?"
    history.record(name, "invoke", action="chat", id=message_id, message=text)
    socket = socketio.Client(reconnection=False)
    with suppress(SocketIOError):
        transports = plan["transports"][0]
        socket.connect(plan["urls"][0], transports=transports, wait_timeout=PROBE_SECONDS)
        socket.call("join", {"label": label}, timeout=PROBE_SECONDS)
        message = {"handle": name, "message": text, "id": message_id}
        answer = socket.call("chat", message, timeout=PROBE_SECONDS)
        if answer["ok"]:
            history.record(name, "ok", id=message_id, seq=answer["seq"], rev=answer["seq"])
    socket.disconnect()


def converge(plan: JSON, clients: list[StockClient]) -> None:
    """Wait until all clients have caught up and nothing is unacknowledged."""
    wait_until(
        lambda: all(client.caught_up and not client.pending for client in clients),
        plan["converge_seconds"],
    )


def probe(plan: JSON, message_id: str, clients: list[StockClient], history: HistoryFile) -> None:
    """Post the probe to both rooms, and wait until the clients have received it."""
    for label in (plan["label"], f"{plan['label']}-next-door"):
        post_probe(plan, label, f"{message_id}-{label}", history)
    expected = f"{message_id}-{plan['label']}"
    wait_until(lambda: all(client.has(expected) for client in clients), PROBE_SECONDS)


def start_clients(plan: JSON, history: HistoryFile, may_send: threading.Event) -> list[StockClient]:
    """Start all clients; those with an odd number post while the event is set."""
    clients = [StockClient(plan, number, history) for number in range(plan["clients"])]
    for client in clients:
        threading.Thread(target=client.connect, daemon=True).start()
    have_started = wait_until(lambda: all(client.caught_up for client in clients), START_SECONDS)
    assert have_started, "the clients could not join"
    for client in clients[1::2][: plan["senders"]]:
        threading.Thread(target=client.post_messages, args=[may_send], daemon=True).start()
    return clients


def main() -> None:
    """Obey the orders on stdin until the last one, which is "finish"."""
    plan = json.loads(sys.argv[1])
    history = HistoryFile(plan["history"])
    deadline = threading.Timer(plan["deadline_seconds"], os._exit, [1])
    deadline.daemon = True
    deadline.start()
    may_send = threading.Event()
    clients = start_clients(plan, history, may_send)
    reply("ready")
    for line in sys.stdin:
        order, _, message_id = line.strip().partition(" ")
        if order == "send":
            may_send.set()
            continue
        may_send.clear()
        if order == "finish":
            break
        if order == "converge":
            converge(plan, clients)
            reply("done")
        elif order == "report":
            for client in clients:
                client.record_final_rows()
            reply("done")
        elif order == "probe":
            probe(plan, message_id, clients, history)
            reply("done")
    os._exit(0)  # the threads of python-socketio would wait for the server


if __name__ == "__main__":
    main()
