"""Clients of Redis, and what their errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis as redis_py

from connectors.embedded_redis import EmbeddedRedis
from connectors.presence import Presence, read_presence
from connectors.redis_client import Tls, connect, ping, translated
from connectors.redis_trends import RedisTrendStore
from connectors.trend_reader import TrendReader
from groundswell.errors import SettingsError, StopJob, Unavailable
from groundswell.reports import Status, Totals
from groundswell.trends import TagCount, Window
from groundswell.waits import Waits
from tests.conftest import RedisDatabase
from tests.stack.process import Server
from tests.stack.redis import RedisServer
from tests.stack.redis_kinds import RedisClusterNode, RedisReplica, RedisSentinel, TlsRedisServer
from tests.waiting import wait_until


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


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Server]]:
    """Servers of the test's own: those that it puts here end with it."""
    servers: list[Server] = []
    yield servers
    for server in reversed(servers):
        server.kill()


def window(end: int) -> Window:
    return Window(1, end, 0, 60, (TagCount("a", end),))


@pytest.mark.stack
def test_a_master_is_found_through_sentinels_and_so_is_the_next_one(started: list[Server], tmp_path: Path) -> None:
    master = RedisServer(tmp_path / "master")
    started.append(master)
    master.start()
    replica = RedisReplica(tmp_path / "replica", master)
    sentinel = RedisSentinel(tmp_path / "sentinel", master)
    for server in (replica, sentinel):
        started.append(server)
        server.start()
    wait_until(lambda: sentinel.replicas() == 1, 30, "the sentinel to know the replica")
    # One of the two sentinels that are named does not run.
    url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/main?db=3"
    store = RedisTrendStore(connect(url, timeout=1), Waits())
    store.prepare()
    store.write([window(100)], [], lambda: True)
    assert connect(f"redis://127.0.0.1:{master.port}/3").zscore("hashtags", "a") == 100
    wait_until(lambda: connect(f"redis://127.0.0.1:{replica.port}/3").exists("hashtags"), 10, "the replica to follow")
    master.kill()
    # The store waits until the sentinel has made the replica the master.
    store.write([window(110)], [], lambda: True)
    assert connect(f"redis://127.0.0.1:{replica.port}/3").zscore("hashtags", "a") == 110
    assert [each.end for each in TrendReader(connect(url)).now(history=5).history] == [100, 110]


@pytest.mark.stack
def test_sentinels_and_servers_have_passwords_of_their_own(started: list[Server], tmp_path: Path) -> None:
    master = RedisServer(tmp_path / "master")
    started.append(master)
    master.start()
    sentinel = RedisSentinel(tmp_path / "sentinel", master)
    started.append(sentinel)
    sentinel.start()
    connect(f"redis://127.0.0.1:{sentinel.port}").acl_setuser(
        "watcher", enabled=True, passwords=["+outer"], categories=["+@all"], keys=["*"], channels=["*"]
    )
    connect(f"redis://127.0.0.1:{sentinel.port}").acl_setuser("default", enabled=False)
    connect(f"redis://127.0.0.1:{master.port}").acl_setuser(
        "job", enabled=True, passwords=["+inner"], categories=["+@all"], keys=["*"]
    )
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
    outer = partial(connect, url, sentinel_username="watcher", sentinel_password="outer")
    assert ping(outer(username="job", password="inner")).version
    for username, password in (("watcher", "inner"), ("", "")):
        wrong = connect(url, sentinel_username=username, sentinel_password=password)
        with pytest.raises(StopJob, match=r"redis\.sentinel_username and redis\.sentinel_password"):
            ping(wrong)
    with pytest.raises(StopJob, match=r"redis\.username and redis\.password"):
        ping(outer(username="job", password="outer"))


def test_sentinels_that_do_not_answer_are_unavailable() -> None:
    reasons = r"\([^<;]*ConnectionError[^<;]*; [^<;]*ConnectionError[^<;]*\)"
    with pytest.raises(Unavailable, match=rf"^redis: No master found for 'main' {reasons}$"):
        ping(connect("redis+sentinel://127.0.0.1:1,127.0.0.1:2/main", retries=0))


@pytest.mark.stack
def test_connections_are_encrypted_and_the_certificate_is_checked(started: list[Server], tmp_path: Path) -> None:
    server = TlsRedisServer(tmp_path)
    started.append(server)
    server.start()
    url = f"rediss://127.0.0.1:{server.port}/1"
    trusting = Tls(ca_certs=str(server.certificate))
    assert ping(connect(url, tls=trusting)).version
    with pytest.raises(Unavailable, match="certificate verify failed"):
        ping(connect(url, retries=0))
    with pytest.raises(Unavailable):
        ping(connect(url.replace("rediss", "redis"), retries=0, timeout=1))
    with pytest.raises(SettingsError, match=r"redis\.ca_certs.* rediss://"):
        connect("redis://127.0.0.1", tls=trusting)


def spread_over_slots(client: redis_py.Redis) -> redis_py.Redis:
    client.zadd("jobs", {"posts:0": 1, "posts:1": 1})
    return client


@pytest.mark.stack
def test_a_process_reports_itself_on_a_cluster_too(started: list[Server], tmp_path: Path) -> None:
    node = RedisClusterNode(tmp_path)
    started.append(node)
    node.start()
    # One of the two nodes that are named does not run.
    url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{node.port}"
    status = Status(Totals(read=7), epochs=1, lag=0, waits={})
    presence = Presence(connect(url), Waits(), lambda: status, job="posts", process=0, prefix="{job}:", interval=0.05)
    presence.start()
    with connect(url) as client:
        wait_until(lambda: [each.totals.read for each in read_presence(client, "{job}:")] == [7], 10, "the report")
        assert ping(client).version
    presence.close()
    with pytest.raises(StopJob, match=r"belongs to a cluster .*redis\+cluster://"):
        read_presence(spread_over_slots(connect(f"redis://127.0.0.1:{node.port}")))
    with pytest.raises(Unavailable):
        ping(connect("redis+cluster://127.0.0.1:1", retries=0))


def test_a_server_that_belongs_to_no_cluster_is_no_cluster(redis: RedisDatabase) -> None:
    with pytest.raises(StopJob, match="belongs to no cluster"):
        ping(connect(f"redis+cluster://127.0.0.1:{redis.port}"))
