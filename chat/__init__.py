"""create_app: the application factory, where the parts of the server are connected."""

from functools import partial
from hashlib import sha256
from math import inf
from typing import Any, cast

from flask import Flask
from flask_socketio import SocketIO
from socketio.exceptions import ConnectionRefusedError as ConnectionRefused

from chat import engine, event_limits, events, message_events, wire
from chat.broadcasts import Broadcaster
from chat.connection_limits import OpenConnections
from chat.delivery.bus import Bus, LocalBus, RedisBus
from chat.delivery.publisher import Publisher
from chat.delivery.reconciler import Reconciler
from chat.delivery.signatures import MessageSigner
from chat.dispatch import register
from chat.errors import RateLimited, TooManyConnections
from chat.identity import load_identity
from chat.join_timeout import JoinTimeout
from chat.limit_sharing import LimitSharing
from chat.limits import Limits
from chat.logs import quiet_logger
from chat.membership import forget_room
from chat.presence.registry import NoWorkerRegistry, RedisWorkerRegistry, WorkerRegistry
from chat.presence.tracker import BUS_GRACE_SECONDS, PresenceTracker
from chat.services import Services, services_of, set_services
from chat.socket_server import SocketServer
from chat.storage import database, instance_folder, migrations, readiness
from chat.storage.journal import Journal
from chat.web import assets, health, page_limits, pages, responses, well_known
from chat.web.allowed_hosts import AllowedHosts
from chat.web.client_address import ClientAddress
from chat.web.labels import LabelConverter
from chat.web.middleware import BodyLimit, SocketRequestGuard
from chat.web.request_guard import RequestGuard
from chat.web.request_limits import RequestLimit
from chat.web.request_turns import RequestTurns
from chat.web.sessions import ConfabFlask, SocketSessionInterface
from chat.web.socket_limits import SocketLimits
from config import Config, StartupError

MAX_FORM_PARTS = 10
"""Parts of a form that is sent as multipart/form-data; the form of a room has four fields."""


def create_app(config: Config | None = None) -> Flask:
    """Build the app and migrate its database.

    Raises StartupError with a message for the operator.
    """
    config = config or Config.from_environment()
    app = ConfabFlask(
        __name__,
        instance_path=str(config.instance),
        template_folder="../templates",
        static_folder=None,
    )
    app.session_interface = SocketSessionInterface()
    with instance_folder.startup_lock(config.instance):
        _configure(app, config)
        database.init_app(app)
        readiness.init_app(app)
        migrations.init_app(app)
        migrations.migrate_to_latest(app)
    limits = Limits(config, app.config["SECRET_KEY"], is_shared=config.redis_url is not None)
    try:
        _add_pages(app, limits)
        _add_sockets(app, config, limits)
    except StartupError:
        database.close(app)
        raise
    return app


def shut_down(app: Flask) -> None:
    """Stop the background loops and close the database when the process ends.

    A loop that is reading would keep its connection open, and with it SQLite's write-ahead log.
    """
    built = services_of(app)
    built.join_timeout.stop()
    built.limit_sharing.stop()
    built.presence.stop()
    built.reconciler.stop()
    database.close(app, vacuum=built.journal.has_erased_text)


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


def _add_pages(app: Flask, limits: Limits) -> None:
    page_limits.init_app(app, limits)
    app.url_map.converters["label"] = LabelConverter
    for module in (pages, assets, health, well_known):
        app.register_blueprint(module.blueprint)
    responses.init_app(app)


def _add_sockets(app: Flask, config: Config, limits: Limits) -> None:
    socketio = _build_socketio(app, config)
    eio_sockets = socketio.server.eio.sockets
    connections_of_address = OpenConnections(
        config.limit_address_connections, eio_sockets.__contains__
    )
    socket_limits = SocketLimits(
        SocketRequestGuard(app.wsgi_app, config.offered_transports()),
        limits,
        connections_of_address,
    )
    app.wsgi_app = _add_middleware(socket_limits, limits, config)  # type: ignore[method-assign]  # as Flask documents
    services = _build_services(app, config, socketio, limits)
    set_services(app, services)
    handlers = events.EVENTS | message_events.EVENTS
    engine.limit_dev_server(config.head_seconds)
    engine.protect(socketio, events=handlers, observers=(socket_limits, services.join_timeout))
    if config.engine:
        engine.install(socketio)
    socketio.on_event("connect", partial(_on_connect, services))
    # Registered at python-socketio: it needs no request context.
    services.socketio.server.on("disconnect", partial(_on_disconnect, services))
    register(socketio, handlers, services.limits)


def _add_middleware(app: SocketLimits, limits: Limits, config: Config) -> ClientAddress:
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
    return ClientAddress(
        counted,
        config.forwarded_allow_ips,
        local_paths=health.PATHS,
        reports_problems=config.limits,
    )


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


def _build_services(app: Flask, config: Config, socketio: SocketServer, limits: Limits) -> Services:
    def is_connected(connection: str) -> bool:
        return bool(socketio.server.manager.is_connected(connection, "/"))

    bus = _build_bus(app, config, socketio)
    registry = _build_worker_registry(app, config)
    if config.redis_url is not None:
        bus_grace_seconds: float = BUS_GRACE_SECONDS
    else:
        bus_grace_seconds = inf if config.workers == 1 else 0.0
    broadcaster = Broadcaster(socketio)
    reconciler = Reconciler(app, socketio, broadcaster, bus)
    presence = PresenceTracker(app, socketio, broadcaster, bus, registry, bus_grace_seconds)
    limit_sharing = LimitSharing(socketio, bus, limits)
    join_timeout = JoinTimeout(
        socketio,
        partial(engine.close_transport, socketio.server.eio),
        join_seconds=config.join_seconds,
        left_seconds=config.left_seconds,
    )
    publisher = Publisher(reconciler.sequencer, bus)
    bus.subscribe("chat", reconciler.on_message)
    bus.subscribe("change", reconciler.on_message)
    bus.subscribe("presence", presence.on_message)
    bus.subscribe("typing", presence.on_typing)
    bus.subscribe("taken", limit_sharing.on_message)
    bus.on_connect(limit_sharing.start)
    bus.on_connect(presence.on_bus_connect)
    bus.on_connect(reconciler.resync)
    return Services(
        socketio=socketio,
        bus=bus,
        reconciler=reconciler,
        presence=presence,
        journal=Journal(publisher.publish, engine.yield_now, config.reaction_seconds),
        limits=limits,
        connections_of_person=OpenConnections(config.limit_person_connections, is_connected),
        limit_sharing=limit_sharing,
        join_timeout=join_timeout,
    )


def _build_bus(app: Flask, config: Config, socketio: SocketServer) -> Bus:
    if config.redis_url is None:
        return LocalBus()
    signer = MessageSigner(app.config["SECRET_KEY"], "bus")
    return RedisBus(socketio, config.redis_url, _redis_name("timed queue", app), signer)


def _build_worker_registry(app: Flask, config: Config) -> WorkerRegistry:
    if config.redis_url is None:
        return NoWorkerRegistry()
    signer = MessageSigner(app.config["SECRET_KEY"], "people")
    return RedisWorkerRegistry(config.redis_url, _redis_name("timed people", app), signer)


def _redis_name(purpose: str, app: Flask) -> str:
    """Return a name in Redis that is unique to this installation: it depends on the secret key."""
    digest = sha256(f"{purpose}/{app.config['SECRET_KEY']}".encode()).hexdigest()
    return f"confab:{digest[:16]}"
