"""Drift: the population stability index, and the window that it is measured over."""

from __future__ import annotations

import csv
import gzip
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.records import Analysis
from inference.drift import BINS, CLASSES, CONFIDENCE, DriftWindow, population_stability_index, shifts, sound
from inference.manifest import Reference
from inference.model import Model
from inference.repository import Repository, default_repository
from inference.rows import RowError
from tests.inference.judged import CODING, failed, read, reference, said
from tests.inference.tiny import SENTIMENT
from tests.shared_data import shared_data

counts = st.lists(st.integers(0, 1000), min_size=3, max_size=3).filter(sum)


def share(found: list[int]) -> list[float]:
    return [count / sum(found) for count in found]


@given(counts, counts, st.integers(1, 10_000))
def test_the_index_is_the_sum_over_smoothed_shares_and_never_infinite(p: list[int], q: list[int], rows: int) -> None:
    naive = 0.0
    for found, wanted in zip(share(p), share(q), strict=True):
        a, b = ((rows * part + 0.5) / (rows + 1.5) for part in (found, wanted))
        naive += (a - b) * math.log(a / b)
    index = population_stability_index(share(p), share(q), rows)
    assert index == pytest.approx(naive, abs=1e-9)
    assert math.isfinite(index)
    assert index >= -1e-12
    assert index == pytest.approx(population_stability_index(share(q), share(p), rows))


def test_equal_shares_do_not_drift_and_a_moved_half_does() -> None:
    assert population_stability_index([0.2, 0.8, 0], [0.2, 0.8, 0], 100) == 0
    assert population_stability_index([0.7, 0.3], [0.2, 0.8], 100_000) == pytest.approx(
        0.5 * math.log(0.7 / 0.2) - 0.5 * math.log(0.3 / 0.8), abs=1e-3
    )


def test_samples_of_one_distribution_lie_as_near_as_chance_has_it() -> None:
    draw = np.random.default_rng(5)
    true = draw.dirichlet(np.full(BINS, 5.0))
    rows = 2000
    samples = [(draw.multinomial(rows, true) / rows).tolist() for _ in range(600)]
    found = [population_stability_index(*pair, rows) for pair in zip(samples[::2], samples[1::2], strict=True)]
    assert np.mean(found) == pytest.approx((BINS - 1) * 2 / rows, rel=0.15)


def test_answers_are_counted_by_label_and_by_tenth_and_errors_not_at_all() -> None:
    answers: list[Analysis | RowError]
    answers = [said("positive", 1.0), said("positive", 0.95), said("negative", 0.4), said("neutral", 0.399), failed()]
    codes = CODING.codes(answers)
    assert codes.tolist() == [29, 29, 4, 13, -1]
    found = CODING.distribution(codes[:4])
    assert found.classes == {"negative": 0.25, "neutral": 0.25, "positive": 0.5}
    assert found.confidence == (0, 0, 0, 0.25, 0.25, 0, 0, 0, 0, 0.5)


def test_a_window_measures_once_it_is_full_and_then_with_every_tenth() -> None:
    wanted = reference([said("positive", 0.9), said("negative", 0.9)])
    window = DriftWindow(CODING, 100, wanted)
    as_wanted = CODING.codes([said("positive", 0.9), said("negative", 0.9)] * 5)
    assert [window.add(as_wanted) for _ in range(9)] == [False] * 9
    assert window.drift() is None
    assert window.add(as_wanted)
    assert window.drift() == {CLASSES: 0, CONFIDENCE: 0}
    one_sided = CODING.codes([said("positive", 0.5)])
    due = [window.add(one_sided) for _ in range(100)]
    assert sum(due) == 10
    drift = window.drift()
    assert drift is not None
    assert drift == shifts(reference([said("positive", 0.5)]), wanted, 100)
    assert drift[CLASSES] > 1
    assert drift[CONFIDENCE] > 1


def test_a_window_without_a_reference_knows_what_it_holds_and_no_drift() -> None:
    window = DriftWindow(CODING, 2, None)
    window.add(CODING.codes([said("positive", 0.9), failed()]))
    assert window.distribution() is None
    window.add(CODING.codes([said("neutral", 0.9)]))
    found = window.distribution()
    assert found is not None
    assert found.classes == {"negative": 0, "neutral": 0.5, "positive": 0.5}
    assert window.drift() is None


@pytest.mark.parametrize(
    ("classes", "confidence"),
    [
        ({"positive": 1.0}, (0.1,) * 9),
        ({"wonderful": 1.0}, (0.1,) * 10),
        ({"positive": 0.5}, (0.1,) * 10),
        ({"positive": 2.0, "negative": -1.0}, (0.1,) * 10),
        ({"positive": float("nan")}, (0.1,) * 10),
        ({}, (0.1,) * 10),
        ({"positive": 1.0}, (0.2,) * 10),
    ],
)
def test_a_reference_that_is_none_is_recognised(classes: dict[str, float], confidence: tuple[float, ...]) -> None:
    assert not sound(Reference(classes=classes, confidence=confidence), SENTIMENT)
    assert sound(Reference(classes={"positive": 1.0}, confidence=(0.1,) * 10), SENTIMENT)


def test_news_after_tweets_is_a_drift_and_other_tweets_are_none() -> None:
    model = Model(Repository(default_repository()).open("sentiment-baseline"), threads=1)
    rows = 600
    tweets, news = _tweets(2 * rows), _news(rows)
    wanted = reference(read(model, tweets[:rows]))
    more = shifts(reference(read(model, tweets[rows:])), wanted, rows)
    other = shifts(reference(read(model, news)), wanted, rows)
    assert max(more.values()) < 0.1
    assert other[CLASSES] > 0.25


def _tweets(count: int) -> list[str]:
    path = shared_data("tweets_sentiment/semeval2017_4a/twitter-2016test-A.tsv.gz")
    if path is None:
        kinds = ("what a lovely day :)", "worst service ever, so angry", "the train leaves at nine")
        return [f"{kinds[number % 3]} {number}" for number in range(count)]
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.split("\t")[2] for line in file][:count]


def _news(count: int) -> list[str]:
    path = shared_data("news_stream/reuters_headlines.csv.gz")
    if path is None:
        return [f"The ministry said on Monday that the report of {number} would follow." for number in range(count)]
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [headline for _, headline in csv.reader(file)][:count]
