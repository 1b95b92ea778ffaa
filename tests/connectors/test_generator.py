"""The invented stream: a function of seed, start and ordinal."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.generator import Burst, GeneratorSource, GeneratorSpec, PostGenerator, paced_posts
from groundswell.errors import SettingsError
from groundswell.records import RawBatch
from operators.decode import Decoder
from tests.connectors.partitions import Clock, Driver, ample_credits, never

_START = datetime(2026, 3, 1, tzinfo=UTC)


def _posts(spec: GeneratorSpec, count: int) -> list[dict[str, Any]]:
    return [json.loads(value) for value in PostGenerator(spec, _START).values(0, count)]


def _time(post: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(post["created_at"])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 2000), max_size=6))
def test_a_stream_is_the_same_however_it_is_cut(seed: int, cuts: list[int]) -> None:
    spec = GeneratorSpec(seed=seed, malformed=0.1, bursts=(Burst("b", 0, 1),))
    whole = PostGenerator(spec, _START).values(0, 2000)
    edges = [0, *sorted(cuts), 2000]
    again = PostGenerator(spec, _START)
    assert [value for first, last in pairwise(edges) for value in again.values(first, last)] == whole


def test_another_seed_is_another_stream() -> None:
    assert _posts(GeneratorSpec(seed=1), 100) != _posts(GeneratorSpec(seed=2), 100)


def test_every_post_has_the_default_fields_and_an_id_of_its_own() -> None:
    posts = _posts(GeneratorSpec(), 5000)
    assert len({post["id"] for post in posts}) == 5000
    for post in posts:
        assert set(post) == {"id", "source", "author", "text", "created_at", "lang", "hashtags"}
        assert post["source"] == "generator"
        assert [f"#{tag}" in post["text"].lower() for tag in post["hashtags"]] == [True] * len(post["hashtags"])
    assert {post["lang"] for post in posts} == {"en", "es", "de", "fr", "ja"}


def test_a_span_is_shared_out_evenly() -> None:
    posts = _posts(GeneratorSpec(count=1000, span=5000), 1000)
    assert [_time(post) - _START for post in posts] == [timedelta(seconds=5 * number) for number in range(1000)]


def test_without_a_span_time_advances_with_the_rate() -> None:
    posts = _posts(GeneratorSpec(rate=10), 100)
    assert _time(posts[99]) - _START == timedelta(seconds=9.9)


def test_hashtags_follow_zipf() -> None:
    counts = Counter(tag for post in _posts(GeneratorSpec(tags=100, zipf=1.2), 20_000) for tag in post["hashtags"])
    (_, first), (_, second), *_ = counts.most_common()
    assert counts.most_common(1)[0][0] == "news"
    assert first / second == pytest.approx(2**1.2, rel=0.15)


#         |....|################|.............|
# seconds 0   100              300           500     every post once a second, the burst from 100 to 300
def test_a_burst_lies_where_it_was_planted_and_nowhere_else() -> None:
    spec = GeneratorSpec(rate=100, bursts=(Burst("Sunset", 100, 200, 0.4),))
    carrying = [_time(post) for post in _posts(spec, 50_000) if "sunset" in post["hashtags"]]
    assert min(carrying) >= _START + timedelta(seconds=100)
    assert max(carrying) < _START + timedelta(seconds=300)
    assert len(carrying) / (200 * 100) == pytest.approx(0.4, rel=0.05)


def test_the_malformed_records_are_those_that_no_decoder_takes() -> None:
    generator = PostGenerator(GeneratorSpec(malformed=0.05), _START)
    planted = generator.malformed(0, 5000)
    assert len(planted) == pytest.approx(250, rel=0.3)
    values = generator.values(0, 5000)
    batch = Decoder(clock=lambda: _START + timedelta(hours=1)).decode(RawBatch("s", 0, list(range(5000)), values))
    refused = [dead.origin.offset for dead in batch.dead]
    assert refused == planted
    assert generator.malformed(100, 900) == [ordinal for ordinal in planted if 100 <= ordinal < 900]


def test_a_span_needs_a_count() -> None:
    with pytest.raises(SettingsError, match=r"generator\.count"):
        GeneratorSource(GeneratorSpec(span=5), ample_credits(), never())


def test_until_end_needs_a_count() -> None:
    with pytest.raises(SettingsError, match=r"generator\.count"):
        GeneratorSource(GeneratorSpec(rate=5), ample_credits(), never(), until_end=True)


def test_the_source_ends_with_its_count() -> None:
    spec = GeneratorSpec(count=1234, start=_START)
    driver = Driver(GeneratorSource(spec, ample_credits(), never(), until_end=True))
    driver.run()
    assert driver.values == PostGenerator(spec, _START).values(0, 1234)
    assert driver.places == [("generator", 0, ordinal) for ordinal in range(1234)]


@pytest.mark.parametrize("spec", [GeneratorSpec(count=3000, span=60), GeneratorSpec(count=3000, rate=50)])
def test_a_restart_goes_on_with_exactly_the_next_post(spec: GeneratorSpec) -> None:
    now = [_START.timestamp()]

    def source() -> GeneratorSource:
        return GeneratorSource(spec, ample_credits(), never(), until_end=True, clock=lambda: now[0])

    driver = Driver(source())
    for _ in range(3):
        now[0] += 2
        driver.step()
    states = driver.snapshot()
    driver.close()
    now[0] += 3600
    rest = Driver(source(), states)
    rest.run()
    assert driver.values
    assert rest.values
    assert driver.values + rest.values == PostGenerator(spec, spec.begin(_START)).values(0, 3000)


def test_the_rate_holds_back_what_is_not_due() -> None:
    now = [_START.timestamp()]
    spec = GeneratorSpec(rate=10, count=1000, start=_START)
    driver = Driver(GeneratorSource(spec, ample_credits(), never(), until_end=True, clock=lambda: now[0]))
    sizes = []
    for _ in range(4):
        for _ in range(3):
            driver.step()
        sizes.append(len(driver.values))
        now[0] += 1.5
    assert sizes == [1, 16, 31, 46]


def test_only_a_stream_that_has_made_all_of_its_posts_idles() -> None:
    clock = Clock(_START.timestamp())
    spec = GeneratorSpec(rate=0.1, count=5, start=_START)
    driver = Driver(GeneratorSource(spec, ample_credits(), never(), clock=clock), idle_timeout=3.0, clock=clock)
    times: list[float] = []
    for _ in range(500):
        driver.step()
        times += [clock.now] * (len(driver.marks["00"]) - len(times))
        clock.now += 0.1
    # The fifth post is due after 40 seconds; four seconds pass between two posts and nobody calls that idle.
    assert times[0] - _START.timestamp() == pytest.approx(43.1, abs=0.2)
    assert len(driver.values) == 5
    assert driver.idle_times["00"] == pytest.approx([3.0 + number for number in range(len(times))], abs=1.2)
    assert all(1.0 <= after - before < 1.2 for before, after in pairwise(times))


def test_a_paced_stream_is_the_stream() -> None:
    spec = GeneratorSpec(count=3000, start=_START)
    assert list(paced_posts(spec, never())) == PostGenerator(spec, _START).values(0, 3000)
    stopped = threading.Event()
    stopped.set()
    assert list(paced_posts(replace(spec, count=0), stopped)) == []
