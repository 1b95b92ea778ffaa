"""Fitting the calibration of a head on rows set aside; :mod:`inference.calibration` applies it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression

from inference.calibration import softmax
from inference.manifest import Calibration, Isotonic

#: Decimal places of what is stored.
PLACES = 4
_LOWEST, _HIGHEST = 0.05, 20.0


def fit_temperature(logits: NDArray[Any], truth: Sequence[int]) -> float:
    """The temperature that makes the true columns most likely (Guo et al., 2017), between 0.05 and 20.

    ``logits`` are ``[rows, labels]``, ``truth`` the true column of each row.
    """
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        return float(-np.log(softmax(logits, np.exp(log_temperature))[rows, list(truth)] + 1e-12).mean())

    found = minimize_scalar(loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return round(float(np.exp(found.x)), PLACES)


def fit_isotonic(logits: NDArray[Any], truth: Sequence[int], labels: Sequence[str]) -> Calibration:
    """A temperature and, behind it, a rising curve for each label against the rest (Zadrozny and Elkan, 2002).

    The curves need thousands of rows; with fewer a temperature alone is the safer choice.
    No curve says 0 or 1: with n rows nothing is known beyond 1 / (n + 2).
    """
    temperature = fit_temperature(logits, truth)
    before = softmax(logits, temperature)
    least = 1 / (len(truth) + 2)
    curves = {}
    for column, label in enumerate(labels):
        regression = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
        regression.fit(before[:, column], np.asarray(truth) == column)
        curves[label] = _curve(regression.X_thresholds_, regression.y_thresholds_)
    return Calibration(temperature=temperature, isotonic=curves)


def _curve(x: NDArray[np.float64], y: NDArray[np.float64]) -> Isotonic:
    # Points that rounding brings together would make a step.
    kept, first = np.unique(np.round(x, PLACES), return_index=True)
    return Isotonic(x=tuple(kept.tolist()), y=tuple(np.round(y[first], PLACES + 2).tolist()))
