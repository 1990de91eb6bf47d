"""Confab with a body timeout of two seconds, so that the tests of slow request bodies are fast."""

from chat import create_app
from config import Config

app = create_app(Config.from_environment().model_copy(update={"body_seconds": 2}))
