"""create_app: where the parts meet, nothing else."""

from hashlib import sha256
from math import inf

from flask import Flask
from flask_socketio import SocketIO

from chat import engine, events, identity, message_events
from chat.delivery import reconciler
from chat.delivery.bus import LocalBus, RedisBus
from chat.engine.packets import StrictJSON, TextPacket
from chat.presence import tracker
from chat.presence.registry import NullWorkerRegistry, WorkerRegistry
from chat.storage import database, instance_folder, journal
from chat.web import middleware, pages
from chat.web.sessions import ConfabFlask, SocketSessionInterface
from config import Config

MAX_FORM_PARTS = 10  # of a form sent as multipart/form-data; that of a room's page has four fields


def create_app(config: Config | None = None) -> Flask:
    """Build Confab, with its database brought up to date. Raises CannotStart with a sentence that says what to do."""
    config = config or Config.from_environment()
    app = ConfabFlask(
        __name__,
        instance_path=str(config.instance),
        template_folder="../templates",
        static_folder=None,
    )
    app.session_interface = SocketSessionInterface()
    with instance_folder.starting(config.instance):
        app.config.update(
            CONFAB=config,
            SECRET_KEY=config.secret_key or instance_folder.secret(config.instance),
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
        database.init_app(app)
        database.migrate_to_latest(app)
    app.url_map.converters["label"] = pages.LabelConverter
    app.register_blueprint(pages.blueprint)
    app.extensions["journal"] = journal.journal(engine.yield_now)
    _open_sockets(app, config)
    return app


def _open_sockets(app: Flask, config: Config) -> None:
    queue: LocalBus = LocalBus()
    leases: WorkerRegistry | NullWorkerRegistry = NullWorkerRegistry()
    patience = inf if config.workers == 1 else 0
    if config.redis_url is not None:
        queue = RedisBus(
            config.redis_url, _name("queue", app), events={"chat", "change", "presence", "typing"}
        )
        leases = WorkerRegistry(config.redis_url, _name("people", app))
        patience = tracker.PATIENCE_SECONDS
    socketio = SocketIO(
        app,
        client_manager=queue,
        transports=list(config.offered()),  # type: ignore[call-arg]  # the stubs do not know it
        async_mode=engine.async_mode(),
        async_handlers=False,  # one connection's events run in the order they were sent
        json=StrictJSON,
        serializer=TextPacket,
        max_http_buffer_size=config.frame_bytes,
        ping_interval=config.ping_seconds,
        ping_timeout=config.ping_grace_seconds,
    )
    app.wsgi_app = middleware.BodyLimit(  # type: ignore[method-assign]  # as Flask says
        middleware.guard_requests(app.wsgi_app, config.offered()),
        page_bytes=config.body_bytes,
        socket_bytes=config.frame_bytes,
        seconds=config.body_seconds,
    )
    watch = reconciler.Reconciler(app, socketio, lambda: queue.up)
    here = tracker.PresenceTracker(app, socketio, queue, leases, patience)
    app.extensions.update(heads=watch, order=watch.order, presence=here, queue=queue)
    ears = {
        "chat": watch.on_message,
        "change": watch.on_message,
        "presence": here.on_message,
        "typing": here.on_typing,
    }

    def on_connect() -> None:
        here.on_connect()
        watch.resync()

    queue.on_connect = on_connect
    queue.on_message = lambda event, payload: ears[event](event, payload)
    doors = events.EVENTS | message_events.EVENTS
    engine.protect(socketio, events=doors)
    if config.engine:
        engine.install(socketio)
    socketio.on_event("connect", identity.load_identity)
    socketio.server.on("disconnect", here.leave)  # type: ignore[attr-defined]  # it needs nothing of what Flask-SocketIO prepares for handlers
    events.register(socketio, doors)


def _name(what: str, app: Flask) -> str:
    """A name for something in Redis: two Confabs may share one."""
    return "confab:" + sha256(f"{what}/{app.config['SECRET_KEY']}".encode()).hexdigest()[:16]
