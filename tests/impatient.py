"""Confab that waits two seconds for the body of a request, so that the tests of slow bodies are fast."""

from dataclasses import replace

from chat import create_app
from config import Config

app = create_app(replace(Config.from_environment(), body_seconds=2))
