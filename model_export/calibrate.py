"""Fitting the temperature of a head on rows set aside; :mod:`inference.calibration` applies it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from inference.calibration import softmax

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
