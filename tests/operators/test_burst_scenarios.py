"""Invented streams, counted pane by pane: what must begin to trend in them, when, and what must not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.naive_counts import Series, TagSeries, decisions
from groundswell.trends import TrendEvent
from operators.trend_options import TrendOptions

Floats = npt.NDArray[np.float64]
PANE = 10
HOUR = 3_600 // PANE
#: The first pane of the invented streams.
ORIGIN = 1_000_000

random = np.random.default_rng


def stream(rates: Sequence[float] | Floats, seed: int = 1) -> Series:
    """Posts of the whole stream, a mean for each pane."""
    return _series(random(seed).poisson(rates))


def tag(rates: Sequence[float] | Floats, accounts: int | None = None, seed: int = 2) -> TagSeries:
    """Posts of a tag, a mean for each pane, each by another author or all by a ring of ``accounts``."""
    rng = random(seed)
    posts = rng.poisson(rates)
    names = iter(range(10**9))
    authors: list[frozenset[str | int]] = []
    for count in posts[posts > 0].tolist():
        who = [next(names) for _ in range(count)] if accounts is None else rng.integers(0, accounts, count).tolist()
        authors.append(frozenset(f"account {each}" for each in who))
    panes = ORIGIN + np.flatnonzero(posts)
    voices = np.array([len(each) for each in authors], np.float64)
    return TagSeries(Series(panes, voices), Series(panes, posts[posts > 0].astype(np.float64)), authors)


def _series(posts: npt.NDArray[np.int64]) -> Series:
    return Series(ORIGIN + np.arange(len(posts)), posts.astype(np.float64))


def happened(series: TagSeries, whole: Series) -> list[tuple[str, int]]:
    """Beginnings and ends, in panes since the origin of the stream."""
    events: list[TrendEvent] = decisions({"tag": series}, whole, TrendOptions())
    return [(event.event, int(event.at.timestamp()) // PANE - ORIGIN) for event in events if event.event != "changed"]


def flat(hours: float, rate: float) -> Floats:
    return np.full(round(hours * HOUR), rate)


def with_burst(rates: Floats, at: int, panes: int, posts: float) -> Floats:
    rates = rates.copy()
    rates[at : at + panes] += posts / panes
    return rates


def daily(hours: float, mean: float, swing: float = 10.0) -> Floats:
    """A sine of 24 hours whose highest rate is ``swing`` times the lowest."""
    height = (swing - 1.0) / (swing + 1.0)
    return mean * (1.0 + height * np.sin(np.arange(round(hours * HOUR)) * 2.0 * np.pi / (24 * HOUR)))


@pytest.mark.parametrize("rate", [0.5, 20.0, 3_000.0], ids=["slow", "middling", "fast"])
@pytest.mark.parametrize("shape", [flat, daily])
def test_a_search_term_on_every_post_never_trends(rate: float, shape: Callable[[float, float], Floats]) -> None:
    whole = stream(shape(30, rate))
    posts = whole.weights.astype(int)
    # Only its authors matter, not who they are: one name a post.
    voices = [frozenset(f"{pane} {each}" for each in range(min(count, 100))) for pane, count in enumerate(posts)]
    kept = posts > 0
    term = TagSeries(
        Series(whole.panes[kept], whole.weights[kept]),
        Series(whole.panes[kept], whole.weights[kept]),
        [names for names, some in zip(voices, kept.tolist(), strict=True) if some],
    )
    assert happened(term, whole) == []


@pytest.mark.parametrize("over", [0.2, 2.0, 20.0], ids=["12 minutes", "2 hours", "20 hours"])
@pytest.mark.parametrize("accounts", [1, 20])
def test_few_accounts_that_post_6000_times_do_not_trend(accounts: int, over: float) -> None:
    panes = round(over * HOUR)
    ring = tag(with_burst(flat(30, 0.0), 8 * HOUR, panes, 6_000), accounts)
    assert happened(ring, stream(flat(30, 50.0))) == []


def test_a_ring_of_60_that_posts_6000_times_hardly_ever_trends() -> None:
    """Chance may hide for a moment that the same accounts come back; at most one in twenty rings gains by it."""
    whole = stream(flat(12, 50.0))
    begun = 0
    for seed in range(60):
        over = (0.2, 0.5, 2.0)[seed % 3]
        ring = tag(with_burst(flat(12, 0.0), 8 * HOUR, round(over * HOUR), 6_000), 60, seed=seed)
        begun += bool(happened(ring, whole))
    assert begun <= 3


def test_a_burst_in_a_slow_stream_is_found_at_once() -> None:
    """5 posts/s; at 8 h there are 30 posts by 30 authors within 2 minutes, of a tag never seen.

    panes since 8 h    0 . . . . . . . . . . .12 . .
    posts of the tag   2 3 2 3 2 3 2 3 2 3 2 3 0 0 0
    """
    for seed in range(20):
        burst = tag(with_burst(flat(10, 0.0), 8 * HOUR, 12, 32), seed=seed)
        events = happened(burst, stream(flat(10, 50.0), seed))
        if burst.posts.weights.sum() >= 27:
            assert events[0][0] == "began"
            assert 5 <= events[0][1] - 8 * HOUR <= 14
            assert [kind for kind, _ in events] == ["began", "ended"]


def test_a_burst_in_a_fast_stream_is_found_within_two_slides() -> None:
    """1,000 posts/s; 2,000 posts of a tag in a minute, and the same for one that had 20 a minute before."""
    whole = stream(flat(10, 10_000.0))
    for before in (0.0, 3.0):
        (kind, began), (_, ended) = happened(tag(with_burst(flat(10, before), 8 * HOUR, 6, 2_000)), whole)
        assert kind == "began"
        assert began - 8 * HOUR <= 2
        assert 30 <= ended - 8 * HOUR <= 2 * HOUR


def test_a_tag_that_stays_high_ends() -> None:
    """From 8 h on the tag is on a tenth of all posts, for ever. Within the day it is no news."""
    high = flat(40, 0.0)
    high[8 * HOUR :] = 5.0
    (_, began), (kind, ended) = happened(tag(high), stream(flat(40, 50.0)))
    assert began - 8 * HOUR <= 6
    assert kind == "ended"
    assert 2 * HOUR < ended - began < 10 * HOUR


def test_the_daily_rhythm_of_the_whole_stream_is_no_burst() -> None:
    """Three days, ten times the posts at noon; the tag keeps its share."""
    for mean in (1.0, 30.0, 300.0):
        assert happened(tag(daily(72, mean / 10)), stream(daily(72, mean))) == []


def test_the_daily_rhythm_of_a_tag_is_no_burst() -> None:
    """Three days of a steady stream; the tag has ten times the posts at noon."""
    for mean in (0.5, 5.0, 100.0):
        events = happened(tag(daily(72, mean)), stream(flat(72, 20.0 * mean)))
        # Of the first hours of a stream no rhythm can be known.
        assert [at for kind, at in events if kind == "began" and at > 12 * HOUR] == []


def test_an_hour_without_anything_and_the_flood_after_it_are_no_burst() -> None:
    """Ten hours, an outage of one, then what had waited comes within ten minutes; all tags keep their share."""
    rates = flat(14, 50.0)
    rates[10 * HOUR : 11 * HOUR] = 0.0
    rates[11 * HOUR : 11 * HOUR + 60] = 350.0
    assert happened(tag(rates / 10.0), stream(rates)) == []


def test_the_first_hour_of_a_stream_is_quiet() -> None:
    """Each tag that there is has just begun, in a slow stream and in a fast one."""
    for rate in (5.0, 500.0):
        whole = stream(flat(1, rate))
        for seed in range(20):
            share = random(seed).uniform(0.01, 0.3)
            assert happened(tag(flat(1, rate * share), seed=seed), whole) == []


def test_steady_tags_of_all_sizes_never_trend() -> None:
    whole = stream(flat(24, 100.0))
    for seed, rate in enumerate(np.geomspace(0.01, 50.0, 40)):
        assert happened(tag(flat(24, rate), seed=seed), whole) == []


def test_a_tag_of_each_full_hour_soon_is_no_news() -> None:
    """30 people post it within two minutes of every full hour."""
    rates = flat(30, 0.0)
    for hour in range(30):
        rates = with_burst(rates, hour * HOUR, 12, 30)
    events = happened(tag(rates), stream(flat(30, 50.0)))
    begun = [at for kind, at in events if kind == "began"]
    assert len(begun) <= 8
