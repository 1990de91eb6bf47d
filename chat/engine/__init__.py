"""Everything that knows the insides of Engine.IO, eventlet and gunicorn."""

from chat.engine.guard import protect
from chat.engine.hub import async_mode
from chat.engine.limits import begin_well

__all__ = ["async_mode", "begin_well", "protect"]
