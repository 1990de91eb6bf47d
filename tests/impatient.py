"""Confab with time limits of a few seconds, so that the tests of these limits are fast."""

from chat import create_app
from config import Config

SECONDS = {
    "head_seconds": 2,
    "body_seconds": 2,
    "stall_seconds": 3,
    "join_seconds": 2,
    "left_seconds": 4,
}

app = create_app(Config.from_environment().model_copy(update=SECONDS))
