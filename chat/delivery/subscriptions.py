"""The channels to which one connection to Redis is subscribed.

Rooms have sharded channels (SSUBSCRIBE) where the server has these:
https://redis.io/docs/latest/develop/pubsub/#sharded-pubsub
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from chat.delivery.redis_names import RedisNames
from chat.delivery.redis_server import ChannelSubscriber

MAX_CHANNELS_PER_COMMAND = 500


class Subscriptions:
    """The subscriptions of one connection, of which each has to be confirmed by the server.

    Used by the task that receives from the connection only: a connection with TLS must not be
    written by one thread while another one reads.
    """

    def __init__(
        self,
        pubsub: ChannelSubscriber,
        names: RedisNames,
        own_channels: Collection[bytes],
        *,
        is_sharded: bool,
    ) -> None:
        """Subscribe to channels that do not belong to a room."""
        self.version = -1  # of the rooms that `update` was given last
        self._pubsub = pubsub
        self._names = names
        self._is_sharded = is_sharded
        self._rooms: dict[str, bytes] = {}  # the channels of the rooms that are followed
        self._label_by_channel: dict[bytes, str] = {}
        self._pending: set[bytes] = set(own_channels)
        self._confirmed_labels: set[str] = set()
        pubsub.subscribe(*own_channels)

    @property
    def is_pending(self) -> bool:
        """Whether the server has not confirmed all subscriptions yet."""
        return bool(self._pending)

    def update(self, wanted: set[str], version: int) -> None:
        """Subscribe to the channels of these rooms, and of no others.

        `version` is that of `wanted`; RedisBus compares it to skip an update.
        """
        self.version = version
        added = wanted - self._rooms.keys()
        for labels in _batches(added):
            channels = {label: self._names.room_channel(label) for label in labels}
            if self._is_sharded:
                self._pubsub.ssubscribe(*channels.values())
            else:
                self._pubsub.subscribe(*channels.values())
            self._rooms |= channels
            self._pending.update(channels.values())
            self._label_by_channel |= {channel: label for label, channel in channels.items()}
        for labels in _batches(self._rooms.keys() - wanted):
            unsubscribed = [self._rooms.pop(label) for label in labels]
            if self._is_sharded:
                self._pubsub.sunsubscribe(*unsubscribed)
            else:
                self._pubsub.unsubscribe(*unsubscribed)
            for channel in unsubscribed:
                del self._label_by_channel[channel]

    def confirm(self, channel: bytes) -> None:
        """Note that the server has confirmed a subscription."""
        self._pending.discard(channel)
        label = self._label_by_channel.get(channel)
        if label is not None:
            self._confirmed_labels.add(label)

    def take_confirmed(self) -> set[str]:
        """Return the rooms whose subscriptions were confirmed since the last call."""
        labels = self._confirmed_labels
        self._confirmed_labels = set()
        return labels


def _batches(labels: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(labels)
    while batch := list(islice(remaining, MAX_CHANNELS_PER_COMMAND)):
        yield batch
