"""Everything that knows the insides of Engine.IO, eventlet and gunicorn."""

from chat.engine.body import close_after_response, read_body
from chat.engine.draining import is_draining
from chat.engine.guard import protect
from chat.engine.hub import async_mode, gather, patience
from chat.engine.seams import speed_up
from chat.engine.startup import require_async_worker

__all__ = [
    "async_mode",
    "close_after_response",
    "gather",
    "is_draining",
    "patience",
    "protect",
    "read_body",
    "require_async_worker",
    "speed_up",
]
