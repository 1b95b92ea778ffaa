"""Every window of every real stream holds what the oracle counts in it, all tags of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from groundswell import metrics
from groundswell.records import Post
from operators.local_trends import LocalTrends
from tests.shared_data import shared_data
from tests.trends import real_streams
from tests.trends.oracle import Arrival, Rules, accept, count_windows
from tests.trends.streams import batch_of, ended, options_of, superseded

_ROOT = shared_data("tweets_trend")
_PARTS = ("a", "b", "c")
_BATCH = 200
#: Days beyond which a stream is counted in larger steps: a window is emitted at every slide that holds a post.
_LONG_DAYS = 1.0


def _split(posts: Sequence[Post]) -> list[Arrival]:
    """The posts dealt out to three partitions in turn, the third of them well behind the others."""
    each = {part: posts[number :: len(_PARTS)] for number, part in enumerate(_PARTS)}
    queues = {part: [each[part][at : at + _BATCH] for at in range(0, len(each[part]), _BATCH)] for part in _PARTS}
    turns = max(map(len, queues.values())) + 3
    order = [(part, turn - (3 if part == _PARTS[-1] else 0)) for turn in range(turns) for part in _PARTS]
    return [Arrival(part, tuple(queues[part][at])) for part, at in order if 0 <= at < len(queues[part])]


def _rules(posts: Sequence[Post]) -> Rules:
    days = (posts[-1].created_at - posts[0].created_at).total_seconds() / 86_400
    return Rules(window=1800, slide=10 if days < _LONG_DAYS else 300, top=0)


@pytest.mark.skipif(_ROOT is None, reason="the shared data is not here")
@pytest.mark.parametrize("name", real_streams.names(_ROOT) if _ROOT is not None else [])
def test_every_window_of_a_real_stream_is_exact(name: str) -> None:
    assert _ROOT is not None
    posts = real_streams.load(_ROOT, name)
    rules = _rules(posts)
    arrivals = [*_split(posts), *ended(_PARTS)]
    accepted, late = accept(arrivals, _PARTS, rules)
    assert late == []
    trends = LocalTrends(options_of(rules), _PARTS)
    said = [item for arrival in arrivals for item in trends.feed([batch_of(arrival)])]
    assert superseded(said) == count_windows(accepted, rules)


@pytest.mark.skipif(_ROOT is None, reason="the shared data is not here")
@pytest.mark.parametrize(
    ("name", "disorder"),
    [
        ("soccer_2015/swaeve.csv.gz", 10),
        ("stream_syria_ukraine_2014-02-25.txt.gz", 10),
        ("crisislex_t6/2012_Sandy_Hurricane-ontopic_offtopic.csv.gz", 86_400),
        ("demonetization_2016-11.csv.gz", 3_600),
    ],
)
def test_a_real_stream_as_its_file_has_it_is_exact_but_for_what_is_late(name: str, disorder: int) -> None:
    """A little out of order, newest first, or in no order at all, in one partition."""
    assert _ROOT is not None
    rules = Rules(window=1800, slide=60, top=0, disorder=disorder, lateness=3_600)
    posts = real_streams.load(_ROOT, name, in_order=False)
    pieces = [tuple(posts[at : at + _BATCH]) for at in range(0, len(posts), _BATCH)]
    arrivals = [*(Arrival("a", piece) for piece in pieces), *ended("a")]
    late = metrics.HASHTAGS_LATE._value.get()
    trends = LocalTrends(options_of(rules), ["a"])
    said = [item for arrival in arrivals for item in trends.feed([batch_of(arrival)])]
    accepted, refused = accept(arrivals, ["a"], rules)
    assert superseded(said) == count_windows(accepted, rules)
    assert metrics.HASHTAGS_LATE._value.get() - late == sum(len(post.hashtags) for post in refused)
