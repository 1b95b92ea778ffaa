"""Temperatures are found again from rows that were drawn by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.calibration import softmax
from model_export.calibrate import fit_temperature


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
