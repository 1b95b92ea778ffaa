"""Clients of Redis, and what their errors mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.embedded_redis import EmbeddedRedis
from connectors.redis_client import connect, ping, translated
from groundswell.errors import SettingsError, StopJob, Unavailable
from tests.conftest import RedisDatabase


def test_a_ping_tells_version_and_latency(redis: RedisDatabase) -> None:
    answer = ping(connect(redis.url))
    assert answer.version[0].isdigit()
    assert 0 < answer.latency_s < 60


def test_a_server_that_is_down_is_unavailable(redis: RedisDatabase) -> None:
    redis.stop()
    with pytest.raises(Unavailable, match=r"redis: .*refused"):
        ping(connect(redis.url))


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match=r"redis\.url"):
        connect("http://localhost")


def test_wrong_credentials_never_heal(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        admin = connect(server.url)
        admin.acl_setuser("job", enabled=True, passwords=["+right"], keys=["*"], categories=["+@all"])
        admin.acl_setuser("reader", enabled=True, passwords=["+right"], keys=["*"], commands=["+ping"])
        assert ping(connect(server.url, username="job", password="right")).version
        for username, password in (("job", "wrong"), ("nobody", "right"), ("reader", "right")):
            with pytest.raises(StopJob, match=r"redis\.username and redis\.password"):
                ping(connect(server.url, username=username, password=password))


def test_a_command_that_the_server_cannot_take_now_is_unavailable(redis: RedisDatabase) -> None:
    client = connect(redis.url)
    client.set("text", "x")
    with pytest.raises(Unavailable, match="WRONGTYPE"), translated():
        client.lpush("text", "y")
