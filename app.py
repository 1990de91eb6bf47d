"""The process: what `flask run` and gunicorn serve. Imported by nothing else."""

import atexit
import sys

from chat import create_app, engine
from chat.errors import StartupError
from chat.storage import database
from config import replaces_another, reports_failure

try:
    engine.require_async_worker()
    app = create_app()
    atexit.register(database.close, app)
except StartupError as reason:
    if reports_failure():
        print(f"Confab cannot start: {reason.sentence}", file=sys.stderr)
    if replaces_another():
        sys.exit(
            1
        )  # gunicorn tries again, and lets the others serve; after 3 it would end them all
    raise
