"""What gunicorn calls in the life of a worker; named in gunicorn.conf.py."""

from typing import Any

from chat.engine.hub import async_mode
from chat.engine.watchdog import Watchdog


def ready(worker: Any) -> None:
    """The app is loaded, and nobody is served yet: listen to the other workers first."""
    app = worker.app.callable
    if async_mode() == "eventlet":
        Watchdog().start()
    app.extensions["queue"].initialize()
    if worker.age == 1:  # one of them speaks for all
        for remark in app.config["CONFAB"].remarks():
            worker.log.warning(remark)
