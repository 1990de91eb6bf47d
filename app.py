"""The WSGI entry point of `flask run` and gunicorn. No other module imports it."""

import atexit
import logging
import signal
import sys
import time
from typing import NoReturn

from chat import create_app, engine, logs, shut_down
from chat.services import services_of
from config import Config, StartupError, is_replacement_worker, should_report_failure

REPORT_SECONDS = 1.0
"""Within this time, gunicorn stops all workers after one has ended with status 3."""

PUBLIC_WARNING = (
    "Confab listens at {host} with the development server, which is not for the internet: there, "
    "start it with gunicorn (make serve)."
)


def leave_report_to_other_worker() -> NoReturn:
    """End this worker without status 3, after which gunicorn stops all workers.

    At a second status 3 while it stops them, gunicorn 25 prints a traceback.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(REPORT_SECONDS)
    sys.exit(1)


try:
    engine.require_async_worker()
    config = Config.from_environment()
    if not logging.root.handlers:  # neither gunicorn.conf.py nor the operator has configured it
        logs.configure(config.log_level, config.log_format)
    # A command decides itself whether it needs the latest schema.
    app = create_app(config, migrates=not engine.runs_flask_command())
    atexit.register(shut_down, app)
    if not engine.runs_under_gunicorn():  # of whose workers only one logs them
        for warning in config.warnings():
            app.logger.warning(warning)
    if engine.is_dev_server():  # gunicorn.conf.py does this in a worker
        services_of(app).secret_key_check.start()
        services_of(app).purger.start()
    public_host = engine.public_dev_server()
    if public_host is not None:
        print(PUBLIC_WARNING.format(host=public_host), file=sys.stderr)
except StartupError as error:
    if not should_report_failure():
        leave_report_to_other_worker()
    if engine.runs_flask_command():
        print(f"Error: {error.sentence}", file=sys.stderr)
        sys.exit(1)
    print(f"Confab cannot start: {error.sentence}", file=sys.stderr)
    if is_replacement_worker():
        sys.exit(1)  # gunicorn starts it again; after status 3 it would stop all workers
    raise
