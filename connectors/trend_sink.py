"""The sink that writes windows and trend events, and has them durable before an epoch closes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.trend_store import KeepWaiting, TrendStore
from groundswell import metrics, step_ids
from groundswell.trends import TrendEvent, Window

PARTITION = "00"


class TrendSink(FixedPartitionedSink[Window | TrendEvent, None]):
    """Items are ``(key, window or event)`` in their order, for the ``stores`` in theirs.

    All go through one partition, so that their order holds; only the process that is its
    ``owner`` lists it. What came in one activation is one write to each store.
    """

    def __init__(
        self,
        stores: Sequence[TrendStore],
        keep_waiting: KeepWaiting,
        *,
        owner: bool,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._stores = stores
        self._keep_waiting = keep_waiting
        self._owner = owner
        self._now = now

    def list_parts(self) -> list[str]:
        return [PARTITION] if self._owner else []

    def part_fn(self, item_key: str) -> int:  # noqa: ARG002 (there is one)
        return 0

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 (the engine passes it)
        for_part: str,  # noqa: ARG002
        resume_state: None,  # noqa: ARG002
    ) -> StatefulSinkPartition[Window | TrendEvent, None]:
        return _TrendPartition(self._stores, self._keep_waiting, self._now)


class _TrendPartition(StatefulSinkPartition[Window | TrendEvent, None]):
    """Holds nothing back: what was written is durable, so a snapshot has nothing to wait for."""

    def __init__(self, stores: Sequence[TrendStore], keep_waiting: KeepWaiting, now: Callable[[], float]) -> None:
        self._stores = stores
        self._keep_waiting = keep_waiting
        self._now = now
        self._newest = 0
        self._seconds = metrics.STEP_SECONDS.labels(step_ids.TRENDS)

    def write_batch(self, values: list[Window | TrendEvent]) -> None:
        began = time.perf_counter()
        windows = [value for value in values if isinstance(value, Window)]
        events = [value for value in values if isinstance(value, TrendEvent)]
        for store in self._stores:
            store.write(windows, events, self._keep_waiting)
        self._seconds.observe(time.perf_counter() - began)
        metrics.WINDOWS_WRITTEN.inc(len(windows))
        for event in events:
            metrics.TREND_EVENTS_WRITTEN.labels(event.event).inc()
        if windows:
            self._newest = max(self._newest, *(window.end for window in windows))
            # Asked for when the metrics are: it grows while nothing is written.
            metrics.WINDOW_AGE.set_function(lambda: self._now() - self._newest)

    def snapshot(self) -> None:
        return None
