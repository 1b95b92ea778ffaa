"""DCG, NDCG and average precision against the definitions, written out."""

from __future__ import annotations

from itertools import permutations
from math import isclose, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.relevance import average_precision, dcg, ndcg

GRADES = st.lists(st.integers(0, 4), max_size=12)
ORDERS = st.lists(st.booleans(), min_size=1, max_size=20)


@given(GRADES, st.integers(1, 14))
def test_dcg_adds_what_each_rank_gains(grades: list[int], k: int) -> None:
    expected = 0.0
    for place in range(min(k, len(grades))):
        expected += (2 ** grades[place] - 1) / log2(place + 2)
    assert isclose(dcg(grades, k), expected)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(1, 7))
def test_ndcg_is_one_for_the_best_of_all_orders_and_less_for_the_others(grades: list[int], k: int) -> None:
    best = max(dcg(order, k) for order in permutations(grades))
    found = ndcg(grades, grades, k)
    if best == 0:
        assert found is None
    else:
        assert found is not None
        assert isclose(found, dcg(grades, k) / best)
        assert ndcg(sorted(grades, reverse=True), grades, k) == 1


@given(GRADES, GRADES, st.integers(1, 14))
def test_what_was_judged_and_not_found_makes_the_ideal_higher(found: list[int], missed: list[int], k: int) -> None:
    alone, among = ndcg(found, found, k), ndcg(found, found + missed, k)
    if alone is not None:
        assert among is not None
        assert among <= alone + 1e-12


@given(ORDERS, st.integers(0, 5))
def test_average_precision_is_the_mean_over_the_relevant_ones(order: list[bool], missed: int) -> None:
    total = sum(order) + missed
    precisions = [sum(order[: rank + 1]) / (rank + 1) for rank, each in enumerate(order) if each]
    expected = sum(precisions) / total if total else None
    found = average_precision(order, total)
    assert found == expected or (found is not None and expected is not None and isclose(found, expected))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=2, max_size=20))
def test_they_are_those_of_scikit_learn(judged: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    # Of equal scores scikit-learn makes one step: here every order is a strict one.
    scores = [score + place * 0.01 for place, (_, score) in enumerate(judged)]
    order = sorted(range(len(judged)), key=lambda place: -scores[place])
    grades = [judged[place][0] for place in order]
    gains = [2**grade - 1 for grade, _ in judged]
    if any(gains):
        found = ndcg(grades, grades, 10)
        assert found is not None
        assert isclose(found, metrics.ndcg_score([gains], [scores], k=10), abs_tol=1e-9)
        precision = average_precision([grade > 0 for grade in grades], sum(gain > 0 for gain in gains))
        assert precision is not None
        assert isclose(precision, metrics.average_precision_score([gain > 0 for gain in gains], scores), abs_tol=1e-9)
    assert isclose(dcg(grades, 10), metrics.dcg_score([gains], [scores], k=10), abs_tol=1e-9)


def test_where_nothing_is_relevant_there_is_no_figure() -> None:
    assert ndcg([0, 0], [0, 0]) is None
    assert average_precision([False], 0) is None
    assert dcg([]) == 0
