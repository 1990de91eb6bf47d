"""The process: what `flask run` and gunicorn serve. Imported by nothing else."""

import sys

from chat import create_app
from chat.errors import CannotStart
from config import replaces_another

try:
    app = create_app()
except CannotStart as reason:
    print(f"Confab cannot start: {reason.sentence}", file=sys.stderr)
    if replaces_another():
        sys.exit(1)  # gunicorn tries again, and lets the others serve; after 3 it would end them all
    raise
