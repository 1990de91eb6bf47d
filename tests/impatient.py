"""Confab with a body timeout of two seconds, so that the tests of slow request bodies are fast."""

from dataclasses import replace

from chat import create_app
from config import Config

app = create_app(replace(Config.from_environment(), body_seconds=2))
