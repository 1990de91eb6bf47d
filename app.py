"""The WSGI entry point: what `flask run` and gunicorn serve. Nothing else imports it."""

import atexit
import sys

from chat import create_app, engine, shut_down
from config import StartupError, replaces_another, reports_failure

try:
    engine.require_async_worker()
    app = create_app()
    atexit.register(shut_down, app)
except StartupError as reason:
    if reports_failure():
        print(f"Confab cannot start: {reason.sentence}", file=sys.stderr)
    if replaces_another():
        sys.exit(1)  # gunicorn starts it again; after status 3 it would stop all workers
    raise
