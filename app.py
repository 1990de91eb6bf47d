"""The WSGI entry point of `flask run` and gunicorn. No other module imports it."""

import atexit
import sys

from chat import create_app, engine, shut_down
from config import StartupError, is_replacement_worker, should_report_failure

try:
    engine.require_async_worker()
    app = create_app()
    atexit.register(shut_down, app)
except StartupError as error:
    if should_report_failure():
        print(f"Confab cannot start: {error.sentence}", file=sys.stderr)
    if is_replacement_worker():
        sys.exit(1)  # gunicorn starts it again; after status 3 it would stop all workers
    raise
