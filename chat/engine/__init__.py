"""Everything that knows the insides of Engine.IO, eventlet and gunicorn."""

from chat.engine.body import close_after_response, read_body
from chat.engine.compat import install
from chat.engine.draining import is_draining
from chat.engine.packet_guard import protect
from chat.engine.scheduler import async_mode, time_limit, yield_now
from chat.engine.startup import require_async_worker

__all__ = [
    "async_mode",
    "close_after_response",
    "install",
    "is_draining",
    "protect",
    "read_body",
    "require_async_worker",
    "time_limit",
    "yield_now",
]
