"""Everything that knows the insides of Engine.IO, eventlet and gunicorn."""

from chat.engine.body import close_after_response, read_body
from chat.engine.guard import protect
from chat.engine.hub import async_mode, gather
from chat.engine.seams import speed_up

__all__ = ["async_mode", "close_after_response", "gather", "protect", "read_body", "speed_up"]
