"""Registers event handlers, and turns what they return or raise into acknowledgements."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias

from chat import event_limits
from chat.errors import BadRequest, RateLimited, Refusal, ServerError
from chat.limits import Limits
from chat.socket_server import SocketServer
from chat.wire import JSON, refused

Handler: TypeAlias = Callable[[Any], JSON]
"""Takes the one argument of an event, which may be anything, and returns the acknowledgement."""

RATE_LIMITED_DELAY_SECONDS = 0.05
"""How long the answer to an event above a rate limit is delayed: a flood then takes little time."""

log = logging.getLogger(__name__)


def register(socketio: SocketServer, handlers: dict[str, Handler], limits: Limits) -> None:
    """Register handlers by event. Whatever happens, an event is acknowledged."""
    for event, handler in handlers.items():
        socketio.on_event(event, _acknowledged(event, handler, limits, socketio.sleep))


def _acknowledged(
    event: str, handler: Handler, limits: Limits, sleep: Callable[[float], None]
) -> Callable[..., JSON]:
    @wraps(handler)
    def acknowledge(*arguments: object) -> JSON:
        try:
            if limits.is_enabled:
                event_limits.check(limits, event, arguments[0] if arguments else None)
            if len(arguments) != 1:
                raise BadRequest("An event takes exactly one object.")
            return handler(arguments[0])
        except RateLimited as refusal:
            # The events of a connection are handled in order, so this slows down only its own.
            sleep(RATE_LIMITED_DELAY_SECONDS)
            return refused(refusal)
        except Refusal as refusal:
            return refused(refusal)
        except Exception:
            log.exception("The event %s failed", event)
            return refused(ServerError())

    return acknowledge
