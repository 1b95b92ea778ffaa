"""``kill -9`` at random moments while documents are re-read: every score is that of an undisturbed run.

The moments are random; the seed is printed and ``GROUNDSWELL_TEST_SEED`` repeats a run.
"""

from __future__ import annotations

import gzip
import os
import random
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.kafka_trends import KafkaTrendStore
from groundswell.records import Post
from groundswell.trends import TrendEvent
from groundswell.waits import Waits
from operators import hashtags
from operators.topics.offline import trend_of
from tests.conftest import RedisDatabase
from tests.dataflows.harness import ROOT, Cluster, Run, run_to_end
from tests.stack.elasticsearch import ElasticsearchServer
from tests.stack.kafka import KafkaServer
from tests.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.stack]

SAMPLE = ROOT / "demo" / "oklahoma-tornado-2013.jsonl.gz"
TAGS = ("oklahoma", "prayforoklahoma", "tornado", "moore", "okwx")
KILLS = 20
#: What re-reading may change in a document.
CHANGED = ("classification", "topics")


class _Line(msgspec.Struct):
    id: str
    text: str
    created_at: datetime


def _events() -> list[TrendEvent]:
    """A trend of each tag, as the sample shows it."""
    decoder = msgspec.json.Decoder(_Line)
    lines = [decoder.decode(line) for line in gzip.decompress(SAMPLE.read_bytes()).splitlines()]
    posts = [
        Post(line.id, "crisislex", line.text, line.created_at, hashtags=hashtags.extract(line.text)) for line in lines
    ]
    at = datetime(2013, 5, 22, tzinfo=UTC)
    trends = (msgspec.structs.replace(trend_of(tag, posts), id=f"{tag}/1", since=at) for tag in TAGS)
    return [TrendEvent(1, "began", at, 1, trend) for trend in trends]


class Archive:
    """The sample in indices of its own, and the trends in a topic of their own."""

    def __init__(
        self,
        folder: Path,
        kafka: KafkaServer,
        elasticsearch: ElasticsearchServer,
        redis: str,
        events: Iterable[TrendEvent],
    ) -> None:
        folder.mkdir()
        self.cluster = Cluster(folder, kafka, elasticsearch)
        self.settings = self.cluster.settings(
            {
                "redis": {"url": redis, "prefix": f"{folder.name}:"},
                "models": {"posts": "encoder@champion"},
                "documents": {
                    "url": elasticsearch.url,
                    "alias": self.cluster.alias,
                    "trends_index": self.cluster.trends_index,
                    "replicas": 0,
                },
                "reclassify": {"least_score": 0.01},
                "observability": {"port": 0},
            }
        )
        run_to_end(self.settings, "--flow", "posts", "--posts", str(SAMPLE))
        store = KafkaTrendStore(kafka.bootstrap_servers, self.cluster.trends_topic, Waits())
        store.prepare()
        store.write([], list(events), lambda: True)
        store.close()

    def documents(self) -> dict[str, dict[str, Any]]:
        """All documents, by the posts' ids."""
        request = self.cluster.elasticsearch.request
        request("POST", f"/{self.cluster.alias}/_refresh")
        answer: Any = request("POST", f"/{self.cluster.alias}/_search", {"size": 10_000, "query": {"match_all": {}}})
        return {hit["_source"]["id"]: hit["_source"] for hit in answer["hits"]["hits"]}


def _scores(documents: dict[str, dict[str, Any]]) -> dict[tuple[str, str], float]:
    return {
        (key, tag): each[f"classification_{tag}"]
        for key, each in documents.items()
        for tag in TAGS
        if f"classification_{tag}" in each
    }


def _rest(documents: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What re-reading must leave as it is."""
    return {
        key: {name: value for name, value in each.items() if not name.startswith(CHANGED) and name != "indexed_at"}
        for key, each in documents.items()
    }


def _await_job(run: Run) -> None:
    """Return when a process of the job lives, or the run has ended."""
    wait_until(lambda: run.job_processes() or not run.running, 60, "a job process", interval=0.005)


@pytest.mark.timeout(900)
def test_killed_at_random_moments_it_gives_the_scores_of_an_undisturbed_run(
    tmp_path: Path, kafka: KafkaServer, elasticsearch: ElasticsearchServer, redis: RedisDatabase
) -> None:
    seed = int(os.environ.get("GROUNDSWELL_TEST_SEED") or random.randrange(2**32))
    print(f"GROUNDSWELL_TEST_SEED={seed}")
    pick = random.Random(seed)
    events = _events()
    calm, killed = (Archive(tmp_path / name, kafka, elasticsearch, redis.url, events) for name in ("calm", "killed"))
    before = killed.documents()
    run_to_end(calm.settings, "--flow", "reclassify")
    wanted = _scores(calm.documents())
    assert {tag for _, tag in wanted} == set(TAGS)

    kills = 0
    while kills < KILLS:
        # Begun again once it is through: then there is nothing left to do, and that must be so whenever it is killed.
        with Run(killed.settings, "--flow", "reclassify", "--until-end") as run:
            while kills < KILLS and run.running:
                _await_job(run)
                # A moment by the clock and by nothing that the job says: its start is hit as well as its work.
                time.sleep(pick.uniform(0, 6))
                if run.running and run.job_processes():
                    run.kill_job_process()
                    kills += 1
            assert run.wait(300) == 0, run.reason
    after = killed.documents()
    found = _scores(after)
    assert found.keys() == wanted.keys()
    # A model's eight bits depend a little on the texts that were read together.
    assert max(abs(found[key] - wanted[key]) for key in wanted) < 0.01
    assert _rest(after) == _rest(before)
