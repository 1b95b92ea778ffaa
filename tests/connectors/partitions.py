"""Drives the partitions of a source the way the engine does, without it, and checks what all of them must keep to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from connectors.credits import Credits
from connectors.source import CompositeSource, PostSource
from groundswell.records import Mark, RawBatch
from tests.waiting import wait_until


def ample_credits() -> Credits:
    return Credits(10**9, 10**12)


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Driver:
    """Opens all partitions of a source and collects what they emit.

    ``marks`` holds the marks of each partition. The conformance of all sources is checked
    on the way: batches carry their partition's key, a mark has no records, and after the
    mark of its end a partition emits nothing more.
    """

    def __init__(
        self,
        source: PostSource,
        states: dict[str, Any] | None = None,
        *,
        idle_timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        states = states or {}
        joined = CompositeSource([source], idle_timeout=idle_timeout, clock=clock)
        self._prefix = f"{source.name}/"
        keys = [(key, key.removeprefix(self._prefix)) for key in joined.list_parts()]
        self.open = {name: joined.build_part("in", key, states.get(name)) for key, name in keys}
        self.marks: dict[str, list[Mark]] = {name: [] for name in self.open}
        self.batches: list[RawBatch] = []
        self.states: dict[str, Any] = {}

    def step(self) -> None:
        """Call every partition that has not ended once."""
        for name, partition in list(self.open.items()):
            partition.next_awake()
            try:
                emitted = list(partition.next_batch())
            except StopIteration:
                self.states[name] = partition.snapshot()
                partition.close()
                del self.open[name]
                continue
            assert not emitted or name not in self.ended
            for batch in emitted:
                assert batch.part == self._prefix + name
                assert (batch.mark is None) == bool(batch.values)
                if batch.mark is None:
                    self.batches.append(batch)
                else:
                    self.marks[name].append(batch.mark)

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
    def ended(self) -> set[str]:
        """The partitions that said that they were read whole."""
        return {name for name, marks in self.marks.items() if Mark(ended=True) in marks}

    @property
    def idle_times(self) -> dict[str, list[float]]:
        """For how long each partition said that it had nothing new."""
        return {name: [mark.idle_for for mark in marks if not mark.ended] for name, marks in self.marks.items()}

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
