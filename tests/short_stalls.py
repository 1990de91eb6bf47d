"""Confab that disconnects a client which reads nothing of its answer for two seconds."""

from chat import create_app
from config import Config

app = create_app(Config.from_environment().model_copy(update={"stall_seconds": 2}))
