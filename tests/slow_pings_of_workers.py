"""Confab whose sessions are idle for longer than a message between two workers may stall."""

from chat import create_app
from chat.engine import worker_channel
from config import Config

worker_channel.STALL_SECONDS = 1.0

app = create_app(Config.from_environment().model_copy(update={"ping_seconds": 3}))
