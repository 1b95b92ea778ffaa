"""The branch of the flow that counts hashtags and notices trends.

::

    decoded ─ spread ─▶ open panes ─ closed panes ─ sliding counts ─▶ merge ─▶ trends (sink)
                shards: s00 .. s15                                    one key

Between the source and the open panes nothing is branched off, merged or redistributed:
a watermark must not overtake the tags before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.outputs import Sink

from groundswell import step_ids
from groundswell.records import Batch
from groundswell.trends import TrendEvent, Window
from operators.closed_panes import closed_panes_step
from operators.merge_windows import merge_windows_step
from operators.open_panes import open_panes_step
from operators.sliding_counts import sliding_counts_step
from operators.tag_events import TagSpreader, spread_step
from operators.trend_options import TrendOptions


@dataclass(frozen=True)
class TrendsBranch:
    """What the branch is made of; ``parts`` gives the keys of all partitions that the job reads."""

    options: TrendOptions
    parts: Callable[[], Iterable[str]]
    sink: Sink[tuple[str, Window | TrendEvent]]
    now: Callable[[], datetime]


def build_trends(decoded: Stream[Batch], branch: TrendsBranch) -> None:
    """Wire the branch onto the stream of decoded batches."""
    options = branch.options
    spread = spread_step(step_ids.SPREAD_TAGS, decoded, TagSpreader(options, branch.now))
    panes = open_panes_step(step_ids.OPEN_PANES, spread, options, branch.parts)
    closed = closed_panes_step(step_ids.CLOSED_PANES, panes)
    reports = sliding_counts_step(step_ids.SLIDING_COUNTS, closed, options)
    merged = merge_windows_step(step_ids.MERGE_WINDOWS, reports, options, branch.now)
    op.output(step_ids.TRENDS, merged, branch.sink)
