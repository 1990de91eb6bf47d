"""Group commit: changes that arrive at about the same time are stored in one transaction.

The first thread (or greenlet) to arrive becomes the leader. It works on everything that is queued, in batches, until
its own item is done. The other threads are followers: each waits until its item is done, or until it can lead.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from chat.errors import Busy

MAX_PENDING_ITEMS = 5_000
MAX_BATCH_ITEMS = 500

log = logging.getLogger(__name__)


class Item(Protocol):
    """A unit of work, used for one call of `do`. `failure` is what that call raises, once the item is done."""

    done: bool
    failure: Exception | None


T = TypeVar("T", bound=Item)


class GroupCommit(Generic[T]):
    """Works on the items of many threads in batches, one batch after the other, in the order they arrived.

    `work` gets a batch. It completes all of it, or raises and has done nothing. It may mark items as done before it
    returns: what is marked stays done, whatever fails afterwards. `gather` is called by each new leader before it
    takes its first batch; under eventlet it lets the greenlets run that are ready, so that their items join the batch.

    `_condition` guards `_waiting` and `_has_leader`; `work` and `gather` run without it. An item is in the queue until
    a leader takes it, with a batch or to refuse it. That leader marks it as done, also when it is stopped itself.
    """

    def __init__(
        self, work: Callable[[list[T]], None], yield_now: Callable[[], None] = lambda: None
    ) -> None:
        self._work = work
        self._yield_now = yield_now
        self._pending: deque[T] = deque()
        self._has_leader = False
        self._condition = threading.Condition(threading.Lock())

    def submit(self, item: T) -> None:
        """Return when the item is done.

        Raises the item's failure: Busy when too many items wait or the database is not available.
        """
        if self._queue_until_leader(item):
            self._lead(item)
        if item.failure is not None:
            raise item.failure

    def _queue_until_leader(self, item: T) -> bool:
        """Queue an item and wait until it is done, or until this thread is the leader. Returns whether it is."""
        with self._condition:
            if len(self._pending) >= MAX_PENDING_ITEMS:
                raise Busy
            self._pending.append(item)
            while self._has_leader and not item.done:
                self._condition.wait()
            if item.done:
                return False
            self._has_leader = True
            return True

    def _lead(self, item: T) -> None:
        """Work on batches until the leader's own item is done, then let a follower lead."""
        try:
            self._yield_now()
            while not item.done:
                self._complete(self._take_batch())
        finally:
            with self._condition:
                self._has_leader = False
                self._condition.notify_all()  # all of a batch go on at once, and one of the others leads

    def _take_batch(self) -> list[T]:
        """Take the items that have waited longest. The leader's own item is in the queue, so there is at least one."""
        with self._condition:
            size = max(
                1, min(len(self._pending), MAX_BATCH_ITEMS)
            )  # an empty queue is a bug: raise, never loop on it
            return [self._pending.popleft() for _ in range(size)]

    def _take_all(self) -> list[T]:
        with self._condition:
            items = list(self._pending)
            self._pending.clear()
            return items

    def _complete(self, batch: list[T]) -> None:
        """Work on a batch. All its items are done when this returns, and also when it raises."""
        try:
            self._attempt(batch)
        except Busy as busy:
            # The items that are queued by now have waited for the same lock. Refuse them too, or they wait again.
            _refuse([*batch, *self._take_all()], str(busy))
        except BaseException:  # this thread or greenlet is being stopped
            _refuse(batch)
            raise

    def _attempt(self, batch: list[T]) -> None:
        """Work on a batch; when that fails, on each of its items alone. Raises Busy when the database is not available.

        Then, and when this thread is stopped, items may be left that are not done.
        """
        try:
            self._work(batch)
        except Busy:
            raise
        except Exception as error:
            failed = [item for item in batch if not item.done]
            if len(failed) == 1:
                failed[0].failure = error
                failed[0].done = True
                return
            log.exception("%d of %d changes could not be stored together", len(failed), len(batch))
            for item in failed:
                self._attempt([item])
        else:
            for item in batch:
                item.done = True


def _refuse(items: list[T], sentence: str | None = None) -> None:
    """Answer the items that are not done yet with Busy."""
    for item in items:
        if not item.done:
            item.failure = Busy(
                sentence
            )  # one each: an exception that several threads raise mixes up their tracebacks
            item.done = True  # last: from now on its thread may read the failure
