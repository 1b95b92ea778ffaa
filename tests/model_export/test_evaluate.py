"""Figures, against scikit-learn's and a naive oracle."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from model_export.evaluate import calibration_error, evaluate

LABELS = ["negative", "neutral", "positive"]
ROWS = st.lists(
    st.tuples(st.sampled_from(LABELS), st.lists(st.floats(0.01, 1), min_size=3, max_size=3)), min_size=1, max_size=60
)


def normalised(rows: list[tuple[str, list[float]]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    weights = np.array([weight for _, weight in rows])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@settings(deadline=None)
@given(ROWS)
def test_figures_are_those_of_scikit_learn(rows: list[tuple[str, list[float]]]) -> None:
    true = [label for label, _ in rows]
    probabilities = normalised(rows)
    guess = [LABELS[column] for column in probabilities.argmax(axis=1)]
    found = evaluate(true, probabilities, LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        present = sorted(set(true))
        assert found.accuracy == pytest.approx(accuracy_score(true, guess))
        assert found.macro_f1 == pytest.approx(f1_score(true, guess, average="macro", zero_division=0))
        assert found.macro_recall == pytest.approx(recall_score(true, guess, average="macro", labels=present))
    assert found.n == len(rows)


@settings(deadline=None)
@given(ROWS)
def test_intervals_hold_plausible_values_and_are_the_same_each_time(rows: list[tuple[str, list[float]]]) -> None:
    true, probabilities = [label for label, _ in rows], normalised(rows)
    found = evaluate(true, probabilities, LABELS)
    assert found == evaluate(true, probabilities, LABELS)
    assert set(found.intervals) == {"accuracy", "macro_f1", "macro_recall"}
    assert all(0 <= interval.low <= interval.high <= 1 for interval in found.intervals.values())
    assert found.intervals["accuracy"].low <= found.accuracy <= found.intervals["accuracy"].high


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    right = [1.0, 0.0, 0.0]
    probabilities = np.array([right] * 700 + [right[::-1]] * 300)
    interval = evaluate(["negative"] * 1000, probabilities, LABELS).intervals["accuracy"]
    assert (interval.low, interval.high) == pytest.approx((0.672, 0.728), abs=0.004)


def test_calibration_error_is_zero_where_confidence_is_accuracy() -> None:
    right = np.array([True, True, True, False] * 100)
    assert calibration_error(right, np.full(400, 0.75), bins=1) == 0
    assert calibration_error(right, np.full(400, 0.95), bins=1) == pytest.approx(0.2)


def test_flat_figures_have_the_names_that_people_ask_for() -> None:
    flat = evaluate(["neutral"], np.array([[0.1, 0.8, 0.1]]), LABELS).flat()
    assert {"n", "accuracy", "macro_f1", "macro_recall", "calibration_error"} <= flat.keys()
    assert {"accuracy_low", "accuracy_high"} <= flat.keys()


def test_what_cannot_be_evaluated_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate([], np.zeros((0, 3)), LABELS)
    with pytest.raises(ValueError, match="good"):
        evaluate(["good"], np.array([[1, 0, 0]]), LABELS)
