"""Group commit: changes that arrive at about the same time are stored in one transaction.

The first thread (or greenlet) to arrive becomes the leader. It works on everything that is queued,
in batches, until its own item is done. The other threads are followers: each waits until its item
is done, or until it can lead.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from chat.errors import Busy

MAX_PENDING_ITEMS = 5_000
"""Changes that wait to be stored; more are refused as busy."""

MAX_BATCH_ITEMS = 500
"""Changes (posts, edits, reactions and so on) stored in one transaction."""

log = logging.getLogger(__name__)


class Item(Protocol):
    """One change. `submit` raises its `failure`, if there is one."""

    done: bool
    failure: Exception | None


T = TypeVar("T", bound=Item)


def _do_nothing() -> None:
    pass


class GroupCommit(Generic[T]):
    """Works on the items of many threads in batches, one after the other, in order of arrival.

    `work` gets a batch. It completes all of it, or raises and has done nothing. It may mark items
    as done before it returns: a marked item stays done, whatever fails afterwards. `yield_now` is
    called by each new leader before it takes its first batch: under eventlet it lets the greenlets
    run that are ready, so that their items join the batch.

    `_condition` guards `_pending` and `_has_leader`; `work` and `yield_now` run without it. An item
    is in the queue until a leader takes it, either as part of a batch or to refuse it. That leader
    marks it as done, also when the leader itself is stopped.
    """

    def __init__(
        self, work: Callable[[list[T]], None], yield_now: Callable[[], None] = _do_nothing
    ) -> None:
        self._work = work
        self._yield_now = yield_now
        self._pending: deque[T] = deque()
        self._has_leader = False
        self._condition = threading.Condition(threading.Lock())

    def submit(self, item: T) -> None:
        """Return when the item is done.

        Raises the failure of the item. Raises Busy when too many items are pending.
        """
        if self._queue_until_leader(item):
            self._lead(item)
        if item.failure is not None:
            raise item.failure

    def submit_many(self, items: Sequence[T]) -> None:
        """Return when all items are done; each has its own failure then.

        Raises Busy, and does nothing, when too many items are pending.
        """
        if items and self._queue_until_leader(*items):
            self._lead(items[-1])

    def _queue_until_leader(self, *items: T) -> bool:
        """Queue items; wait until they are done or this thread leads. Return whether it leads.

        Batches are completed in order of arrival, so all items are done when the last one is.
        """
        item = items[-1]
        with self._condition:
            if len(self._pending) + len(items) > MAX_PENDING_ITEMS:
                raise Busy
            self._pending.extend(items)
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
                # The threads of a finished batch continue, and one of the others leads.
                self._condition.notify_all()

    def _take_batch(self) -> list[T]:
        """Take the oldest items from the queue: at least one, since the leader's own is in it."""
        with self._condition:
            batch_size = min(len(self._pending), MAX_BATCH_ITEMS)
            if batch_size == 0:
                raise RuntimeError("the leader's item is neither pending nor done")
            return [self._pending.popleft() for _ in range(batch_size)]

    def _take_all(self) -> list[T]:
        """Take every item from the queue."""
        with self._condition:
            items = list(self._pending)
            self._pending.clear()
            return items

    def _complete(self, batch: list[T]) -> None:
        """Work on a batch. All its items are done when this returns, and also when it raises."""
        try:
            self._attempt(batch)
        except Busy as busy:
            # The pending items have waited for the same lock. They would wait for it once more.
            _refuse([*batch, *self._take_all()], str(busy))
        except BaseException:  # this thread or greenlet is being stopped
            _refuse(batch)
            raise

    def _attempt(self, batch: list[T]) -> None:
        """Work on a batch; when that fails, work on each of its items alone.

        Raises Busy when the database is not available. After that, or if this thread is stopped,
        some items may not be done.
        """
        try:
            self._work(batch)
        except Busy:
            raise
        except Exception as error:  # noqa: BLE001  # each item is tried again, or fails with it
            self._attempt_each(batch, error)
        else:
            for item in batch:
                item.done = True

    def _attempt_each(self, batch: list[T], error: Exception) -> None:
        """Work on each item that is not done of a batch that raised `error`.

        A single item fails with that error.
        """
        failed = [item for item in batch if not item.done]
        if not failed:
            log.error("Changes were stored, but then an error occurred", exc_info=error)
            return
        if len(failed) == 1:
            failed[0].failure = error
            failed[0].done = True
            return
        log.error(
            "%d of %d changes could not be stored together",
            len(failed),
            len(batch),
            exc_info=error,
        )
        for item in failed:
            self._attempt([item])


def _refuse(items: list[T], message: str | None = None) -> None:
    """Mark the items that are not done yet as failed with Busy."""
    for item in items:
        if not item.done:
            # An exception for each: several threads that raise the same one mix up its traceback.
            item.failure = Busy(message)
            item.done = True  # last: from now on the thread of the item may read the failure
