"""Background loops: work that repeats for as long as the process runs."""

import logging
import random
import threading
from collections.abc import Callable

from chat.errors import Refusal
from chat.socket_server import SocketServer

STOP_SECONDS = 5.0
"""How long `stop` waits for the work that runs; a read of the database takes at most so long."""

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

    def stop(self) -> None:
        """End the loop; return when no work of it runs and none will, or after STOP_SECONDS.

        Must not be called by `work`: it would wait for itself.
        """
        self._running = False
        if self._at_work.acquire(timeout=STOP_SECONDS):
            self._at_work.release()

    def _run(self) -> None:
        while self._running:
            pause = self._random.uniform(*self._pause_seconds)
            self._socketio.sleep(pause)
            with self._at_work:
                if self._running:
                    run_logged(self._work, self._description)


def run_logged(work: Callable[[], None], description: str) -> None:
    """Call `work`; log its exception instead of raising it."""
    try:
        work()
    except Refusal as refusal:
        # The database has logged its outage. This work is repeated for as long as that lasts.
        log.debug("%s failed: %s", description, refusal)
    except Exception:
        log.exception("%s failed", description)
