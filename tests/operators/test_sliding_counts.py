"""The sliding counts of one shard: what it keeps while there is nothing to count."""

from __future__ import annotations

import numpy as np

from operators.open_panes import Progress
from operators.panes import make_chunk
from operators.sliding_counts import make_sliding_counts
from operators.trend_options import TrendOptions


def test_a_shard_without_a_tag_keeps_no_more_of_the_stream_than_a_window_of_it() -> None:
    """
    ::

        stream   ●●●●●●●●●●●●●●●●●●●●●●●● ... ●●●●   posts without a tag of this shard, for days
        kept                              [window]
    """
    counts = make_sliding_counts(TrendOptions(window=60, slide=10))
    sizes = []
    for pane in range(100_000, 101_000):
        end = (pane + 1) * 10
        counts.take([Progress((), {pane: 100}, float(end), end - 60.0, flushed=False, events=())], "s07")
        sizes.append(len(counts.state().watch))
    assert sizes[-1] <= sizes[100]


def test_what_is_remembered_of_tags_that_are_gone_takes_no_room_from_those_that_are_there() -> None:
    """
    ::

        tags     a00..a79  b00..b79  c00..c79  ...     80 at a time, each used often enough to be remembered
        room     200
    """
    options = TrendOptions(window=60, slide=10, lateness=0, dedupe_horizon=0, max_live_tags=200)
    counts = make_sliding_counts(options)
    for pane in range(100_000, 100_080):
        end = (pane + 1) * 10
        tags = [f"{pane // 8} {number}" for number in range(80) for _ in range(8)]
        keys = np.arange(len(tags), dtype=np.uint64) + np.uint64(pane * 1_000)
        chunk = make_chunk(pane, 0, tags, keys, keys.astype(np.uint32), with_authors=True)
        progress = Progress(((pane, 0),), {pane: 640}, float(end), float(end), flushed=False, events=())
        for report in counts.take([chunk, progress], "s07"):
            assert [window.error for window in report.windows] == [0]
