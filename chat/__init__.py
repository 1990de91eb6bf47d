"""create_app: the application factory, where the parts of the server are connected."""

import time
from functools import partial
from math import inf
from typing import Any, cast

from flask import Flask
from flask_socketio import SocketIO
from socketio.exceptions import ConnectionRefusedError as ConnectionRefused

from chat import cli, engine, event_limits, events, message_events, wire
from chat.broadcasts import Broadcaster
from chat.connection_limits import OpenConnections
from chat.delivery.bus import Bus, LocalBus
from chat.delivery.publisher import Publisher
from chat.delivery.reconciler import Reconciler
from chat.delivery.redis_bus import RedisBus
from chat.delivery.redis_names import RedisNames
from chat.delivery.redis_server import RedisServer
from chat.delivery.signatures import MessageSigner
from chat.dispatch import register
from chat.errors import RateLimited, TooManyConnections
from chat.identity import load_identity
from chat.join_timeout import JoinTimeout
from chat.limit_sharing import LimitSharing
from chat.limits import Limits
from chat.logs import quiet_logger
from chat.membership import forget_room
from chat.moderation import handlers as moderation_handlers
from chat.moderation import views as moderation_views
from chat.moderation.enforcement import Enforcement
from chat.presence.name_holder import NameHolder
from chat.presence.registry import NoPresenceRegistry, PresenceRegistry, RedisPresenceRegistry
from chat.presence.tracker import BUS_GRACE_SECONDS, PresenceTracker
from chat.services import Services, services_of, set_services
from chat.socket_server import SocketServer
from chat.storage import (
    database,
    instance_folder,
    migrations,
    readiness,
    vacuum,
)
from chat.storage.checkpoints import Checkpoints
from chat.storage.database_clock import DatabaseClock
from chat.storage.journal import Journal
from chat.storage.purger import Purger
from chat.storage.secret_fingerprint import SecretKeyCheck
from chat.web import (
    assets,
    health,
    page_limits,
    pages,
    password_form,
    privacy,
    report,
    responses,
    version,
    well_known,
    your_data,
)
from chat.web.allowed_hosts import AllowedHosts
from chat.web.base_path import BasePath
from chat.web.client_address import ClientAddress
from chat.web.labels import label_converter
from chat.web.middleware import SOCKET_PATH, BodyLimit, SocketRequestGuard
from chat.web.request_guard import RequestGuard
from chat.web.request_limits import RequestLimit
from chat.web.request_turns import RequestTurns
from chat.web.sessions import ConfabFlask, SocketSessionInterface
from chat.web.socket_limits import SocketLimits
from config import Config, StartupError

SHUT_DOWN_SECONDS = 5.0
"""How long background work may take to stop; a query of the database takes at most so long."""

MAX_FORM_PARTS = 10
"""Parts of a form that is sent as multipart/form-data; the form of a room has four fields."""


def create_app(config: Config | None = None, *, migrates: bool = True) -> Flask:
    """Build the app and prepare its database: migrate it, and check that the secret key is its own.

    Commands of Flask, for which `migrates` is false, do that themselves. Raises StartupError with a
    message for the operator.
    """
    config = config or Config.from_environment()
    app = ConfabFlask(
        __name__,
        instance_path=str(config.instance),
        template_folder="../templates",
        static_folder=None,
    )
    app.session_interface = SocketSessionInterface(AllowedHosts(config.public_urls))
    with instance_folder.startup_lock(config.instance):
        _configure(app, config)
        database.init_app(app)
        readiness.init_app(app)
        migrations.init_app(app)
        if migrates:
            migrations.migrate_to_latest(app)
    limits = Limits(config, app.config["SECRET_KEY"], is_shared=config.redis_url is not None)
    try:
        _add_pages(app, config, limits)
        _add_sockets(app, config, limits)
        if migrates:
            services_of(app).secret_key_check.run_at_start()
            services_of(app).database_clock.synchronize()
    except StartupError:
        database.close(app)
        raise
    cli.init_app(app)
    return app


def shut_down(app: Flask) -> None:
    """Stop the background work and close the database when the process ends.

    Work that is reading would keep its connection open, and with it SQLite's write-ahead log. All
    of it has one deadline: a database that does not answer would keep each part of it waiting.
    """
    built = services_of(app)
    deadline = time.monotonic() + min(SHUT_DOWN_SECONDS, engine.seconds_to_shut_down())
    built.join_timeout.stop(deadline)
    built.limit_sharing.stop(deadline)
    built.presence.stop(deadline)
    built.name_holder.stop(deadline)
    built.reconciler.stop(deadline)
    built.enforcement.stop(deadline)
    built.purger.stop(deadline)
    built.checkpoints.stop(deadline)
    built.secret_key_check.stop(deadline)
    built.database_clock.stop(deadline)
    built.bus.stop()
    built.journal.close()
    if built.journal.has_erased_text:
        vacuum.rewrite_if_small(app, deadline)
    database.close(app)


