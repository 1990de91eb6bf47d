"""Honest people who chat while a server is attacked, and how long their messages take.

They post at fixed times, whatever the server does (an open loop), so that a server that stalls is
measured with all messages that should have been sent meanwhile.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.request import Request, urlopen

from tests.clients import JSON, Closed, Stranger
from tests.servers import wait_until

ROOM = "kitchen"
ADDRESS = "203.0.113.7"
"""Where all of them connect from, according to the trusted proxy that the tests are."""

POST_SECONDS = 1.25
"""How often a person posts: at most 0.8 messages a second are below every limit."""

ARRIVAL_SECONDS = 20.0


class Neighbour(Stranger):
    """A client behind the address of the neighbours."""

    def __init__(self, url: str) -> None:
        super().__init__(url, X_Forwarded_For=ADDRESS)


class Poster(Neighbour):
    """A neighbour that posts and reads its answers; it ignores what others post."""

    keeps_events = False


class Sample:
    """A message that should be posted at a time, and when Ben received it."""

    def __init__(self, due: float) -> None:
        self.due = due
        self.received_at: float | None = None

    @property
    def latency_ms(self) -> float:
        """Return the time from when it should have been posted until Ben received it."""
        assert self.received_at is not None
        return 1000 * (self.received_at - self.due)


class Neighbours:
    """A number of people who post in a room, and Ben, who receives there.

    `failures` lists what went wrong for them: refused messages and lost connections.
    """

    def __init__(self, url: str, people: int) -> None:
        self.failures: list[str] = []
        self._samples: dict[str, Sample] = {}
        self._stopped = threading.Event()
        with urlopen(Request(f"{url}/{ROOM}/", headers={"X-Forwarded-For": ADDRESS})) as page:
            assert page.status == 200
        self._ben = Neighbour(url)
        self._people = [Poster(url) for _ in range(people)]
        for each in (self._ben, *self._people):
            assert each.ask("join", {"label": ROOM})["ok"]
        began = time.monotonic()
        self._threads = [threading.Thread(target=self._receive, daemon=True)]
        for number, person in enumerate(self._people):
            first = began + POST_SECONDS * number / people
            arguments = (person, number, first)
            self._threads.append(threading.Thread(target=self._post, args=arguments, daemon=True))
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads[1:]:
            thread.join()
        self._ben.disconnect()
        self._threads[0].join()
        for each in (self._ben, *self._people):
            each.close()

    @contextmanager
    def observed(self) -> Iterator[list[float]]:
        """Yield a list that is filled, in the end, with the latencies during this context in ms."""
        latencies: list[float] = []
        began = time.monotonic()
        yield latencies
        ended = time.monotonic()
        due = [each for each in list(self._samples.values()) if began <= each.due < ended]
        wait_until(
            lambda: self.failures or all(each.received_at is not None for each in due),
            ARRIVAL_SECONDS,
            "the messages of the neighbours arrive",
        )
        assert not self.failures, self.failures[:3]
        latencies += [each.latency_ms for each in due]

    def _post(self, person: Poster, number: int, due: float) -> None:
        while not self._stopped.wait(due - time.monotonic()):
            text = f"{number} {due}"
            self._samples[text] = Sample(due)
            try:
                answer = person.ask("chat", {"handle": f"Ada {number}", "message": text})
            except (Closed, OSError) as error:
                self.failures.append(f"a neighbour was disconnected: {error}")
                return
            self._check(answer)
            due += POST_SECONDS

    def _check(self, answer: JSON) -> None:
        if not answer["ok"]:
            self.failures.append(f"a neighbour was refused: {answer}")

    def _receive(self) -> None:
        while not self._stopped.is_set():
            try:
                event, message = self._ben.hear()
            except (Closed, OSError) as error:
                if not self._stopped.is_set():
                    self.failures.append(f"Ben was disconnected: {error}")
                return
            sample = self._samples.get(message.get("message", ""))
            if event == "chat" and sample is not None:
                sample.received_at = time.monotonic()


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
