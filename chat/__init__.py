"""create_app: where the parts meet, nothing else."""

from hashlib import sha256

from flask import Flask
from flask_socketio import SocketIO

from chat import changes, database, engine, events, gate, heads, identity, instance, journal, views
from chat.packets import StrictJSON, TextPacket
from chat.queue import NoQueue, Queue
from chat.sessions import Confab, Sessions
from config import Config


def create_app(config: Config | None = None) -> Flask:
    """Build Confab, with its database brought up to date. Raises CannotStart with a sentence that says what to do."""
    config = config or Config.from_environment()
    app = Confab(__name__, instance_path=str(config.instance), template_folder="../templates", static_folder=None)
    app.session_interface = Sessions()
    with instance.starting(config.instance):
        app.config.update(
            CONFAB=config,
            SECRET_KEY=config.secret_key or instance.secret(config.instance),
            SQLALCHEMY_DATABASE_URI=config.database(),
            SQLALCHEMY_ENGINE_OPTIONS=database.engine_options(config.database()),
            SESSION_COOKIE_NAME="confab",
            SESSION_COOKIE_SAMESITE="Lax",
            PERMANENT_SESSION_LIFETIME=config.cookie_seconds,
            SESSION_REFRESH_EACH_REQUEST=False,
        )
        database.init_app(app)
        database.bring_up_to_date(app)
    app.url_map.converters["label"] = views.LabelConverter
    app.register_blueprint(views.pages)
    app.extensions["journal"] = journal.journal(engine.gather)
    _open_sockets(app, config)
    return app


def _open_sockets(app: Flask, config: Config) -> None:
    queue = _queue(config, app.config["SECRET_KEY"])
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
    app.wsgi_app = gate.begin_well(app.wsgi_app, config.offered(), config.frame_bytes)  # type: ignore[method-assign]  # as Flask says
    app.extensions["heads"] = watch = heads.Heads(app, socketio, lambda: queue.up)
    app.extensions.update(order=watch.order, queue=queue)
    queue.heard, queue.back = watch.hear, watch.all_clear
    engine.protect(socketio, events={*events.EVENTS, *changes.EVENTS})
    if config.engine:
        engine.speed_up(socketio)
    socketio.on_event("connect", identity.recognise)
    events.register(socketio, events.EVENTS | changes.EVENTS)


def _queue(config: Config, key: str) -> Queue | NoQueue:
    if config.redis_url is None:
        return NoQueue()
    channel = "confab:" + sha256(f"queue/{key}".encode()).hexdigest()[:16]  # two Confabs may share one Redis
    return Queue(config.redis_url, channel, events={"chat", "change"})