def _configure(app: Flask, config: Config) -> None:
    app.config.update(
        CONFAB=config,
        SECRET_KEY=config.secret_key or instance_folder.read_or_create_secret_key(config.instance),
        SQLALCHEMY_DATABASE_URI=config.database(),
        SQLALCHEMY_ENGINE_OPTIONS=database.engine_options(config.database()),
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=config.cookie_seconds,
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=config.body_bytes,
        MAX_FORM_MEMORY_SIZE=config.body_bytes,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
    )


def _add_pages(app: Flask, config: Config, limits: Limits) -> None:
    page_limits.init_app(app, limits)
    app.url_map.converters["label"] = label_converter(config.base_path)
    views = (
        pages,
        password_form,
        moderation_views,
        privacy,
        your_data,
        report,
        assets,
        health,
        version,
        well_known,
    )
    for module in views:
        app.register_blueprint(module.blueprint)
    responses.init_app(app)
    version.describe_program()  # before its files can be replaced


def _add_sockets(app: Flask, config: Config, limits: Limits) -> None:
    socketio = _build_socketio(app, config)
    eio_sockets = socketio.server.eio.sockets
    connections_of_address = OpenConnections(
        config.limit_address_connections, eio_sockets.__contains__
    )
    session_router = engine.SessionRouter(
        engine.ClosedSessions(app.wsgi_app, socketio.server.eio, SOCKET_PATH),
        socketio.server.eio,
        SOCKET_PATH,
        node_name=config.node_name,
        worker_socket=config.worker_socket,
    )
    socket_limits = SocketLimits(
        SocketRequestGuard(session_router, config.offered_transports()),
        limits,
        connections_of_address,
    )
    app.wsgi_app = _add_middleware(socket_limits, limits, config)  # type: ignore[method-assign]  # as Flask documents
    services = _build_services(app, config, socketio, limits, session_router)
    set_services(app, services)
    handlers = events.EVENTS | message_events.EVENTS | moderation_handlers.EVENTS
    engine.limit_dev_server(config.head_seconds)
    engine.protect(socketio, events=handlers, observers=(socket_limits, services.join_timeout))
    if config.engine:
        engine.install(socketio)
    socketio.on_event("connect", partial(_on_connect, services))
    # Registered at python-socketio: it needs no request context.
    services.socketio.server.on("disconnect", partial(_on_disconnect, services))
    register(socketio, handlers, services.limits)


def _add_middleware(app: SocketLimits, limits: Limits, config: Config) -> BasePath:
    """Return the app behind what every request passes first, of a page and of a socket."""
    limited = BodyLimit(
        RequestTurns(app),
        page_bytes=config.body_bytes,
        socket_bytes=config.frame_bytes,
        seconds=config.body_seconds,
        stall_seconds=config.stall_seconds,
    )
    hosts = AllowedHosts(config.public_urls, allow_any=config.allows_any_host)
    guarded = RequestGuard(limited, hosts, limits, health_paths=health.PATHS)
    counted = RequestLimit(guarded, limits, config.limit_address_connections)
    addressed = ClientAddress(
        counted,
        config.forwarded_allow_ips,
        local_paths=health.PATHS,
        reports_problems=config.limits,
    )
    return BasePath(addressed, config.base_path, config.forwarded_allow_ips)


def _on_connect(services: Services, auth: object = None) -> None:
    services.bus.start()  # under `flask run`; a gunicorn worker has started it already
    forget_room()
    is_known = load_identity(auth)
    try:
        event_limits.prepare(services.limits, is_known=is_known)
        event_limits.count_connection(services.limits, services.connections_of_person)
    except (RateLimited, TooManyConnections) as refusal:
        raise ConnectionRefused(str(refusal), wire.refused(refusal)) from None


def _on_disconnect(services: Services, connection: str, _reason: object = None) -> None:
    services.connections_of_person.remove(connection)
    services.presence.leave(connection)


