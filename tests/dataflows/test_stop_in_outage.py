"""SIGTERM while a server is away: the job ends in time and says so, and the next run goes on without a loss."""

from __future__ import annotations

import pytest

from tests.dataflows.harness import Cluster, Run, probe, run_to_end
from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.kafka import KafkaServer
from tests.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.timeout(300)]

_DRAIN_SECONDS = 2.0


@pytest.mark.parametrize("dependency", ["kafka", "elasticsearch"])
def test_a_job_that_waits_ends_when_the_time_to_drain_is_over(cluster: Cluster, dependency: str) -> None:
    servers: dict[str, KafkaServer | ElasticsearchServer] = {
        "kafka": cluster.kafka,
        "elasticsearch": cluster.elasticsearch,
    }
    settings = cluster.settings({"job": {"drain_timeout": _DRAIN_SECONDS}})
    cluster.planter.plant(2_000)
    with Run(settings) as run:
        cluster.wait_for_documents(1_000)
        servers[dependency].stop()
        if dependency == "elasticsearch":
            cluster.planter.plant(2_000)

        def waits() -> bool:
            health = probe(cluster.port, "/healthz")
            return health is not None and dependency in health[1]["reason"]

        wait_until(waits, 60, f"the job to wait for {dependency}")
        run.terminate()
        code = run.wait(60)
        servers[dependency].start()
    if dependency == "elasticsearch":
        assert code == 1
        assert "gave up waiting" in run.reason
    run_to_end(settings)
    cluster.assert_all_accounted_for()
