"""Resident memory over a long run: generated posts through the whole job into Elasticsearch, model off.

One record in a hundred is broken and goes to Kafka. ``peer`` of the second row is the memory after a quarter of
the posts: flat means a ratio of about 1.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.report import Row, options, print_rows
from tests.dataflows.harness import Run, write_settings
from tests.stack.session import Stack
from tests.waiting import wait_until

_MIB = 1024 * 1024
_DEADLINE = 3600.0


def main() -> None:
    """Print the rows."""
    given = options(__doc__)
    posts = 200_000 if given.quick else 2_000_000
    stack = Stack()
    try:
        samples = measure(stack, posts)
    finally:
        stack.close()
    highest = max(size for _, size in samples)
    quarter = max(size for written, size in samples if written <= posts / 4)
    print_rows(
        [
            Row(f"highest resident memory over {posts:,} posts", highest / _MIB, None, "MiB"),
            Row("highest resident memory, peer: until a quarter of the posts", highest / _MIB, quarter / _MIB, "MiB"),
        ],
        given.json,
    )


def measure(stack: Stack, posts: int) -> list[tuple[int, int]]:
    """Pairs of documents written and bytes resident, about ten a second."""
    elasticsearch = stack.elasticsearch
    alias = "bench-memory"
    samples: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory(prefix="groundswell-bench-") as folder:
        settings = write_settings(
            Path(folder, "settings.toml"),
            {
                "job": {"data_dir": str(Path(folder, "data"))},
                # Nothing comes from Kafka; broken records go there.
                "sources": {"use": ["generator", "kafka"]},
                "generator": {"rate": 0, "count": posts, "span": 1_500_000, "malformed": 0.01},
                "documents": {"url": elasticsearch.url, "alias": alias, "replicas": 0},
                "kafka": {
                    "bootstrap_servers": stack.kafka.bootstrap_servers,
                    "topic": stack.kafka.topic(),
                    "dead_topic": stack.kafka.topic(),
                },
                "redis": {"url": ""},
                "models": {"posts": ""},
                "observability": {"port": 0},
            },
        )
        with Run(settings, "--until-end") as run:

            def sample() -> bool:
                answer = elasticsearch.request("GET", f"/{alias}-*/_stats/indexing")
                primaries = answer["_all"]["primaries"]
                size = run.resident_bytes()
                if primaries and size:
                    samples.append((primaries["indexing"]["index_total"], size))
                return not run.running

            wait_until(sample, _DEADLINE, "the end of the run", interval=0.1)
            assert run.wait() == 0, run.reason
            summary = run.summary()
    assert summary["documents"] + sum(summary["dead"].values()) == posts, summary
    return samples


if __name__ == "__main__":
    main()
