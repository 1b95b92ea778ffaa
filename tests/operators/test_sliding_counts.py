"""The sliding counts of one shard: what it keeps while there is nothing to count."""

from __future__ import annotations

from operators.open_panes import Progress
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
