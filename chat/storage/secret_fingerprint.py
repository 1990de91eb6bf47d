"""The fingerprint of the secret key, in the database: all hosts must have the same key.

With another key, a host would accept no cookie of the others, give people other marks, and drop
what the others publish. The first host that starts stores the fingerprint.
"""

import hmac
import logging

from flask import Flask
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from chat import engine
from chat.background import BackgroundLoop
from chat.errors import Busy
from chat.socket_server import SocketServer
from chat.storage.database import is_sqlite, read_transaction, write_transaction
from chat.storage.migrations import Instance
from config import StartupError

KEY = "secret_key_fingerprint"
PURPOSE = b"confab fingerprint"
FINGERPRINT_CHARS = 32

LOOP_SECONDS = (1.0, 2.0)
"""How often the check is repeated that was not possible at the start."""

log = logging.getLogger(__name__)


class SecretKeyCheck:
    """Compares the secret key with the one of the other hosts, once in each process.

    `may_replace`: the operator has changed the key on purpose.
    """

    def __init__(self, app: Flask, socketio: SocketServer, *, may_replace: bool) -> None:
        self._app = app
        self._may_replace = may_replace
        self._is_done = False
        self._loop = BackgroundLoop(
            socketio, LOOP_SECONDS, self._run_later, "Checking the secret key"
        )

    def run_at_start(self) -> None:
        """Do what `run` does, or leave it to the loop if the database is busy.

        Raises StartupError.
        """
        try:
            self.run()
        except Busy:
            return  # its outage has been logged

    def run(self) -> None:
        """Compare the keys; store the fingerprint of this one if it is the first.

        Raises StartupError, and Busy when the database can be neither read nor written.
        """
        own = _fingerprint(self._app.config["SECRET_KEY"])
        with self._app.app_context():
            stored = _stored() or _store_first(own)
            if stored != own:
                self._replace(stored, own)
        self._is_done = True

    def start(self) -> None:
        """Start the loop, unless the check is done; a second call does nothing."""
        if not self._is_done:
            self._loop.start()

    def stop(self, deadline: float) -> None:
        """End the loop."""
        self._loop.stop(deadline)

    def _run_later(self) -> None:
        """Do what `run` does; stop the server if it should not have started. Raises Busy."""
        if self._is_done:
            return
        try:
            self.run()
        except StartupError as error:
            self._is_done = True
            log.critical("The server stops: %s", error.sentence)
            engine.stop_server()

    def _replace(self, stored: str | None, own: str) -> None:
        """Replace the fingerprint of another key. Raises StartupError, Busy."""
        if not is_sqlite() and not self._may_replace:
            raise StartupError(
                "SECRET_KEY is not that of the other hosts with this database: give all hosts "
                "the same. If you have changed it on purpose, set REPLACE_SECRET_KEY=on for "
                "one start of one host."
            )
        # SQLite is used by one host, whose key file may have been lost.
        if _replace(stored, own):
            log.warning(
                "SECRET_KEY is not that of the last start: every browser gets a new identity, and "
                "hosts lose their rooms."
            )


def _fingerprint(secret_key: str) -> str:
    digest = hmac.digest(secret_key.encode(), PURPOSE, "sha256")
    return digest.hex()[:FINGERPRINT_CHARS]


def _stored() -> str | None:
    """Return the fingerprint in the database. Raises Busy."""
    with read_transaction() as connection:
        return _select(connection)


def _select(connection: Connection) -> str | None:
    return connection.scalar(select(Instance.value).where(Instance.key == KEY))


def _store_first(own: str) -> str | None:
    """Store the fingerprint unless another host has; return the stored one. Raises Busy."""
    try:
        with write_transaction() as connection:
            connection.execute(insert(Instance), {"key": KEY, "value": own})
    except IntegrityError:
        return _stored()
    return own


def _replace(stored: str | None, own: str) -> bool:
    """Replace a fingerprint, unless another process has; return whether it is. Raises Busy."""
    is_other = (Instance.key == KEY) & (Instance.value == stored)
    with write_transaction() as connection:
        result = connection.execute(update(Instance).where(is_other).values(value=own))
    return result.rowcount > 0
