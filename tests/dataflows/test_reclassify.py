"""A disaster is replayed into the job: its hashtags trend by themselves, and what never had them is found.

The stream is the sample of the demo (posts of two days around a tornado, half of them about
something else) beside invented posts; nothing says which posts belong to the topic.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Producer

from connectors.document_query import Query
from connectors.document_store import DocumentStore
from connectors.documents import open_document_store
from connectors.redis_client import connect
from connectors.redis_topics import TopicBoard
from groundswell.records import Document
from groundswell.topics import field_of
from groundswell.waits import Waits
from tests.conftest import RedisDatabase
from tests.dataflows.harness import ROOT, Cluster, Run, Tables, run_to_end, write_settings
from tests.waiting import wait_until

SAMPLE = ROOT / "demo" / "oklahoma-tornado-2013.jsonl.gz"
#: What a post about the tornado says; the sample's other posts say none of it but by chance.
ABOUT = re.compile(
    r"tornado|oklahoma|\bok\b|moore|okc|pray|storm|victim|red ?cross|twister|shelter|surviv", re.IGNORECASE
)
TREND = "oklahoma"

STREAM: Tables = {
    "generator": {
        "count": 3_000,
        "rate": 0,
        "start": "2013-05-20T00:00:00+00:00",
        "span": 230_000,
        "bursts": [],
    },
    "trends": {"window": 7_200, "slide": 60},
    "observability": {"port": 0},
}
DETECTION = ("trends.detection.recent=1800", "trends.detection.min_count=10", "trends.window_ttl=604800")


class Found(NamedTuple):
    """The documents that carry the tag, and those that do not, the most probable first."""

    tagged: Sequence[Document]
    untagged: Sequence[Document]


def arguments() -> list[str]:
    return [part for each in DETECTION for part in ("--set", each)]


def found_by(store: DocumentStore, tag: str = TREND) -> Found:
    hits = store.search(Query(sort=field_of(tag), limit=2_000))
    documents = [hit.document for hit in hits if tag in hit.document.classification]
    tagged = [each for each in documents if tag in each.hashtags]
    return Found(tagged, [each for each in documents if tag not in each.hashtags])


def assert_topic_was_found(store: DocumentStore) -> None:
    found = found_by(store)
    # A store sorts by single precision.
    scores = [round(each.classification[TREND].score, 5) for each in found.untagged]
    assert scores == sorted(scores, reverse=True)
    best = found.untagged[:100]
    assert len(best) == 100
    about = sum(bool(ABOUT.search(each.text)) for each in best)
    assert about >= 95, [each.text for each in best if not ABOUT.search(each.text)]
    assert found.tagged, "those with the tag are always in"
    for each in (*found.tagged, *found.untagged):
        known = each.classification[TREND]
        assert (TREND in each.topics) == known.member == (known.score >= 0.5)
    invented = [each for each in found.untagged if each.source != "crisislex"]
    assert sum(each.classification[TREND].member for each in invented) <= len(found.untagged) / 100


def test_embedded_the_posts_that_never_had_the_tag_are_found(tmp_path: Path) -> None:
    settings = write_settings(
        tmp_path / "settings.toml",
        STREAM,
        {
            "job": {"data_dir": str(tmp_path / "data")},
            "sources": {"use": ["files", "generator"]},
            "files": {"paths": [str(SAMPLE)]},
        },
    )
    summary = run_to_end(settings, "--flow", "all", *arguments())
    assert summary["documents"] > 7_000
    with closing(open_document_store(f"sqlite:///{tmp_path / 'data' / 'documents.db'}", Waits())) as store:
        assert_topic_was_found(store)
        assert TREND in store.labels().fields


@pytest.mark.stack
def test_on_servers_two_jobs_find_them_together(cluster: Cluster, redis: RedisDatabase) -> None:
    cluster_settings = cluster.settings(
        STREAM,
        {
            "redis": {"url": redis.url},
            "models": {"posts": "encoder@champion"},
            "sources": {"use": ["kafka", "generator"]},
            "observability": {"port": 0},
        },
    )
    lines = gzip.decompress(SAMPLE.read_bytes()).splitlines()
    producer = Producer({"bootstrap.servers": cluster.kafka.bootstrap_servers, "linger.ms": 50})
    for line in lines:
        producer.produce(cluster.topic, line, partition=0)
    producer.flush()
    store = open_document_store(
        cluster.elasticsearch.url, Waits(), alias=cluster.alias, trends_index=cluster.trends_index, replicas=0
    )
    board = TopicBoard(connect(redis.url))
    with (
        closing(store),
        Run(
            cluster_settings,
            "--flow",
            "reclassify",
            "--set",
            "job.data_dir=" + str(cluster_settings.parent / "re"),
            *arguments(),
        ) as reclassify,
        Run(cluster_settings, "--flow", "posts", *arguments()) as posts,
    ):
        cluster.wait_for_documents(len(lines) + 2_900, timeout=400)

        def settled() -> bool:
            store.refresh()
            return len(found_by(store).untagged) >= 100 and not any(
                each.phase not in ("up to date", "over") for each in board.progress().values()
            )

        wait_until(settled, 200, "the documents to be re-read", interval=0.5)
        for run in (posts, reclassify):
            run.terminate()
        assert (posts.wait(), reclassify.wait()) == (0, 0)
        store.refresh()
        assert_topic_was_found(store)
        assert json.loads(json.dumps(store.labels().live)), "the template has the field"
