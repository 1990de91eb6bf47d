"""The settings of the Django project: one app, SQLite, and a channel layer in Redis."""

import os

ALLOWED_HOSTS = ["127.0.0.1"]
ASGI_APPLICATION = "asgi.application"
INSTALLED_APPS = ["rooms"]
ROOT_URLCONF = "urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DATABASE"],
        # As the other servers, this one keeps its connection. All queries run in one thread.
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 5,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
        },
    }
}

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": os.environ["REDIS_URL"],
                    # redis-py refuses a 101st connection, but more clients join at once. It also
                    # ends a read after five seconds, which is how long the layer waits, and a
                    # connection attempt, which an overloaded server takes longer to notice.
                    "max_connections": 10_000,
                    "socket_timeout": None,
                    "socket_connect_timeout": None,
                }
            ],
            # The layer drops messages over its capacity. With the default of 100, an overloaded
            # server would lose deliveries instead of being late.
            "capacity": 5000,
        },
    }
}
