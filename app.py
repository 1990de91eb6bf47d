"""The process: what `flask run` and gunicorn serve. Imported by nothing else."""

import sys

from chat import create_app
from chat.errors import CannotStart

try:
    app = create_app()
except CannotStart as reason:
    print(f"Confab cannot start: {reason.sentence}", file=sys.stderr)
    raise
