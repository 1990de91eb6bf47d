"""Everything that knows the insides of Engine.IO, eventlet and gunicorn."""

from chat.engine.guard import protect
from chat.engine.hub import async_mode
from chat.engine.leases import Leases, NoLeases
from chat.engine.limits import begin_well
from chat.engine.queue import NoQueue, Queue
from chat.engine.strict_json import StrictJSON

__all__ = ["Leases", "NoLeases", "NoQueue", "Queue", "StrictJSON", "async_mode", "begin_well", "protect"]
