"""The long-lived objects of one app, reached through one typed accessor."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from chat.connection_limits import OpenConnections
from chat.delivery.bus import Bus
from chat.delivery.reconciler import Reconciler
from chat.engine import SessionRouter
from chat.join_timeout import JoinTimeout
from chat.limit_sharing import LimitSharing
from chat.limits import Limits
from chat.moderation.enforcement import Enforcement
from chat.presence.name_holder import NameHolder
from chat.presence.tracker import PresenceTracker
from chat.socket_server import SocketServer
from chat.storage.checkpoints import Checkpoints
from chat.storage.database_clock import DatabaseClock
from chat.storage.journal import Journal
from chat.storage.purger import Purger
from chat.storage.secret_fingerprint import SecretKeyCheck

_KEY = "confab"


@dataclass(frozen=True)
class Services:
    """What create_app builds once for each process."""

    socketio: SocketServer
    bus: Bus
    reconciler: Reconciler
    enforcement: Enforcement
    presence: PresenceTracker
    name_holder: NameHolder
    journal: Journal
    limits: Limits
    connections_of_person: OpenConnections
    limit_sharing: LimitSharing
    join_timeout: JoinTimeout
    checkpoints: Checkpoints
    secret_key_check: SecretKeyCheck
    database_clock: DatabaseClock
    purger: Purger
    session_router: SessionRouter

    def start(self) -> None:
        """Start the background work that does not wait for the first client."""
        self.bus.start()
        self.checkpoints.start()
        self.secret_key_check.start()
        self.database_clock.start()
        self.purger.start()
        self.session_router.start()


def services() -> Services:
    """Return the services of the current app. Needs an application context."""
    return cast(Services, current_app.extensions[_KEY])  # Flask's extensions are untyped


def services_of(app: Flask) -> Services:
    """Return the services of an app, outside of its context."""
    return cast(Services, app.extensions[_KEY])  # likewise


def set_services(app: Flask, built: Services) -> None:
    """Store the services of an app, once, in the application factory."""
    app.extensions[_KEY] = built