def _build_socketio(app: Flask, config: Config) -> SocketServer:
    socketio: Any = SocketIO(
        app,
        transports=list(config.offered_transports()),  # type: ignore[call-arg]  # unknown to the stubs
        async_mode=engine.async_mode(),
        logger=quiet_logger("socketio.server"),
        engineio_logger=quiet_logger("engineio.server"),
        async_handlers=False,  # the events of one connection are handled in order
        cors_allowed_origins=[],  # RequestGuard has checked the origin
        json=engine.StrictJSON,
        serializer=engine.TextPacket,
        max_http_buffer_size=config.frame_bytes,
        ping_interval=config.ping_seconds,
        ping_timeout=config.ping_grace_seconds,
    )
    return cast(SocketServer, socketio)  # see socket_server.py


def _build_services(
    app: Flask,
    config: Config,
    socketio: SocketServer,
    limits: Limits,
    session_router: engine.SessionRouter,
) -> Services:
    def is_connected(connection: str) -> bool:
        return bool(socketio.server.manager.is_connected(connection, "/"))

    bus, registry = _build_bus(app, config, socketio)
    broadcaster = Broadcaster(socketio)
    bus_grace_seconds = _bus_grace_seconds(config)
    presence = PresenceTracker(app, socketio, broadcaster, bus, registry, bus_grace_seconds)
    enforcement = Enforcement(app, socketio, presence.roster)
    reconciler = Reconciler(app, socketio, broadcaster, bus, enforcement)
    limit_sharing = LimitSharing(socketio, bus, limits)
    join_timeout = _build_join_timeout(config, socketio)
    publisher = Publisher(reconciler.sequencer, bus)
    _subscribe(bus, reconciler, presence, limit_sharing)
    journal = Journal(publisher.publish, engine.yield_now, config.reaction_seconds)
    checkpoints = Checkpoints(app, socketio)
    purger = Purger(app, socketio, journal, checkpoints, reconciler.poll, presence.may_be_in)
    return Services(
        socketio=socketio,
        bus=bus,
        reconciler=reconciler,
        enforcement=enforcement,
        presence=presence,
        name_holder=NameHolder(app, socketio, presence.roster),
        journal=journal,
        limits=limits,
        connections_of_person=OpenConnections(config.limit_person_connections, is_connected),
        limit_sharing=limit_sharing,
        join_timeout=join_timeout,
        checkpoints=checkpoints,
        secret_key_check=SecretKeyCheck(app, socketio, may_replace=config.replace_secret_key),
        database_clock=DatabaseClock(app, socketio),
        purger=purger,
        session_router=session_router,
    )


def _subscribe(
    bus: Bus, reconciler: Reconciler, presence: PresenceTracker, limit_sharing: LimitSharing
) -> None:
    """Connect the bus to what takes in its events.

    Missing messages are read first: presence reads Redis, which may be slow to answer.
    """
    bus.subscribe("chat", reconciler.on_message)
    bus.subscribe("change", reconciler.on_message)
    bus.subscribe("presence", presence.on_message)
    bus.subscribe("typing", presence.on_typing)
    bus.subscribe("alive", presence.on_alive)
    bus.subscribe("limit_usage", limit_sharing.on_message)
    bus.on_connect(limit_sharing.start)
    bus.on_connect(reconciler.resync)
    bus.on_connect(presence.on_bus_connect)
    bus.on_follow(reconciler.on_followed)
    bus.on_follow(presence.load_rooms)


def _build_join_timeout(config: Config, socketio: SocketServer) -> JoinTimeout:
    return JoinTimeout(
        socketio,
        partial(engine.close_transport, socketio.server.eio),
        join_seconds=config.join_seconds,
        left_seconds=config.left_seconds,
    )


def _build_bus(app: Flask, config: Config, socketio: SocketServer) -> tuple[Bus, PresenceRegistry]:
    """Build what workers share through Redis. Raises StartupError."""
    if config.redis_url is None:
        return LocalBus(), NoPresenceRegistry()
    server = RedisServer(config.redis_url, config.redis_ca, config.redis_tls_verify)
    server.refuse_cluster()
    secret_key = app.config["SECRET_KEY"]
    names = RedisNames(secret_key)
    bus = RedisBus(socketio, server, names, MessageSigner(secret_key, "bus"))
    registry = RedisPresenceRegistry(server, names, MessageSigner(secret_key, "people"))
    return bus, registry


def _bus_grace_seconds(config: Config) -> float:
    """Return how long the bus may be down until people on other workers are unknown."""
    if config.redis_url is not None:
        return BUS_GRACE_SECONDS
    return inf if config.workers == 1 else 0.0
