"""Confab whose reconciler polls once a minute: what arrives earlier has arrived over Redis."""

from chat import create_app
from chat.delivery import reconciler
from config import Config

reconciler.POLL_SECONDS = (60.0, 60.0)

app = create_app(Config.from_environment())
