"""The bus: carries events between workers. It is fast and lossy, and never the source of truth.

What the bus loses, the reconciler reads from the database. An event is published to the workers
that have somebody in its room, or to all workers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from math import inf
from typing import Any, TypeAlias

Payload: TypeAlias = dict[str, Any]
MessageHandler: TypeAlias = Callable[[str, Payload], None]
"""Called with an event and its payload.

Raises ValueError, KeyError or TypeError when the payload is malformed.
"""


class Bus(ABC):
    """Carries events between workers. `is_up`: whether events of other workers would arrive.

    `up_since` is the time of the monotonic clock at which that began the last time.
    """

    is_up = False
    up_since = inf

    @abstractmethod
    def subscribe(self, event: str, handler: MessageHandler) -> None:
        """Call `handler` for each such event from another worker. Only before the start."""

    @abstractmethod
    def on_connect(self, handler: Callable[[], None]) -> None:
        """Call `handler` after every (re)connection. Only before the start.

        The events of all rooms that are followed arrive from then on.
        """

    @abstractmethod
    def on_follow(self, handler: Callable[[set[str]], None]) -> None:
        """Call `handler` with rooms that were not followed before. Only before the start.

        Their events arrive from then on; those before must be found elsewhere.
        """

    @abstractmethod
    def start(self) -> None:
        """Start receiving and publishing; a second call does nothing."""

    @abstractmethod
    def stop(self) -> None:
        """Stop receiving and publishing, soon. What waits to be published is dropped."""

    @abstractmethod
    def publish_synchronously(self) -> None:
        """Let `publish` send each event before it returns, and receive nothing.

        For a process that ends soon, instead of the start.
        """

    @abstractmethod
    def follow(self, label: str) -> None:
        """Receive the events of a room, soon. Never blocks."""

    @abstractmethod
    def follow_only(self, labels: Collection[str]) -> None:
        """Receive the events of these rooms, and of no others. Never blocks."""

    @abstractmethod
    def publish(self, event: str, payload: Payload) -> None:
        """Queue an event for all other workers. Never raises, and never blocks."""

    @abstractmethod
    def publish_to_room(self, label: str, event: str, payload: Payload) -> None:
        """Queue an event for the other workers that follow a room. Likewise."""


class LocalBus(Bus):
    """The bus of a single worker, or of several that find each other's changes in the database."""

    def subscribe(self, event: str, handler: MessageHandler) -> None:
        """Do nothing: no event ever arrives."""

    def on_connect(self, handler: Callable[[], None]) -> None:
        """Do nothing: there is no connection."""

    def on_follow(self, handler: Callable[[set[str]], None]) -> None:
        """Do nothing: no event ever arrives."""

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def publish_synchronously(self) -> None:
        """Do nothing."""

    def follow(self, label: str) -> None:
        """Do nothing: no event ever arrives."""

    def follow_only(self, labels: Collection[str]) -> None:
        """Do nothing: no event ever arrives."""

    def publish(self, event: str, payload: Payload) -> None:
        """Do nothing: there is no other worker, or it reads the change from the database."""

    def publish_to_room(self, label: str, event: str, payload: Payload) -> None:
        """Do nothing, for the same reason."""
