"""Enforcement: disconnects people who may not be in a room any more, on this worker.

What hosts do is announced to each worker with people in the room by a system message, over the bus
or, when Redis is down, by the reconciler. So this worker knows of it after four seconds at most.
Until then, the journal refuses what these people write.
"""

from functools import partial

from flask import Flask

from chat.background import WorkInProgress, run_logged
from chat.engine import ADDRESS_KEY
from chat.errors import Busy, NotFound, Refusal
from chat.models import Room
from chat.moderation import rules
from chat.moderation.address_hash import hash_address
from chat.moderation.rules import Person, Standing, utc_now
from chat.presence.roster import Roster
from chat.socket_server import SocketServer
from chat.storage import standings
from chat.wire import JSON

RETRY_SECONDS = 0.5
"""The pause before enforcement is tried again while the database is not available."""

ADDRESS_SECONDS = 4.0
"""How long after the ban of an address all workers have usually added those that they know."""

ADDRESS_CHECKS = 3
"""How often everybody is checked again after the ban of an address.

A worker that has to wait for a CPU or for the database may add its addresses late.
"""


class Enforcement:
    """Checks everybody in a room on this worker again after each action of a host."""

    def __init__(self, app: Flask, socketio: SocketServer, roster: Roster) -> None:
        self._app = app
        self._socketio = socketio
        self._roster = roster
        self._work = WorkInProgress()

    def stop(self, deadline: float) -> None:
        """Enforce nothing more.

        Returns when this does not use the database any more, or at the deadline.
        """
        self._work.stop(deadline)

    def on_moderation(self, label: str, shared: Room | None, payload: JSON) -> None:
        """Take in the system message of an action, in the background.

        `shared` is the object of the room that all connections in it share, if there is one: it
        gets the new rules.
        """
        work = partial(self._apply, label, shared, payload.get("details") or {})
        self._socketio.start_background_task(run_logged, work, "Enforcing what a host did")

    def on_changes_skipped(self, label: str, shared: Room | None) -> None:
        """Check everybody, in the background, after changes that were not broadcast here.

        The history of the room has begun again, or its floor has been raised above them: system
        messages of actions before that are gone.
        """
        self.on_moderation(label, shared, {})

    def _apply(self, label: str, shared: Room | None, details: JSON) -> None:
        """Enforce what a host did; a ban of addresses again, as other workers add theirs."""
        bans_addresses = details.get("action") == "ban" and details.get("address")
        with self._app.app_context():
            self._enforce(label, shared)
            if not bans_addresses:
                return
            for _ in range(ADDRESS_CHECKS):
                self._socketio.sleep(ADDRESS_SECONDS)
                self._enforce(label, shared)

    def _enforce(self, label: str, shared: Room | None) -> None:
        """Check everybody; try again for as long as the database is not available."""
        while True:
            with self._work.task() as may_run:
                if not may_run:
                    return
                try:
                    self._check_room(label, shared)
                except Busy:
                    pass
                else:
                    return
            self._socketio.sleep(RETRY_SECONDS)

    def _check_room(self, label: str, shared: Room | None) -> None:
        """Check everybody in a room, by its newest rules. Raises Busy."""
        try:
            room = Room.find(label)
        except NotFound:
            self.disconnect_everybody(label)
            return
        if shared is not None and shared.id == room.id:
            shared.set_rules(room.rules, room.epoch, room.head)
        self.check_everybody(room)

    def disconnect_everybody(self, label: str) -> None:
        """Disconnect everybody on this worker who is in a room that has been deleted."""
        for connections in self._roster.local_connections(label).values():
            for connection in connections:
                self._socketio.server.disconnect(connection)

    def check_everybody(self, room: Room) -> None:
        """Disconnect everybody on this worker who may not be in the room. Raises Busy."""
        if room.rules.is_open_to_all:
            return
        connections_by_mark = self._roster.local_connections(room.label)
        standing_by_mark = standings.read_standings(room.id, connections_by_mark)
        self._ban_addresses(room, standing_by_mark, connections_by_mark)
        banned_hashes = standings.read_banned_addresses(room.id)
        for mark, connections in connections_by_mark.items():
            standing = standing_by_mark.get(mark, Standing())
            person = Person(mark, room.rules.role(mark), standing)
            for connection in connections:
                is_banned_address = self._address_hash(room, connection) in banned_hashes
                if _may_stay(room, person) and (person.is_host or not is_banned_address):
                    continue
                self._socketio.server.disconnect(connection)

    def _ban_addresses(
        self,
        room: Room,
        standing_by_mark: dict[str, Standing],
        connections_by_mark: dict[str, list[str]],
    ) -> None:
        """Ban the addresses from which people connect to this worker, if that was asked.

        They are disconnected afterwards, by which their addresses are lost. Raises Busy.
        """
        for mark, standing in standing_by_mark.items():
            if not standing.are_addresses_banned(utc_now()):
                continue
            connections = connections_by_mark[mark]
            hashes = {self._address_hash(room, connection) for connection in connections} - {""}
            if hashes:
                standings.add_banned_addresses(room.id, mark, hashes)

    def _address_hash(self, room: Room, connection: str) -> str:
        """Return the hash of the address of a connection; "" when it is not known any more."""
        environ = self._socketio.server.get_environ(connection) or {}
        return hash_address(room.label, environ.get(ADDRESS_KEY, ""))


def _may_stay(room: Room, person: Person) -> bool:
    try:
        rules.check_may_enter(room.rules, person, utc_now())
    except Refusal:
        return False
    return True
