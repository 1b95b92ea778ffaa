"""The burst score: a bound of a significance, at every count, whatever the whole stream does."""

from __future__ import annotations

from math import comb, inf, log10

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from operators.bursts import burst_scores, decayed, trend_scores

counts = st.integers(0, 400)
streams = st.floats(1.0, 1e6)


def score(recent: float, past: float, stream_recent: float, stream_past: float, growth: float = 2.0) -> float:
    return float(burst_scores(np.array([recent]), np.array([past]), stream_recent, stream_past, growth)[0])


def significance(recent: int, past: int, share: float) -> float:
    """Minus the decimal logarithm of P(X >= recent) for a binomial X."""
    total = recent + past
    tail = sum(comb(total, k) * share**k * (1.0 - share) ** (total - k) for k in range(recent, total + 1))
    return -log10(tail) if tail > 0.0 else inf


@given(counts, counts, st.floats(1.0, 1e4), st.floats(1.0, 1e4), st.floats(1.0, 5.0))
def test_is_never_more_than_the_exact_significance(
    recent: int, past: int, stream_recent: float, stream_past: float, growth: float
) -> None:
    share = growth * stream_recent / (growth * stream_recent + stream_past)
    assume(recent + past < 300)
    assert 0.0 <= score(recent, past, stream_recent, stream_past, growth) <= significance(recent, past, share) + 1e-6


@given(st.integers(1, 200), st.integers(0, 50), st.floats(1.0, 1e4), st.floats(1e3, 1e6))
def test_is_close_to_the_exact_significance_where_it_matters(
    recent: int, past: int, stream_recent: float, stream_past: float
) -> None:
    share = 2.0 * stream_recent / (2.0 * stream_recent + stream_past)
    exact = significance(recent, past, share)
    assume(5.0 < exact < 200.0)
    assert score(recent, past, stream_recent, stream_past) > 0.55 * exact - 1.0


@given(counts, counts, streams, streams, st.floats(0.1, 50.0))
def test_what_the_whole_stream_does_cancels(
    recent: int, past: int, stream_recent: float, stream_past: float, growth: float
) -> None:
    """A tag that grew like the stream, and up to twice as much, has no score."""
    del recent
    likewise = past * growth * stream_recent / stream_past
    assert score(likewise, past, growth * stream_recent, stream_past) == 0.0
    assert score(1.999 * likewise, past, growth * stream_recent, stream_past) == 0.0


@given(counts, counts, streams, streams)
def test_rises_with_the_recent_count_and_falls_with_the_past(
    recent: int, past: int, stream_recent: float, stream_past: float
) -> None:
    here = score(recent, past, stream_recent, stream_past)
    assert score(recent + 1, past, stream_recent, stream_past) >= here - 1e-9
    assert score(recent, past + 1, stream_recent, stream_past) <= here + 1e-9


@given(counts, counts, streams)
def test_without_a_past_of_the_stream_nothing_can_be_said(recent: int, past: int, stream_recent: float) -> None:
    assert score(recent, past, stream_recent, 0.0) == 0.0
    assert score(recent, past, 0.0, stream_recent) == 0.0


def test_a_little_past_proves_little() -> None:
    """A tag never seen, 20 of 300 posts in five minutes; the stream before that was 0 s, 1 min, 25 min, 8 h long."""
    scores = [score(20, 0, 300, before) for before in (0, 60, 1_500, 28_800)]
    assert scores == pytest.approx([0.0, 0.8, 10.9, 33.8], abs=0.1)


@given(st.lists(st.tuples(counts, counts, counts), max_size=8), streams, streams, streams)
def test_each_tag_is_scored_for_itself(
    tags: list[tuple[int, int, int]], stream_recent: float, stream_more: float, stream_history: float
) -> None:
    recent, more, history = np.array(tags, np.float64).reshape(-1, 3).T
    stream = (stream_recent, stream_recent + stream_more, stream_history)
    together = trend_scores(recent, recent + more, history, *stream, 2.0)
    alone = []
    for tag in tags:
        r, m, h = (np.array([float(each)]) for each in tag)
        alone.append(float(trend_scores(r, r + m, h, *stream, 2.0)[0]))
    assert together.tolist() == pytest.approx(alone)
    assert np.isfinite(together).all()
    assert (together >= 0.0).all()


def test_slow_growth_shows_in_the_window() -> None:
    """30 posts spread over half an hour, never seen before, in a stream of one post a second for 8 hours."""
    five = np.array([5.0])
    fast = burst_scores(five, np.array([25.0]), 300.0, 30_000.0, 2.0)
    both = trend_scores(five, np.array([30.0]), np.array([0.0]), 300.0, 1_800.0, 28_500.0, 2.0)
    assert fast[0] < 8.0 < both[0]


def test_a_window_that_is_no_longer_fed_fades() -> None:
    window, history = np.array([30.0] * 4), np.zeros(4)
    scores = trend_scores(np.array([5.0, 2.0, 1.0, 0.0]), window, history, 300.0, 1_800.0, 28_500.0, 2.0)
    assert scores[0] > scores[1] > scores[2] > scores[3] == 0.0


def test_history_halves_with_each_half_life() -> None:
    assert decayed(np.array([8.0, 8.0]), np.array([0.0, 7_200.0]), 3_600.0).tolist() == [8.0, 2.0]
