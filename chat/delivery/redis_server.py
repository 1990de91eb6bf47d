"""How to reach the Redis server of an installation, and what it can do."""

import os
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import unquote, urlsplit

import redis
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry
from socketio.redis_manager import parse_redis_sentinel_url

from config import SENTINEL_SCHEME, StartupError

OPTIONS: dict[str, Any] = {
    "socket_timeout": 2,
    "socket_connect_timeout": 1,
    "retry": Retry(NoBackoff(), 0),
    "driver_info": None,  # it would be sent with CLIENT SETINFO, which few users may use
}
# A Unix socket has no keep-alive, and redis-py refuses that option for one.
TCP_OPTIONS: dict[str, Any] = {"socket_keepalive": True}

CLUSTER_SENTENCE = (
    "REDIS_URL is a node of a Redis Cluster, which Confab does not support: use one Redis server, "
    "or one with replicas behind Redis Sentinel."
)


class RedisClusterError(redis.RedisError):
    """The server is a node of a Redis Cluster."""

    def __init__(self) -> None:
        super().__init__(CLUSTER_SENTENCE)


class ChannelSubscriber(Protocol):
    """The commands of redis-py's PubSub for channels, some of which have no types there.

    The server confirms each channel with a message.
    """

    def subscribe(self, *channels: bytes) -> object:
        """Subscribe to channels."""

    def unsubscribe(self, *channels: bytes) -> object:
        """End the subscriptions to channels."""

    def ssubscribe(self, *channels: bytes) -> object:
        """Subscribe to sharded channels."""

    def sunsubscribe(self, *channels: bytes) -> object:
        """End the subscriptions to sharded channels."""


@dataclass(frozen=True)
class RedisServer:
    """The address of a Redis server: `redis://`, `rediss://`, `unix://` or `redis+sentinel://`.

    `ca_file` holds the certificates of the authorities that may have issued that of the server, by
    default those of the system. Without `verifies_certificate`, every certificate is accepted.
    """

    url: str
    ca_file: os.PathLike[str] | None = None
    verifies_certificate: bool = True

    def client(self, *, decode_responses: bool = False) -> redis.Redis:
        """Return a client. It connects when it is first used."""
        if urlsplit(self.url).scheme == SENTINEL_SCHEME:
            return self._client_of_sentinel(decode_responses=decode_responses)
        options = OPTIONS | {"decode_responses": decode_responses}
        if not self.url.startswith("unix://"):
            options |= TCP_OPTIONS
        if self.url.startswith("rediss://"):
            options |= self._tls_options()
        return redis.Redis.from_url(self.url, **options)

    def refuse_cluster(self) -> None:
        """Raise StartupError if the server is a node of a Redis Cluster.

        A server that cannot be reached is accepted: the bus reports it.
        """
        with self.client() as client:
            try:
                check_mode(client)
            except RedisClusterError as error:
                raise StartupError(str(error)) from None
            except (redis.RedisError, OSError):
                return

    def _tls_options(self) -> dict[str, Any]:
        if not self.verifies_certificate:
            return {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
        if self.ca_file is not None:
            return {"ssl_ca_certs": str(self.ca_file)}
        return {}

    def _client_of_sentinel(self, *, decode_responses: bool) -> redis.Redis:
        """Return a client that asks the Sentinels for the master whenever it connects.

        The credentials of the URL are those of the Redis servers.
        """
        addresses, service, credentials = parse_redis_sentinel_url(self.url)
        options = OPTIONS | TCP_OPTIONS | {"decode_responses": decode_responses}
        for name, value in credentials.items():
            options[name] = unquote(value) if isinstance(value, str) else value
        of_sentinels = OPTIONS | TCP_OPTIONS
        sentinels: Any = redis.sentinel  # its functions have no types
        sentinel = sentinels.Sentinel(addresses, sentinel_kwargs=of_sentinels, **options)
        return cast(redis.Redis, sentinel.master_for(service))


def send_command(client: redis.Redis, *words: str | bytes) -> Any:
    """Send a command; return the answer, whose type depends on the command.

    A pipeline only queues the command. Raises redis.RedisError.
    """
    untyped: Any = client  # execute_command has no types
    return untyped.execute_command(*words)


def check_mode(client: redis.Redis) -> None:
    """Raise RedisClusterError if a server is a node of a cluster, or another redis.RedisError.

    HELLO states the mode. Every user may send it, whatever their ACL.
    """
    try:
        answer = send_command(client, "HELLO")
    except redis.ResponseError as error:
        if "cluster mode" in str(error):  # it refuses to select another database than 0
            raise RedisClusterError from None
        return  # before Redis 6.2
    if mode_of(answer) == "cluster":
        raise RedisClusterError


def mode_of(answer: Any) -> str:
    """Return the mode in an answer to HELLO, which is a map, or a list in version 2 of RESP."""
    fields = (
        answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    )
    mode = fields.get(b"mode", fields.get("mode", ""))
    return mode.decode() if isinstance(mode, bytes) else str(mode)
