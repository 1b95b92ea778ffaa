"""Clients of Redis, and what their errors mean."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Self, cast

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterCrossSlotError,
    MovedError,
    NoPermissionError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from connectors.document_store import Answer
from connectors.redis_address import parse_address
from groundswell.errors import SettingsError, StopJob, Unavailable

#: The name of the dependency in metrics, health and waits.
REDIS = "redis"

CLUSTER_ADVICE: Final = (
    "write redis.url as redis+cluster://host:port, and give redis.prefix a hash tag in braces, such as "
    "{groundswell}:, so that all keys lie in one slot"
)

_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
#: What became of asking each sentinel, in the client's report.
_SENTINEL_REASON = re.compile(r">\)>\)> - (.*?)(?=, <redis\.|$)")
#: What servers say of users who may not; from a script, in the middle of other words.
_NO_ACCESS = re.compile(r"^(NOAUTH|WRONGPASS|NOPERM)|ACL failure in script|[Tt]he user executing the script can't")


class Tls(NamedTuple):
    """Files for encrypted connections: authorities to trust, and the client's own certificate and key."""

    ca_certs: str = ""
    client_cert: str = ""
    client_key: str = ""


def connect(
    url: str,
    *,
    username: str = "",
    password: str = "",
    sentinel_username: str = "",
    sentinel_password: str = "",
    tls: Tls = Tls(),  # noqa: B008 (immutable)
    timeout: float = 5.0,
    retries: int = 2,
) -> redis.Redis:
    """A client of the server at ``redis://``, ``rediss://`` or ``unix://``; connects at the first command.

    ``redis+sentinel://host,host/name`` asks the sentinels for the master, with their own
    credentials, and ``redis+cluster://host,host`` any node for the others
    (:mod:`connectors.redis_address`); with ``rediss+`` both are encrypted, and so is what
    they lead to.

    Texts come back as ``str``. ``timeout`` bounds each connect and each answer, in
    seconds; a command is tried ``retries`` more times, over at most a second, before it
    fails. Raises :class:`~groundswell.errors.SettingsError` for an address that is none.
    """
    address = parse_address(url)
    encrypted = url.startswith("rediss")
    if any(tls) and not encrypted:
        raise SettingsError("redis.ca_certs, redis.client_cert and redis.client_key need a rediss:// address")
    security = {name: file for name, file in zip(_TLS_OPTIONS, tls, strict=True) if file}
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": _retry(retries),
        "health_check_interval": 30,
        "client_name": "groundswell",
        **_credentials(username or (address.username if address else ""), password),
        **security,
    }
    if address is None:
        try:
            return redis.Redis.from_url(url, **options)
        except ValueError as error:
            raise SettingsError(f"redis.url: {error}") from None
    if encrypted:
        options["ssl"] = True
    if address.kind == "cluster":
        return cast("redis.Redis", _ClusterClient(address.hosts, options))
    shared = ("socket_timeout", "socket_connect_timeout", "ssl", *_TLS_OPTIONS)
    of_sentinels: dict[str, Any] = {name: options[name] for name in shared if name in options}
    of_sentinels["retry"] = _retry(retries)
    of_sentinels |= _credentials(sentinel_username, sentinel_password)
    sentinels = Sentinel(address.hosts, sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]
    master = sentinels.master_for(address.service, db=address.database, **options)  # type: ignore[no-untyped-call]
    return cast("redis.Redis", master)


def _retry(retries: int) -> Retry:
    return Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), retries)


def _credentials(username: str, password: str) -> dict[str, str]:
    return {name: value for name, value in (("username", username), ("password", password)) if value}


class _ClusterClient:
    """A cluster's client that connects at its first command, as those of single servers do."""

    def __init__(self, hosts: Sequence[tuple[str, int]], options: dict[str, Any]) -> None:
        self._hosts = hosts
        self._options = options
        self._lock = threading.Lock()
        self._client: RedisCluster | None = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._client is None:
                nodes = [ClusterNode(*host) for host in self._hosts]  # type: ignore[no-untyped-call]
                # All keys lie in one slot: what becomes of the others does not matter.
                self._client = RedisCluster(startup_nodes=nodes, require_full_coverage=False, **self._options)
        return getattr(self._client, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def is_cluster_client(client: redis.Redis) -> bool:
    """Whether :func:`connect` was given the address of a cluster."""
    return isinstance(client, _ClusterClient)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client's errors into what the job does about them.

    Raises :class:`~groundswell.errors.Unavailable` for what may heal and
    :class:`~groundswell.errors.StopJob` for what will not.
    """
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:
        # What a cluster's client says of the node that it asked first is only a wrapper.
        raise _meaning(error.__cause__ if isinstance(error.__cause__, RedisError) else error) from None


def _meaning(error: BaseException) -> Unavailable | StopJob:
    text = str(error)
    if isinstance(error, MasterNotFoundError):
        return _without_master(text)
    refused = isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError)
    if refused or (isinstance(error, ResponseError) and _NO_ACCESS.search(text)):
        return StopJob(f"Redis refused the credentials: {error}; check redis.username and redis.password")
    if isinstance(error, MovedError | ClusterCrossSlotError):
        return StopJob(f"the Redis of redis.url belongs to a cluster ({text}): {CLUSTER_ADVICE}")
    if isinstance(error, RedisClusterException) and "Cluster mode is not enabled" in text:
        return StopJob("redis.url: the server belongs to no cluster: write redis:// instead of redis+cluster://")
    return Unavailable(REDIS, text or type(error).__name__)


def _without_master(text: str) -> Unavailable | StopJob:
    """What it means that no sentinel named the master; the client shows each with all that it knows of it."""
    said, _, _ = text.partition(" : ")
    reasons = _SENTINEL_REASON.findall(text)
    if reasons and all("auth" in reason.lower() for reason in reasons):
        return StopJob(
            "the sentinels of redis.url refused the credentials: check redis.sentinel_username and "
            "redis.sentinel_password"
        )
    return Unavailable(REDIS, f"{said} ({'; '.join(reasons)})" if reasons else said)


def ping(client: redis.Redis) -> Answer:
    """Ask for the version. Raises ``Unavailable`` or ``StopJob``."""
    with translated():
        began = time.perf_counter()
        client.ping()
        latency = time.perf_counter() - began
        return Answer(str(client.info("server")["redis_version"]), latency)
