"""create_app: the application factory, where the parts of the server are connected."""

from functools import partial
from hashlib import sha256
from math import inf
from typing import Any, cast

from flask import Flask
from flask_socketio import SocketIO

from chat import engine, events, message_events
from chat.broadcasts import Broadcaster
from chat.delivery.bus import Bus, LocalBus, RedisBus
from chat.delivery.publisher import Publisher
from chat.delivery.reconciler import Reconciler
from chat.delivery.signatures import MessageSigner
from chat.dispatch import register
from chat.identity import load_identity
from chat.presence.registry import NoWorkerRegistry, RedisWorkerRegistry, WorkerRegistry
from chat.presence.tracker import BUS_GRACE_SECONDS, PresenceTracker
from chat.services import Services, services_of, set_services
from chat.socket_server import SocketServer
from chat.storage import database, instance_folder, migrations
from chat.storage.journal import Journal
from chat.web import assets, health, pages, responses
from chat.web.labels import LabelConverter
from chat.web.middleware import BodyLimit, SocketRequestGuard
from chat.web.sessions import ConfabFlask, SocketSessionInterface
from config import Config

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
        migrations.init_app(app)
        migrations.migrate_to_latest(app)
    _add_pages(app)
    _add_sockets(app, config)
    return app


def shut_down(app: Flask) -> None:
    """Close the database when the process ends."""
    database.close(app, vacuum=services_of(app).journal.has_erased_text)


def _configure(app: Flask, config: Config) -> None:
    app.config.update(
        CONFAB=config,
        SECRET_KEY=config.secret_key or instance_folder.read_or_create_secret_key(config.instance),
        SQLALCHEMY_DATABASE_URI=config.database(),
        SQLALCHEMY_ENGINE_OPTIONS=database.engine_options(config.database()),
        SESSION_COOKIE_NAME="confab",
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=config.cookie_seconds,
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=config.body_bytes,
        MAX_FORM_MEMORY_SIZE=config.body_bytes,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
    )


def _add_pages(app: Flask) -> None:
    app.url_map.converters["label"] = LabelConverter
    for module in (pages, assets, health):
        app.register_blueprint(module.blueprint)
    responses.init_app(app)


def _add_sockets(app: Flask, config: Config) -> None:
    socketio = _build_socketio(app, config)
    app.wsgi_app = BodyLimit(  # type: ignore[method-assign]  # as Flask documents
        SocketRequestGuard(app.wsgi_app, config.offered_transports()),
        page_bytes=config.body_bytes,
        socket_bytes=config.frame_bytes,
        seconds=config.body_seconds,
    )
    services = _build_services(app, config, socketio)
    set_services(app, services)
    handlers = events.EVENTS | message_events.EVENTS
    engine.protect(socketio, events=handlers)
    if config.engine:
        engine.install(socketio)
    socketio.on_event("connect", partial(_on_connect, services))
    # Registered at python-socketio: it needs no request context.
    services.socketio.server.on("disconnect", services.presence.leave)
    register(socketio, handlers)


def _on_connect(services: Services, auth: object = None) -> None:
    services.bus.start()  # under `flask run`; a gunicorn worker has started it already
    load_identity(auth)


def _build_socketio(app: Flask, config: Config) -> SocketServer:
    socketio: Any = SocketIO(
        app,
        transports=list(config.offered_transports()),  # type: ignore[call-arg]  # unknown to the stubs
        async_mode=engine.async_mode(),
        async_handlers=False,  # the events of one connection are handled in order
        json=engine.StrictJSON,
        serializer=engine.TextPacket,
        max_http_buffer_size=config.frame_bytes,
        ping_interval=config.ping_seconds,
        ping_timeout=config.ping_grace_seconds,
    )
    return cast(SocketServer, socketio)  # see socket_server.py


def _build_services(app: Flask, config: Config, socketio: SocketServer) -> Services:
    bus: Bus = LocalBus()
    registry: WorkerRegistry = NoWorkerRegistry()
    bus_grace_seconds = inf if config.workers == 1 else 0.0
    if config.redis_url is not None:
        secret_key: str = app.config["SECRET_KEY"]
        bus = RedisBus(
            socketio,
            config.redis_url,
            _redis_name("signed queue", app),
            MessageSigner(secret_key, "bus"),
        )
        registry = RedisWorkerRegistry(
            config.redis_url,
            _redis_name("signed people", app),
            MessageSigner(secret_key, "people"),
        )
        bus_grace_seconds = BUS_GRACE_SECONDS
    broadcaster = Broadcaster(socketio)
    reconciler = Reconciler(app, socketio, broadcaster, bus)
    presence = PresenceTracker(app, socketio, broadcaster, bus, registry, bus_grace_seconds)
    publisher = Publisher(reconciler.sequencer, bus)
    bus.subscribe("chat", reconciler.on_message)
    bus.subscribe("change", reconciler.on_message)
    bus.subscribe("presence", presence.on_message)
    bus.subscribe("typing", presence.on_typing)
    bus.on_connect(presence.on_bus_connect)
    bus.on_connect(reconciler.resync)
    return Services(
        socketio=socketio,
        bus=bus,
        reconciler=reconciler,
        presence=presence,
        journal=Journal(publisher.publish, engine.yield_now, config.reaction_seconds),
    )


def _redis_name(purpose: str, app: Flask) -> str:
    """Return a name in Redis that is unique to this installation: it depends on the secret key."""
    digest = sha256(f"{purpose}/{app.config['SECRET_KEY']}".encode()).hexdigest()
    return f"confab:{digest[:16]}"
