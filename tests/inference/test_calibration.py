"""Applying a temperature and curves, by hand-worked examples and for any logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.errors import ModelError
from inference.calibration import Calibrator, softmax
from inference.manifest import Calibration, Isotonic

LABELS = ["no", "yes"]
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def curves(no: Isotonic, yes: Isotonic) -> Calibration:
    return Calibration(temperature=1.0, isotonic={"yes": yes, "no": no})


STRAIGHT = Isotonic(x=(0, 1), y=(0, 1))


def test_a_temperature_flattens() -> None:
    logits = np.log(np.array([[0.2, 0.8]]))
    assert Calibrator(Calibration(temperature=1), LABELS)(logits).tolist() == [pytest.approx([0.2, 0.8])]
    # Square roots of the odds: 1 : 2.
    assert Calibrator(Calibration(temperature=2), LABELS)(logits).tolist() == [pytest.approx([1 / 3, 2 / 3])]


def test_curves_are_read_by_name_between_their_points_and_sum_to_one() -> None:
    calibrate = Calibrator(curves(no=STRAIGHT, yes=Isotonic(x=(0.5, 1), y=(0, 0.4))), LABELS)
    # p(yes) = .8 is read as .24; .2 stays: .2 / .44 and .24 / .44.
    assert calibrate(np.log(np.array([[0.2, 0.8]]))).tolist() == [pytest.approx([0.2 / 0.44, 0.24 / 0.44])]
    # Beyond the ends a curve is level.
    assert calibrate(np.log(np.array([[0.9, 0.1]]))).tolist() == [pytest.approx([1, 0])]


def test_where_every_curve_says_nothing_the_probabilities_stand() -> None:
    level = Isotonic(x=(0, 1), y=(0, 0))
    assert Calibrator(curves(level, level), LABELS)(np.log(np.array([[0.2, 0.8]]))).tolist() == [
        pytest.approx([0.2, 0.8])
    ]


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1), st.floats(0.01, 100))
def test_any_finite_logits_become_probabilities(rows: list[tuple[float, float]], temperature: float) -> None:
    found = Calibrator(Calibration(temperature=temperature, isotonic={"no": STRAIGHT, "yes": STRAIGHT}), LABELS)(
        np.array(rows, dtype=np.float32)
    )
    assert (found >= 0).all()
    assert found.sum(axis=1) == pytest.approx(np.ones(len(rows)))


def test_softmax_leaves_its_input_alone() -> None:
    logits = np.array([[1.0, 2.0]])
    softmax(logits)
    assert logits.tolist() == [[1, 2]]


@pytest.mark.parametrize("temperature", [0, -1, math.inf, math.nan])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(ModelError, match="must be positive"):
        Calibrator(Calibration(temperature=temperature), LABELS)


@pytest.mark.parametrize(
    "curve",
    [
        Isotonic(x=(), y=()),
        Isotonic(x=(0, 1), y=(0,)),
        Isotonic(x=(0, 0), y=(0, 1)),
        Isotonic(x=(1, 0), y=(0, 1)),
        Isotonic(x=(0, 1), y=(1, 0)),
        Isotonic(x=(0, 2), y=(0, 1)),
        Isotonic(x=(0, 1), y=(0, math.nan)),
    ],
)
def test_a_curve_that_does_not_rise_from_0_to_1_is_refused(curve: Isotonic) -> None:
    with pytest.raises(ModelError, match="curve of 'yes'"):
        Calibrator(curves(STRAIGHT, curve), LABELS)


def test_curves_for_other_labels_are_refused() -> None:
    with pytest.raises(ModelError, match="one for each of"):
        Calibrator(curves(STRAIGHT, STRAIGHT), ["no", "yes", "perhaps"])
