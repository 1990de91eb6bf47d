"""Confab with time limits of a few seconds, so that the tests of these limits are fast."""

from dataclasses import replace

from chat import create_app
from config import Config

config = replace(
    Config.from_environment(),
    head_seconds=2,
    body_seconds=2,
    stall_seconds=2,
    join_seconds=2,
    left_seconds=4,
)
app = create_app(config)
