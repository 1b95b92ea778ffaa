"""Trends as JSON, and what is left out where a message may be only so long."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.trend_json import encode_trend, encode_within
from groundswell.trends import Sample, TagCount, TrendEvent
from tests.connectors.trends import samples, trend_doc, trend_event

DECODER = msgspec.json.Decoder(TrendEvent)


def test_an_event_is_one_object_with_times_that_everybody_reads() -> None:
    event = trend_event("flood", 1, 2, generation=7, event="ended", samples=(Sample("test", "1", "the #flood"),))
    assert json.loads(encode_trend(event)) == {
        "generation": 7,
        "event": "ended",
        "at": "2026-11-16T12:01:00Z",
        "revision": 2,
        "trend": {
            "id": "flood/1",
            "tag": "flood",
            "label": "Flood",
            "since": "2026-11-16T12:00:00Z",
            "until": "2026-11-16T12:01:00Z",
            "score": 12.5,
            "count": 101,
            "peak": 200,
            "authors": 90,
            "unattributed": 3,
            "words": [["river", 2.5], ["levee", 1.25]],
            "cotags": [{"tag": "harvey", "count": 40}, {"tag": "東京", "count": 7}],
            "samples": [{"source": "test", "id": "1", "text": "the #flood"}],
        },
    }
    assert DECODER.decode(encode_trend(event)) == event


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    event = trend_event(samples=(Sample("test", "1", "cut \ud83d"), Sample("test", "2", "whole 😀")))
    texts = [sample.text for sample in DECODER.decode(encode_trend(event)).trend.samples]
    assert texts == ["cut ?", "whole 😀"]
    assert b"Fl?" in encode_trend(trend_doc(label="Fl\udfff"))


def test_what_fits_is_whole() -> None:
    event = trend_event(samples=samples(300, 280))
    whole = encode_trend(event)
    assert encode_within(event, len(whole)) == (whole, 300)


def test_long_texts_are_cut_before_posts_are_left_out() -> None:
    event = trend_event(samples=(*samples(99, 280), Sample("test", "long", "word " * 100_000)))
    encoded, kept = encode_within(event, 100_000)
    assert (kept, len(encoded) <= 100_000) == (100, True)
    texts = [sample.text for sample in DECODER.decode(encoded).trend.samples]
    assert texts == [*(sample.text for sample in event.trend.samples[:99]), ("word " * 100_000)[:4000]]


def test_posts_are_left_out_evenly() -> None:
    event = trend_event(samples=samples(300, 280))
    encoded, kept = encode_within(event, 50_000)
    decoded = DECODER.decode(encoded)
    numbers = [int(sample.id) for sample in decoded.trend.samples]
    assert len(numbers) == kept
    assert 40_000 < len(encoded) <= 50_000
    steps = {after - before for before, after in pairwise(numbers)}
    assert max(steps) - min(steps) <= 1
    assert numbers[0] == 0
    assert numbers[-1] >= 300 - max(steps)
    assert msgspec.structs.replace(decoded.trend, samples=event.trend.samples) == event.trend


@given(
    sizes=st.lists(st.integers(0, 3_000), max_size=30),
    limit=st.integers(600, 20_000),
)
def test_it_fits_and_everything_but_the_samples_stays(sizes: list[int], limit: int) -> None:
    event = trend_event(samples=tuple(Sample("test", str(number), "é" * size) for number, size in enumerate(sizes)))
    encoded, kept = encode_within(event, limit)
    trend = DECODER.decode(encoded).trend
    assert len(encoded) <= limit
    assert len(trend.samples) == kept
    assert msgspec.structs.replace(trend, samples=()) == msgspec.structs.replace(event.trend, samples=())
    assert all(event.trend.samples[int(sample.id)].text.startswith(sample.text) for sample in trend.samples)


@pytest.mark.parametrize("limit", [0, 300])
def test_where_not_even_words_fit_the_trend_itself_is_left(limit: int) -> None:
    event = trend_event(cotags=tuple(TagCount(f"tag{number}", 1) for number in range(1000)), samples=samples(3, 9))
    encoded, kept = encode_within(event, limit)
    trend = DECODER.decode(encoded).trend
    assert (kept, trend.words, trend.cotags, trend.samples) == (0, (), (), ())
    assert (trend.id, trend.count) == (event.trend.id, event.trend.count)
