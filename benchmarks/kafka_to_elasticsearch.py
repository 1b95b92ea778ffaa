"""Kafka to Elasticsearch through the whole job: real tweets, beside two peers on the same servers.

``groundswell run --until-end`` with the model off (decoding, dead letters, snapshots and all)
against ``elasticsearch.helpers.parallel_bulk`` fed with the same documents ready-made, and
against the same flow written with Bytewax's own Kafka source and a naive sink
(:mod:`benchmarks.naive_flow`). The flows' rates are between the first documents that
Elasticsearch counts and the last one, so starting up is no part of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from confluent_kafka import Producer

from benchmarks.decode import FILES, tweets
from benchmarks.elasticsearch_bulk import peer_rate
from benchmarks.report import Row, options, print_rows
from connectors.elasticsearch_schema import index_template
from groundswell.records import Envelope, RawBatch
from operators.analyse import Analyser
from operators.decode import Decoder
from tests.dataflows.harness import ROOT, write_settings
from tests.stack.session import Stack
from tests.waiting import wait_until

_PARTITIONS = 4
_POLL_SECONDS = 0.05
_DEADLINE = 600.0


def main() -> None:
    """Print the rows."""
    given = options(__doc__)
    posts, rounds = (15_000, 1) if given.quick else (100_000, 5)
    stack = Stack()
    try:
        print_rows(rows(stack, posts, rounds), given.json)
    finally:
        stack.close()


def rows(stack: Stack, posts: int, rounds: int) -> list[Row]:
    """All three in turn, ``rounds`` times; ratios of the medians."""
    values = tweets_with_ids(posts)
    topic = fill_topic(stack, values)
    envelopes = ready_made(values)
    url = stack.elasticsearch.url
    # A server that has just been started gets faster over its first some hundred thousand documents.
    for _ in range(5):
        peer_rate(url, envelopes)
    turns = [
        (
            flow_rate(stack, posts, partial(our_command, stack, topic)),
            peer_rate(url, envelopes),
            flow_rate(stack, posts, partial(naive_command, stack, topic)),
        )
        for _ in range(rounds)
    ]
    ours, helper, naive = (median(turn[position] for turn in turns) for position in range(3))
    return [
        Row("Kafka to Elasticsearch, peer: the client's parallel bulk, ready-made documents", ours, helper, "posts/s"),
        Row("Kafka to Elasticsearch, peer: a naive Bytewax flow", ours, naive, "posts/s"),
    ]


def tweets_with_ids(count: int) -> list[bytes]:
    """``count`` real tweets (v1.1), repeated under new ids."""
    known = [json.loads(value) for value in next(filter(None, map(tweets, FILES)))]
    first = 1 << 60
    return [
        json.dumps(
            known[number % len(known)] | {"id": first + number, "id_str": str(first + number)}, separators=(",", ":")
        ).encode()
        for number in range(count)
    ]


def fill_topic(stack: Stack, values: list[bytes]) -> str:
    """A topic that holds these records, spread evenly over its partitions."""
    topic = stack.kafka.topic(_PARTITIONS)
    producer = Producer({"bootstrap.servers": stack.kafka.bootstrap_servers, "linger.ms": 20})
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % _PARTITIONS)
        producer.poll(0)
        if number % 50_000 == 0:
            producer.flush()
    producer.flush()
    return topic


def ready_made(values: list[bytes]) -> list[Envelope]:
    """The documents that the flow makes of these records."""
    batch = Decoder().decode(RawBatch("posts", 0, list(range(len(values))), values))
    Analyser(None, lambda: datetime.now(UTC)).analyse(batch)
    return [change for change in batch.changes if isinstance(change, Envelope)]


def flow_rate(stack: Stack, posts: int, command: Callable[[Path, str], list[str]]) -> float:
    """Posts a second through the process ``command(folder, alias)``, from the first count of documents to the last."""
    alias = f"bench-{uuid.uuid4().hex[:8]}"
    request = stack.elasticsearch.request
    request("PUT", f"/_index_template/{alias}", index_template(alias, "week", 1, 0))

    def written() -> int:
        totals: Any = request("GET", f"/{alias}-*/_stats/indexing?filter_path=_all.primaries.indexing.index_total")
        return int(totals["_all"]["primaries"]["indexing"]["index_total"]) if totals else 0

    with tempfile.TemporaryDirectory(prefix="groundswell-bench-") as folder, Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(command(Path(folder), alias), cwd=ROOT, stdout=log, stderr=log)
        try:
            first = wait_until(lambda: _unless_failed(process, written()), _DEADLINE, "documents", _POLL_SECONDS)
            began = time.perf_counter()
            wait_until(lambda: _unless_failed(process, written()) == posts, _DEADLINE, "all of them", _POLL_SECONDS)
            seconds = time.perf_counter() - began
            process.wait(_DEADLINE)
        finally:
            process.kill()
            process.wait()
            request("DELETE", f"/{alias}-*?expand_wildcards=all")
            request("DELETE", f"/_index_template/{alias}*")
    return (posts - first) / seconds


def _unless_failed(process: subprocess.Popen[bytes], value: int) -> int:
    assert not process.poll(), f"{process.args!r} ended with exit code {process.returncode}"
    return value


def our_command(stack: Stack, topic: str, folder: Path, alias: str) -> list[str]:
    """The job with its defaults, but for the model, Redis and the replicas that a single node cannot have."""
    settings = write_settings(
        folder / "settings.toml",
        {
            "job": {"data_dir": str(folder / "data")},
            "sources": {"use": ["kafka"]},
            "kafka": {
                "bootstrap_servers": stack.kafka.bootstrap_servers,
                "topic": topic,
                "dead_topic": f"{topic}.dead",
            },
            "documents": {
                "url": stack.elasticsearch.url,
                "alias": alias,
                "trends_index": f"{alias}-trends",
                "replicas": 0,
            },
            "redis": {"url": ""},
            "models": {"posts": ""},
            "observability": {"port": 0},
        },
    )
    return [sys.executable, "-m", "cli.main", "run", "-c", str(settings), "--until-end", "--summary", "none"]


def naive_command(stack: Stack, topic: str, _folder: Path, alias: str) -> list[str]:
    """The naive flow."""
    servers, url = stack.kafka.bootstrap_servers, stack.elasticsearch.url
    return [sys.executable, "-m", "benchmarks.naive_flow", servers, topic, url, alias]


if __name__ == "__main__":
    main()
