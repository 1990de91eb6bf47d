"""Publishes stored messages.

The sequencer broadcasts them on this worker, the bus carries them to the others.
"""

import logging

from chat import wire
from chat.delivery.bus import Bus
from chat.delivery.sequencer import Sequencer
from chat.models import MessageRow, RoomRow

log = logging.getLogger(__name__)


class Publisher:
    """Hands each stored change to the sequencer of this worker and to the bus."""

    def __init__(self, sequencer: Sequencer, bus: Bus) -> None:
        self._sequencer = sequencer
        self._bus = bus

    def publish(self, room: RoomRow, message: MessageRow) -> None:
        """Publish one stored change. Never raises: what is stored is acknowledged in any case.

        Receivers that miss the change here get it from the reconciler.
        """
        event = "chat" if message.is_new else "change"
        try:
            payload = wire.message(room, message)
            self._sequencer.push(room.label, event, payload)
            self._bus.publish_to_room(room.label, event, payload)
        except Exception:
            log.exception("the event %s could not be broadcast", event)
