"""The connection of a WebSocket handshake that another worker of this host has handed over."""

from chat.engine.environ import OWN_PREFIX, Environ
from chat.engine.worker_channel import WorkerChannel, incoming_channels

HANDOVER_KEY = f"{OWN_PREFIX}handover"
"""In an environ: the Handover of a request that another worker has accepted."""


class HandoverFailed(Exception):
    """The other worker has ended, and with it the connection of the client."""


class Handover:
    """A connection that belongs to this worker as soon as the handover is complete.

    `early_bytes` are what the other worker has read behind the handshake.
    """

    def __init__(self, channel: WorkerChannel, early_bytes: bytes) -> None:
        self._channel = channel
        self.early_bytes = early_bytes
        self.is_complete = False

    def complete(self) -> None:
        """Let the other worker forget the connection, and close the channel to it.

        Raises HandoverFailed.
        """
        try:
            self._channel.send({}, b"")
        except OSError as error:
            raise HandoverFailed from error
        self.is_complete = True
        # Without our own WebSocket, the request goes on for as long as the connection lasts.
        incoming_channels.discard(self._channel)
        self._channel.close()


received_handovers: set[Handover] = set()
"""Those that are being handled; the acceptor counts them.

Without our own WebSocket, that is as long as the connection lasts.
"""


def handover_of(environ: Environ) -> Handover | None:
    """Return the handover of a request; None if this worker has accepted its connection."""
    handover: Handover | None = environ.get(HANDOVER_KEY)
    return handover
