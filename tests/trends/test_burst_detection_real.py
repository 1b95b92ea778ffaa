"""What begins to trend in real streams, in the engine itself, is what was found by reading them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from benchmarks.burst_detection import Start, judge
from benchmarks.burst_expectations import EXPECTED, SLOW, Expected, moment
from benchmarks.burst_streams import load
from groundswell.records import Batch, Envelope, Mark, Origin, Post
from groundswell.trends import TrendEvent
from operators.local_trends import LocalTrends
from tests.shared_data import shared_data

_ROOT = shared_data("tweets_trend")
_PART = "files/00000"
_BATCH = 500
#: What is known to be missed, and to begin in error, with the reason in the expectations.
_KNOWN_MISSES = {
    ("west-texas", 1_800): {"prayfortexas", "westtx"},
    ("ottawa", 1_800): {"ottawashooting"},
    ("oklahoma", 14_400): {"prayforoklahoma"},
}
_KNOWN_ERRORS = {
    ("elections", 1_800): {"priyankagandhi"},
    ("swansea-everton", 1_800): {"swansea", "everton"},
    ("syria-ukraine", 1_800): {"howto"},
    ("west-texas", 14_400): {"w", "prayforte"},
    ("ottawa", 14_400): {"ottawashooting"},
}

#: The part of a long stream that is looked at here; the whole of it is in the benchmark.
_PARTS_OF_LONG = {
    "elections": ("2017-02-20T22:00", "2017-02-21T12:00"),
    "ggplot2": ("2021-08-05T00:00", "2021-08-19T00:00"),
    "vaccination": ("2020-12-12T00:00", "2020-12-19T00:00"),
    "mabed": ("2009-11-01T00:00", "2009-11-08T00:00"),
    "queensland": ("2013-01-27T00:00", "2013-01-30T00:00"),
}


def _span(stream: str) -> tuple[float, float]:
    first, end = _PARTS_OF_LONG.get(stream, ("2000-01-01", "2100-01-01"))
    return moment(first), moment(end)


def _batches(stream: str) -> Iterator[Batch]:
    assert _ROOT is not None
    first, end = _span(stream)
    tweets = [tweet for tweet in load(stream, _ROOT) if first <= tweet.time < end]
    for start in range(0, len(tweets), _BATCH):
        changes = [
            Envelope(
                Origin(stream, 0, start + index),
                b"",
                Post(str(start + index), "test", "", datetime.fromtimestamp(time, UTC), author, hashtags=tags),
            )
            for index, (time, author, tags) in enumerate(tweets[start : start + _BATCH])
        ]
        yield Batch(stream, 0, len(changes), 0, [*changes], [], Counter(), part=_PART)
    yield Batch(stream, 0, 0, 0, [], [], Counter(), part=_PART, mark=Mark(ended=True))


def _events(expected: Expected) -> list[TrendEvent]:
    # Only the trends are looked at here: no tags on top, and no wait for what comes late.
    engine = LocalTrends(replace(expected.options, top=1, lateness=0, disorder=0.0), [_PART])
    said = [item for batch in _batches(expected.stream) for item in engine.feed([batch])]
    return [item for item in said if isinstance(item, TrendEvent)]


def _name(expected: Expected) -> str:
    return f"{expected.stream}{' slow' if expected.options is SLOW else ''}"


@pytest.mark.skipif(_ROOT is None, reason="the shared data is not here")
@pytest.mark.parametrize("expected", EXPECTED, ids=_name)
def test_what_begins_to_trend_is_what_was_found_by_reading(expected: Expected) -> None:
    events = _events(expected)
    starts = [Start(event.trend.tag, event.at.timestamp()) for event in events if event.event == "began"]
    first, end = _span(expected.stream)
    bursts = tuple(burst for burst in expected.bursts if first <= burst.start < end)
    verdict = judge(replace(expected, bursts=bursts), starts)
    key = (expected.stream, expected.options.window)
    assert {burst.tag for burst in verdict.missed} <= _KNOWN_MISSES.get(key, set())
    assert {start.tag for start in verdict.false} <= _KNOWN_ERRORS.get(key, set())
    # What ends had begun, once.
    begun = [event.trend.id for event in events if event.event == "began"]
    ended = [event.trend.id for event in events if event.event == "ended"]
    assert len(set(begun)) == len(begun)
    assert len(set(ended)) == len(ended)
    assert set(ended) <= set(begun)
