"""Losses: told in words that a plain loop agrees with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_export.evaluate import evaluate
from model_export.loss import class_loss, embedding_loss, paired

LABELS = ("a", "b", "c")
ROWS = st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=60)


@settings(deadline=None, max_examples=40)
@given(ROWS)
def test_macro_recall_before_and_after_is_that_of_an_evaluation(rows: list[tuple[int, int, int]]) -> None:
    true, before, after = (np.array(column) for column in zip(*rows, strict=True))
    found = paired(true.tolist(), np.eye(3)[before], np.eye(3)[after])
    said = [evaluate([LABELS[each] for each in true], np.eye(3)[guess], LABELS) for guess in (before, after)]
    assert found.before == pytest.approx(said[0].macro_recall, abs=1e-5)
    assert found.after == pytest.approx(said[1].macro_recall, abs=1e-5)
    assert found.difference == pytest.approx(found.after - found.before, abs=2e-5)
    assert found.low <= found.high
    assert found == paired(true.tolist(), np.eye(3)[before], np.eye(3)[after])


def test_the_interval_is_that_of_the_difference_and_not_of_each() -> None:
    true = np.arange(600) % 3
    guess = np.where(np.arange(600) % 5 == 0, (true + 1) % 3, true)
    same = paired(true.tolist(), np.eye(3)[guess], np.eye(3)[guess])
    assert (same.low, same.difference, same.high) == (0, 0, 0)
    better = np.where(np.arange(600) < 100, true, guess)
    found = paired(true.tolist(), np.eye(3)[guess], np.eye(3)[better])
    assert 0 < found.low < found.difference < found.high
    assert found.difference == pytest.approx(20 / 600, abs=1e-3)


def test_probabilities_are_compared_row_by_row() -> None:
    before = np.array([[0.6, 0.4], [0.5, 0.5], [0.2, 0.8]])
    after = np.array([[0.5, 0.5], [0.4, 0.6], [0.2, 0.8]])
    found = class_loss(before, after, {})
    assert found.texts == 3
    assert found.agreement == pytest.approx(2 / 3, abs=1e-5)
    assert found.largest == pytest.approx(0.1)
    assert found.mean == pytest.approx(0.2 / 3, abs=1e-6)


def test_only_the_direction_of_a_vector_counts() -> None:
    before = np.array([[1.0, 0.0], [0.0, 2.0]])
    found = embedding_loss(before, np.array([[5.0, 0.0], [3.0, 3.0]]))
    assert found.worst_cosine == pytest.approx(0.5**0.5, abs=1e-6)
    assert found.mean_cosine == pytest.approx((1 + 0.5**0.5) / 2, abs=1e-6)
