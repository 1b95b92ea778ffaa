"""Clients of Redis, and what their errors mean."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from connectors.document_store import Answer
from groundswell.errors import SettingsError, StopJob, Unavailable

#: The name of the dependency in metrics, health and waits.
REDIS = "redis"


def connect(url: str, *, username: str = "", password: str = "", timeout: float = 5.0, retries: int = 2) -> redis.Redis:
    """A client of the server at ``redis://``, ``rediss://`` or ``unix://``; connects at the first command.

    Texts come back as ``str``. ``timeout`` bounds each connect and each answer, in
    seconds; a command is tried ``retries`` more times, over at most a second, before it
    fails. Raises :class:`~groundswell.errors.SettingsError` for an address that is none.
    """
    credentials = {name: value for name, value in (("username", username), ("password", password)) if value}
    try:
        return redis.Redis.from_url(
            url,
            **credentials,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), retries),
            health_check_interval=30,
            client_name="groundswell",
        )
    except ValueError as error:
        raise SettingsError(f"redis.url: {error}") from None


@contextmanager
def translated() -> Iterator[None]:
    """Turn the client's errors into what the job does about them.

    Raises :class:`~groundswell.errors.Unavailable` for what may heal and
    :class:`~groundswell.errors.StopJob` for what will not.
    """
    try:
        yield
    except (AuthenticationError, AuthorizationError, NoPermissionError) as error:
        raise StopJob(f"Redis refused the credentials: {error}; check redis.username and redis.password") from None
    except ResponseError as error:
        if str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
            raise StopJob(f"Redis refused the credentials: {error}; check redis.username and redis.password") from None
        raise Unavailable(REDIS, str(error)) from None
    except (RedisError, OSError) as error:
        raise Unavailable(REDIS, str(error) or type(error).__name__) from None


def ping(client: redis.Redis) -> Answer:
    """Ask for the version. Raises ``Unavailable`` or ``StopJob``."""
    with translated():
        began = time.perf_counter()
        client.ping()
        latency = time.perf_counter() - began
        return Answer(str(client.info("server")["redis_version"]), latency)
