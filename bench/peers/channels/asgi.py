"""The ASGI application: WebSockets at the path of Socket.IO, everything else is plain Django."""

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

# Before the consumers are imported: this loads the apps, and only then can models be imported.
django_application = get_asgi_application()

from rooms.consumers import ChatConsumer  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": URLRouter([path("socket.io/", ChatConsumer.as_asgi())]),
    }
)
