"""Servers that stop and start again under load: nothing is lost, memory stays, and health says what is waited for.

``GROUNDSWELL_OUTAGE_SECONDS`` is how long each stays away (10; ``make chaos`` sets 60).
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable

import pytest

from tests.conftest import RedisDatabase
from tests.dataflows.harness import Cluster, Run, probe, run_to_end
from tests.dataflows.planting import Feeder
from tests.proxies import FlakyProxy, Reply, Request, reject_items
from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.kafka import KafkaServer
from tests.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.timeout(600)]

_OUTAGE_SECONDS = float(os.environ.get("GROUNDSWELL_OUTAGE_SECONDS") or 10)
_POSTS_PER_SECOND = 1_000
#: More than this the job must not grow by while it waits.
_GROWTH_BYTES = 150 * 1024 * 1024
#: A fraction of what arrives in an outage, so that reading ahead really is held back.
_CREDITS = 3_000


@pytest.mark.parametrize("dependency", ["kafka", "elasticsearch", "redis"])
def test_an_outage_is_waited_out(cluster: Cluster, redis: RedisDatabase, dependency: str) -> None:
    servers: dict[str, KafkaServer | ElasticsearchServer | RedisDatabase] = {
        "kafka": cluster.kafka,
        "elasticsearch": cluster.elasticsearch,
        "redis": redis,
    }
    server = servers[dependency]
    settings = cluster.settings({"sources": {"credit_records": _CREDITS}, "redis": {"url": redis.url}})
    with Run(settings) as run:
        with Feeder(cluster.planter, _POSTS_PER_SECOND):
            cluster.wait_for_documents(_POSTS_PER_SECOND)
            wait_until(lambda: _status(cluster.port, "/readyz") == 200, 30, "the job to be ready")
            before = run.resident_bytes()
            processes = [process.pid for process in run.job_processes()]
            server.stop()
            highest = _watch_outage(cluster.port, run, dependency)
            assert highest - before < _GROWTH_BYTES, f"grew from {before} to {highest} bytes"
            server.start()
            wait_until(lambda: _status(cluster.port, "/readyz") == 200, 60, "the job to be ready again")
        cluster.wait_for_documents(len(cluster.planter.ids))
        assert [process.pid for process in run.job_processes()] == processes, "an outage is no reason to restart"
        run.terminate()
        assert run.wait() == 0, run.reason
    assert run_to_end(settings)["documents"] == 0
    cluster.assert_all_accounted_for()


def test_all_servers_at_once(cluster: Cluster, redis: RedisDatabase) -> None:
    """The machine room loses power: servers killed, job killed, everything started again in no order."""
    settings = cluster.settings({"redis": {"url": redis.url}})
    cluster.planter.plant(5_000)
    with Run(settings) as run:
        cluster.wait_for_documents(1_000)
        for server in (cluster.elasticsearch, redis, cluster.kafka):
            server.kill()
        run.kill_everything()
    with Run(settings, "--until-end") as run:
        for server in (redis, cluster.elasticsearch, cluster.kafka):
            server.start()
        assert run.wait() == 0, run.reason
        cluster.assert_all_accounted_for()


def _watch_outage(port: int, run: Run, dependency: str) -> int:
    """Ask the job again and again while the server is away; returns its highest memory."""
    end = time.monotonic() + _OUTAGE_SECONDS
    highest = 0
    named = False

    def over() -> bool:
        nonlocal highest, named
        highest = max(highest, run.resident_bytes())
        health, ready = probe(port, "/healthz"), probe(port, "/readyz")
        assert health is not None and health[0] == 200, health
        assert ready is not None
        if named or dependency in ready[1]["troubles"]:
            named = True
            assert ready[0] == 503, ready
            assert dependency in ready[1]["troubles"], ready
        return time.monotonic() >= end

    wait_until(over, _OUTAGE_SECONDS + 60, "the outage to be long enough", interval=0.1)
    assert named, f"nothing named {dependency}"
    if dependency != "redis":  # what stands beside the flow holds nothing up
        health = probe(port, "/healthz")
        assert health is not None and dependency in health[1]["reason"], health
    return highest


def _status(port: int, path: str) -> int:
    answer = probe(port, path)
    return answer[0] if answer else 0


def test_a_storm_of_429_and_lost_answers(cluster: Cluster) -> None:
    """Elasticsearch is overloaded: it turns bulks away, whole or in part, and answers get lost on the way."""
    faults = itertools.cycle(("429", "", "lost", "partly", "", "503", "cut", ""))
    partly = reject_items(lambda number: number % 2 == 0)

    def storm(request: Request, forward: Callable[[Request], Reply]) -> Reply | None:
        fault = next(faults)
        if fault in ("429", "503"):
            return Reply(int(fault), b'{"error":{"type":"es_rejected_execution_exception"}}')
        if fault == "partly":
            return partly(request, forward)
        reply = forward(request)
        if fault == "lost":
            return None
        if fault == "cut":
            reply.cut = len(reply.body) // 2
        return reply

    cluster.planter.plant(6_000)
    proxy = FlakyProxy(cluster.elasticsearch.url, storm)
    try:
        settings = cluster.settings({"documents": {"url": proxy.url, "bulk_documents": 250}})
        summary = run_to_end(settings)
    finally:
        proxy.close()
    assert len(proxy.bulks) > 16, "each fault twice at least"
    assert summary["restarts"] == 0
    assert summary["read"] == summary["documents"] + summary["duplicates"] + sum(summary["dead"].values())
    cluster.assert_all_accounted_for()
