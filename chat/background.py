"""Background work: loops that repeat it, and what a process waits for before it ends."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chat.errors import Refusal
from chat.socket_server import SocketServer

log = logging.getLogger(__name__)


class BackgroundLoop:
    """Calls `work` again and again, each time after a random pause.

    `pause_seconds` holds the shortest and the longest pause. The loop runs in a task of Socket.IO's
    async mode: a greenlet or a thread. An exception is logged and does not end the loop.
    `description` names the work in the log.
    """

    def __init__(
        self,
        socketio: SocketServer,
        pause_seconds: tuple[float, float],
        work: Callable[[], None],
        description: str,
    ) -> None:
        self._socketio = socketio
        self._pause_seconds = pause_seconds
        self._work = work
        self._description = description
        self._random = random.Random()  # noqa: S311  # not a secret
        self._running = False
        self._at_work = threading.Lock()  # held while `work` runs

    def start(self) -> bool:
        """Start the loop, unless it runs already; return whether this call started it."""
        if self._running:
            return False
        self._running = True
        self._socketio.start_background_task(self._run)
        return True

    def stop(self, deadline: float) -> None:
        """End the loop; return when no work of it runs and none will, or at the deadline.

        Must not be called by `work`: it would wait for itself.
        """
        self._running = False
        if self._at_work.acquire(timeout=seconds_until(deadline)):
            self._at_work.release()

    def _run(self) -> None:
        while self._running:
            pause = self._random.uniform(*self._pause_seconds)
            self._socketio.sleep(pause)
            with self._at_work:
                if self._running:
                    run_logged(self._work, self._description)


class WorkInProgress:
    """Counts the background tasks that are using the database.

    A process that ends waits for them before it closes the database.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running_tasks = 0
        self._is_stopped = False

    @contextmanager
    def task(self) -> Iterator[bool]:
        """Count a task for as long as the context lasts; yield whether it may run."""
        with self._changed:
            may_run = not self._is_stopped
            if may_run:
                self._running_tasks += 1
        try:
            yield may_run
        finally:
            if may_run:
                with self._changed:
                    self._running_tasks -= 1
                    self._changed.notify_all()

    def stop(self, deadline: float) -> None:
        """Allow no further task; return when none runs any more, or at the deadline."""
        with self._changed:
            self._is_stopped = True
            self._changed.wait_for(self._is_idle, seconds_until(deadline))

    def _is_idle(self) -> bool:
        return self._running_tasks == 0


def seconds_until(deadline: float) -> float:
    """Return how long it is until a time of the monotonic clock; 0 if it is over."""
    return max(0.0, deadline - time.monotonic())


def run_logged(work: Callable[[], None], description: str) -> None:
    """Call `work`; log its exception instead of raising it."""
    try:
        work()
    except Refusal as refusal:
        # The database has logged its outage. This work is repeated for as long as that lasts.
        log.debug("%s failed: %s", description, refusal)
    except Exception:
        log.exception("%s failed", description)
