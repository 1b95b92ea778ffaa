"""Sliding counts as they are written at first: Bytewax's own windows, one key a tag.

``python -m benchmarks.naive_windows LIVE SECONDS`` counts :mod:`benchmarks.tag_stream` from memory
for so many seconds and prints how many hashtags it took a second of processor time. It is a peer to
measure against, and it has it easy: it keeps no recovery, merges no top, counts a post again that
comes twice, and is measured from an empty start, while ever more tags and windows become live.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import TestingSink, cluster_main

from benchmarks.tag_stream import SLIDE, START, WINDOW, TagStream

_BATCH = 1_000


class Hashtag(NamedTuple):
    """One hashtag of one post."""

    at: datetime
    tag: str


class _Memory(FixedPartitionedSource[Hashtag, None]):
    def __init__(self, hashtags: Iterable[Hashtag]) -> None:
        self._hashtags = iter(hashtags)

    def list_parts(self) -> list[str]:
        return ["memory"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:  # noqa: ARG002
        return _Partition(self._hashtags)


class _Partition(StatefulSourcePartition[Hashtag, None]):
    def __init__(self, hashtags: Iterator[Hashtag]) -> None:
        self._hashtags = hashtags

    def next_batch(self) -> list[Hashtag]:
        batch = list(islice(self._hashtags, _BATCH))
        if not batch:
            raise StopIteration
        return batch

    def snapshot(self) -> None:
        return None


class _Meter:
    """Reads the time of each hashtag for the windows; prints the rate when time is up and ends the process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._count = 0
        self._began = 0.0

    def __call__(self, hashtag: Hashtag) -> datetime:
        if not self._count:
            self._began = time.process_time()
        self._count += 1
        if self._count % 100 == 0:
            passed = time.process_time() - self._began
            if passed > self._seconds:
                print(self._count / passed, flush=True)
                # To close the windows of every tag would take longer than all that was measured.
                os._exit(0)
        return hashtag.at


def run(arguments: Sequence[str]) -> None:
    """Count until the time is up."""
    live, seconds = int(arguments[0]), float(arguments[1])
    stream = TagStream(live, WINDOW)
    hashtags = [Hashtag(datetime.fromtimestamp(at, UTC), tag) for at, tag in islice(stream.rows(), 200_000)]
    clock = win.EventClock(
        _Meter(seconds),
        wait_for_system_duration=timedelta(seconds=10),
        # Event time alone, or what lies in the past would be woken again and again.
        to_system_utc=lambda _: None,
    )
    windower = win.SlidingWindower(
        length=timedelta(seconds=WINDOW), offset=timedelta(seconds=SLIDE), align_to=datetime.fromtimestamp(START, UTC)
    )
    flow = Dataflow("naive-windows")
    read = op.input("in", flow, _Memory(hashtags))
    counted = win.count_window("count", read, clock, windower, key=lambda hashtag: hashtag.tag)
    op.output("out", counted.down, TestingSink([]))
    cluster_main(flow, [], 0, epoch_interval=timedelta(seconds=1))


if __name__ == "__main__":
    run(sys.argv[1:])
