"""Drives the partitions of a source the way the engine does, without it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from connectors.credits import Credits
from connectors.source import PostSource
from groundswell.records import RawBatch
from tests.waiting import wait_until


def ample_credits() -> Credits:
    return Credits(10**9, 10**12)


class Driver:
    """Opens all partitions of a source and collects what they emit."""

    def __init__(self, source: PostSource, states: dict[str, Any] | None = None) -> None:
        states = states or {}
        self.open = {name: source.open(name, states.get(name)) for name in source.partitions()}
        self.batches: list[RawBatch] = []
        self.states: dict[str, Any] = {}

    def step(self) -> None:
        """Call every partition that has not ended once."""
        for name, partition in list(self.open.items()):
            partition.next_awake()
            try:
                self.batches.extend(partition.next_batch())
            except StopIteration:
                self.states[name] = partition.snapshot()
                partition.close()
                del self.open[name]

    def run(self, condition: Callable[[], bool] | None = None, timeout: float = 30.0) -> list[RawBatch]:
        """Step until ``condition`` holds, or until all partitions have ended."""

        def reached() -> bool:
            self.step()
            return condition() if condition is not None else not self.open

        wait_until(reached, timeout, "the source", interval=0.001)
        return self.batches

    def snapshot(self) -> dict[str, Any]:
        return {**self.states, **{name: partition.snapshot() for name, partition in self.open.items()}}

    def close(self) -> None:
        for partition in self.open.values():
            partition.close()
        self.open.clear()

    @property
    def values(self) -> list[bytes]:
        return [value for batch in self.batches for value in batch.values]

    @property
    def places(self) -> list[tuple[str, int, int]]:
        """Stream, partition and offset of every record."""
        return [(batch.stream, batch.partition, offset) for batch in self.batches for offset in batch.offsets]


def never() -> threading.Event:
    """A stop flag that nobody sets."""
    return threading.Event()
