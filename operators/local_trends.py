"""The whole trends engine in one thread: the operators of the flow, called one after the other.

For replays of files, for tests and for whoever has no stream at hand; nothing is kept
for recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from groundswell.records import Batch
from groundswell.step_ids import SHARDS
from groundswell.trends import TrendEvent, Window
from operators.merge_windows import MergeWindows
from operators.open_panes import Drop, OpenPanes
from operators.shard_report import ShardReport
from operators.sliding_counts import make_sliding_counts
from operators.tag_events import TagSpreader, shard_key
from operators.trend_options import TrendOptions


def _now() -> datetime:
    return datetime.now(UTC)


class LocalTrends:
    """Feed it batches, take windows and events.

    ``parts`` are all partitions that batches will name. The end of one is a batch with
    ``Mark(ended=True)``; behind the last end all windows have been emitted.
    """

    def __init__(self, options: TrendOptions, parts: Iterable[str], clock: Callable[[], datetime] = _now) -> None:
        named = list(parts)
        self._spreader = TagSpreader(options, clock)
        self._open = {shard_key(shard): OpenPanes(options, named) for shard in range(SHARDS)}
        self._counts = {key: make_sliding_counts(options) for key in self._open}
        self._merge = MergeWindows(options, clock)

    def feed(self, batches: Sequence[Batch]) -> list[Window | TrendEvent]:
        """What these batches lead to, in order."""
        reports: list[ShardReport] = []
        for key, message in self._spreader.spread(batches):
            values: list[Any] = [value for value in self._open[key].take([message]) if not isinstance(value, Drop)]
            if values:
                reports += self._counts[key].take(values, key)
        return self._merge.take(reports) if reports else []
