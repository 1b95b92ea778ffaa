"""Calibrations are found again from rows that were drawn by them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.calibration import Calibrator, softmax
from inference.manifest import Calibration
from model_export.calibrate import fit_isotonic, fit_temperature

LABELS = ["negative", "neutral", "positive"]


def drawn(probabilities: NDArray[np.float64]) -> list[int]:
    draw = np.random.default_rng(2)
    return [int(draw.choice(len(row), p=row)) for row in probabilities]


def logits(rows: int) -> NDArray[np.float64]:
    return np.random.default_rng(1).normal(0, 2, (rows, 3))


@given(st.floats(0.2, 5))
@settings(max_examples=20, deadline=None)
def test_the_temperature_is_found_again(true: float) -> None:
    found = logits(4000)
    assert fit_temperature(found, drawn(softmax(found, true))) == pytest.approx(true, rel=0.25)


def test_isotonic_curves_mend_what_no_temperature_can() -> None:
    found = logits(8000)
    # The model is sure of one label where it should not be: half of its mass belongs to another.
    said = softmax(found)
    true = said.copy()
    true[:, 0] *= 0.5
    true[:, 1] += said[:, 0] * 0.5
    truth = drawn(true)
    calibration = fit_isotonic(found, truth, LABELS)
    mended = Calibrator(calibration, LABELS)(found)
    plain = softmax(found, calibration.temperature)
    assert np.abs(mended - true).mean() < 0.5 * np.abs(plain - true).mean()
    assert mended.sum(axis=1) == pytest.approx(np.ones(len(found)))
    assert mended.min() > 0


def test_what_was_fitted_is_read_again_as_it_was_written() -> None:
    found = logits(500)
    calibration = fit_isotonic(found, drawn(softmax(found)), LABELS)
    again = msgspec.json.decode(msgspec.json.encode(calibration), type=Calibration)
    assert again == calibration
    Calibrator(again, LABELS)


def test_a_label_that_is_never_true_stays_possible_but_small() -> None:
    found = logits(200)
    calibration = fit_isotonic(found, [row % 2 for row in range(200)], LABELS)
    assert 0 < Calibrator(calibration, LABELS)(found)[:, 2].max() < 0.02
