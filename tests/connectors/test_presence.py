"""Processes report themselves in Redis: the same on a real server and on the embedded one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from connectors.embedded_redis import EmbeddedRedis
from connectors.presence import Presence, ProcessReport, read_presence
from connectors.redis_client import connect
from groundswell.errors import Unavailable
from groundswell.metrics import REGISTRY
from groundswell.reports import Status, Totals
from groundswell.waits import Waits
from tests.conftest import RedisDatabase
from tests.waiting import wait_until


class Server(Protocol):
    """A Redis that a test may take away."""

    @property
    def url(self) -> str: ...

    def stop(self) -> None: ...

    def start(self) -> None: ...


class _Embedded:
    """The embedded server, stopped as the machine would stop it: it comes back by itself."""

    def __init__(self, data_dir: Path) -> None:
        self.server = EmbeddedRedis(data_dir)
        self.server.start()
        self._stopped: int | None = None

    @property
    def url(self) -> str:
        return self.server.url

    def stop(self) -> None:
        assert self.server.pid is not None
        self._stopped = self.server.pid
        os.kill(self._stopped, signal.SIGSTOP)

    def start(self) -> None:
        assert self._stopped is not None
        os.kill(self._stopped, signal.SIGKILL)


@pytest.fixture(params=["real", "embedded"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "real":
        database: RedisDatabase = request.getfixturevalue("redis")
        yield database
        return
    embedded = _Embedded(tmp_path)
    yield embedded
    embedded.server.close()


class Job:
    """A process whose totals and models a test moves."""

    def __init__(self, server: Server, process: int = 0, prefix: str = "", lifetime: float = 10.0) -> None:
        self.waits = Waits()
        self.totals = Totals()
        self.models: tuple[str, ...] = ("sentiment-baseline@1",)
        self.presence = Presence(
            connect(server.url, timeout=0.5, retries=0),
            self.waits,
            lambda: Status(self.totals, epochs=1, lag=7, waits={}, models=self.models),
            job="posts",
            process=process,
            prefix=prefix,
            interval=0.05,
            lifetime=lifetime,
        )
        self.presence.start()


def seen(server: Server, prefix: str = "") -> list[ProcessReport]:
    try:
        return read_presence(connect(server.url, timeout=0.5, retries=0), prefix)
    except Unavailable:
        return []


def test_each_process_is_seen_with_its_totals(server: Server) -> None:
    jobs = [Job(server, process) for process in (1, 0)]
    jobs[0].totals = Totals(read=12, documents=10, dead={"not_json": 2})
    wait_until(lambda: len(seen(server)) == 2 and seen(server)[1].totals.read == 12, 10, "both reports")
    first, second = seen(server)
    assert (first.process, second.process) == (0, 1)
    assert second.totals == Totals(read=12, documents=10, dead={"not_json": 2})
    assert (second.job, second.pid, second.lag, second.models) == ("posts", os.getpid(), 7, ("sentiment-baseline@1",))
    assert second.state == "running"
    assert second.started <= second.seen <= datetime.now(UTC)
    for job in jobs:
        job.presence.close()


def test_the_model_is_the_one_in_use_now(server: Server) -> None:
    job = Job(server)
    wait_until(lambda: seen(server), 10, "the first report")
    job.models = ("sentiment-baseline@2",)
    wait_until(lambda: seen(server)[0].models == ("sentiment-baseline@2",), 10, "the swapped version")
    job.presence.close()


def test_the_rate_is_that_of_the_last_interval(server: Server) -> None:
    job = Job(server)
    wait_until(lambda: seen(server), 10, "the first report")
    rates: list[float] = []

    def moved() -> bool:
        job.totals = Totals(read=job.totals.read + 1000)
        rates.extend(report.rate for report in seen(server))
        return max(rates) > 0

    wait_until(moved, 10, "a rate")
    wait_until(lambda: [report.rate for report in seen(server)] == [0.0], 10, "a rate of zero when nothing is read")
    job.presence.close()


def test_waiting_draining_and_ended_are_told_apart(server: Server) -> None:
    job = Job(server)
    job.waits.begin("elasticsearch", "connection refused")
    wait_until(lambda: [report.state for report in seen(server)] == ["waiting"], 10, "waiting")
    assert seen(server)[0].waits == {"elasticsearch": "connection refused"}
    job.presence.draining()
    wait_until(lambda: [report.state for report in seen(server)] == ["draining"], 10, "draining")
    job.presence.close()
    assert [report.state for report in seen(server)] == ["ended"]


def test_a_process_that_is_gone_expires(server: Server) -> None:
    job = Job(server, lifetime=0.3)
    wait_until(lambda: seen(server), 10, "the first report")
    job.presence.close()
    wait_until(lambda: not seen(server), 10, "the report to expire")


def test_prefixes_keep_deployments_apart(server: Server) -> None:
    jobs = [Job(server, prefix="blue:"), Job(server, prefix="green*:")]
    wait_until(lambda: seen(server, "blue:") and seen(server, "green*:"), 10, "both reports")
    client = connect(server.url)
    assert set(client.scan_iter()) == {"blue:jobs", "blue:job:posts:0", "green*:jobs", "green*:job:posts:0"}
    assert seen(server) == []
    for job in jobs:
        job.presence.close()


def test_a_redis_that_does_not_answer_is_named_and_waited_for(server: Server) -> None:
    job = Job(server)
    wait_until(lambda: seen(server), 10, "the first report")
    server.stop()
    wait_until(lambda: "redis" in job.waits.current(), 20, "the wait to be named")
    assert job.waits.blocking() == {}
    assert REGISTRY.get_sample_value("groundswell_dependency_up", {"dependency": "redis"}) == 0
    server.start()
    job.totals = Totals(read=5)
    wait_until(lambda: [report.totals.read for report in seen(server)] == [5], 30, "reports to go on")
    wait_until(lambda: job.waits.current() == {}, 10, "the wait to end")
    assert REGISTRY.get_sample_value("groundswell_dependency_up", {"dependency": "redis"}) == 1
    job.presence.close()


def test_closing_does_not_wait_for_a_redis_that_is_down(server: Server) -> None:
    job = Job(server)
    wait_until(lambda: seen(server), 10, "the first report")
    server.stop()
    wait_until(lambda: "redis" in job.waits.current(), 20, "the wait to be named")
    job.presence.close()
    assert job.waits.current() == {}
    server.start()


def test_a_report_of_another_version_is_left_out(server: Server) -> None:
    job = Job(server)
    wait_until(lambda: seen(server), 10, "the first report")
    client = connect(server.url)
    client.zadd("jobs", {"posts:9": 1e12})
    client.set("job:posts:9", msgspec.json.encode({"who": "knows"}))
    assert [report.process for report in seen(server)] == [0]
    job.presence.close()
