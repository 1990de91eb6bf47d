"""Work that is cheaper done together: whoever comes first does it for everyone who waits."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from chat.errors import Busy

WAITING_AT_MOST = 5_000
BATCH_AT_MOST = 500

log = logging.getLogger(__name__)


class Item(Protocol):
    """Something to be done, and the exception that came of it, if one did."""

    done: bool
    failure: Exception | None


T = TypeVar("T", bound=Item)


class Together(Generic[T]):
    """A queue of items that `work` does many at a time, in the order they came, one batch after the other.

    `work` does all of a batch and marks each item done, or raises and has done nothing. `gather` lets in who is ready.
    """

    def __init__(self, work: Callable[[list[T]], None], gather: Callable[[], None] = lambda: None) -> None:
        self._work, self._gather = work, gather
        self._waiting: deque[T] = deque()
        self._turn = threading.Condition(threading.Lock())  # all who wait for a batch go on at once
        self._is_led = False

    def do(self, item: T) -> None:
        """Return when the item is done. Raises what came of it: Busy when too many wait, or the database is away."""
        if len(self._waiting) >= WAITING_AT_MOST:
            raise Busy
        self._waiting.append(item)
        with self._turn:
            self._turn.wait_for(lambda: item.done or not self._is_led)
            self._is_led = self._is_led or not item.done
        if not item.done:
            self._lead(item)
        if item.failure is not None:
            raise item.failure

    def _lead(self, item: T) -> None:
        try:
            self._gather()
            while not item.done:
                self._do_batch([self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_AT_MOST))])
        finally:
            with self._turn:
                self._is_led = False
                self._turn.notify_all()

    def _do_batch(self, batch: list[T]) -> None:
        try:
            self._work(batch)
        except Busy as busy:
            # Who waits behind this batch has waited as long: nobody waits for the same lock twice.
            for item in (*batch, *self._waiting):
                item.done, item.failure = True, Busy(str(busy))
            self._waiting.clear()
        except Exception as error:
            left = [item for item in batch if not item.done]
            if len(left) == 1:
                left[0].done, left[0].failure = True, error
                return
            log.exception("%d items could not be done together; each is now done alone", len(left))
            for item in left:
                self._do_batch([item])
        except BaseException:
            # Whoever works here is being stopped; the others must not wait for what nobody does any more.
            for item in batch:
                item.done, item.failure = True, item.failure or Busy()
            raise
