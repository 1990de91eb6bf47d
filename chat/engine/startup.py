"""Checks that the gunicorn worker that runs this process can serve WebSockets."""

import sys

import click

from chat.engine.concurrency import async_mode
from config import StartupError


def require_async_worker() -> None:
    """Raise StartupError in a gunicorn worker without greenlets.

    Such a worker would hang as soon as a few clients are connected. gunicorn.conf.py refuses most
    of these starts in the master, with a clearer sentence. This check is for those with another
    configuration file, or with a worker class of the operator's own.
    """
    if runs_under_gunicorn() and async_mode() == "threading":
        raise StartupError(
            "gunicorn runs Confab with a worker class that cannot serve it: start it with our "
            "gunicorn.conf.py, leave -k out, and leave --preload out."
        )


def runs_under_gunicorn() -> bool:
    """Return whether this process is a worker of gunicorn."""
    return "gunicorn.workers.base" in sys.modules  # which every worker class imports


def runs_flask_command() -> bool:
    """Return whether the app is loaded for a command of Flask other than `flask run`."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name != "run"
