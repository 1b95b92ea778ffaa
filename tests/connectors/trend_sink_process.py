"""One process of a small flow that ends in a :class:`TrendSink`: ``python -m tests.connectors.trend_sink_process``.

The arguments are JSON: addresses, process, workers, recovery_dir, redis_url, until. Windows are
numbered on from where the run before stopped.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import cluster_main

from connectors.recovery import open_recovery
from connectors.redis_client import connect
from connectors.redis_trends import RedisTrendStore
from connectors.trend_sink import TrendSink
from groundswell.trends import TagCount, TrendEvent, Window
from groundswell.waits import Waits

PARTITIONS = ("a", "b", "c")


def window(end: int) -> Window:
    """The window that the flow writes under this end."""
    return Window(1, end, 0, 60, (TagCount(f"tag {end}", end),))


class _Part(StatefulSourcePartition["tuple[str, Window | TrendEvent]", int]):
    """Counts on, in steps of all partitions, so that no two of them have the same window."""

    def __init__(self, place: int, count: int, until: int) -> None:
        self._place = place
        self._count = count
        self._until = until

    def next_batch(self) -> list[tuple[str, Window | TrendEvent]]:
        if self._count >= self._until:
            raise StopIteration
        self._count += 1
        return [("trends", window(len(PARTITIONS) * self._count + self._place))]

    def snapshot(self) -> int:
        return self._count


class _Source(FixedPartitionedSource["tuple[str, Window | TrendEvent]", int]):
    def __init__(self, until: int) -> None:
        self._until = until

    def list_parts(self) -> list[str]:
        return list(PARTITIONS)

    def build_part(
        self,
        step_id: str,
        for_part: str,
        resume_state: int | None,
    ) -> _Part:
        return _Part(PARTITIONS.index(for_part), resume_state or 0, self._until)


def main() -> None:
    order = json.loads(sys.argv[1])
    store = RedisTrendStore(connect(order["redis_url"]), Waits(), window_ttl=10**6)
    store.prepare()
    flow = Dataflow("trends")
    windows = op.input("numbers", flow, _Source(order["until"]))
    op.output("trends", windows, TrendSink([store], lambda: True, owner=order["process"] == 0))
    cluster_main(
        flow,
        order["addresses"],
        order["process"],
        worker_count_per_proc=order["workers"],
        epoch_interval=timedelta(milliseconds=5),
        recovery_config=open_recovery(Path(order["recovery_dir"]), 2),
    )


if __name__ == "__main__":
    main()
