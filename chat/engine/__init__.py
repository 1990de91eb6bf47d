"""Everything that depends on the internals of eventlet, gunicorn and Engine.IO.

The rest of the program uses only the names below; gunicorn.conf.py uses `chat.engine.worker`.
These libraries ship no types, so their objects are `Any` here.
"""

from chat.engine.body import close_after_response, read_body
from chat.engine.closed_sessions import ClosedSessions
from chat.engine.compat import install
from chat.engine.concurrency import Turns, async_mode, run_in_thread, time_limit, yield_now
from chat.engine.dev_server import is_dev_server, limit_dev_server, public_dev_server
from chat.engine.draining import is_draining, seconds_to_shut_down, stop_server
from chat.engine.environ import ADDRESS_KEY
from chat.engine.packet_guard import protect
from chat.engine.packets import StrictJSON, TextPacket
from chat.engine.scheduler import wait_turn
from chat.engine.sending import send_in_time, was_handed_over
from chat.engine.session_router import SessionRouter
from chat.engine.startup import require_async_worker, runs_flask_command, runs_under_gunicorn
from chat.engine.transports import close_transport

__all__ = [
    "ADDRESS_KEY",
    "ClosedSessions",
    "SessionRouter",
    "StrictJSON",
    "TextPacket",
    "Turns",
    "async_mode",
    "close_after_response",
    "close_transport",
    "install",
    "is_dev_server",
    "is_draining",
    "limit_dev_server",
    "protect",
    "public_dev_server",
    "read_body",
    "require_async_worker",
    "run_in_thread",
    "runs_flask_command",
    "runs_under_gunicorn",
    "seconds_to_shut_down",
    "send_in_time",
    "stop_server",
    "time_limit",
    "wait_turn",
    "was_handed_over",
    "yield_now",
]
