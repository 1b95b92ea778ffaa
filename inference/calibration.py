"""From logits to calibrated probabilities, by the calibration that lies beside a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from inference.manifest import Calibration, Isotonic

Floats = NDArray[np.float64]


def softmax(logits: NDArray[Any], temperature: float = 1.0) -> Floats:
    """Probabilities ``[rows, labels]`` of logits ``[rows, labels]``, at a temperature above 0."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    powers: Floats = np.exp(scaled, out=scaled)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


class Calibrator:
    """A head's calibration, its curves in the order of the head's columns.

    Raises :class:`ModelError` for a calibration that cannot be used with these labels.
    """

    def __init__(self, calibration: Calibration, labels: Sequence[str]) -> None:
        if not 0 < calibration.temperature < math.inf:
            raise ModelError(f"the calibration's temperature is {calibration.temperature}, it must be positive")
        curves = calibration.isotonic
        if curves is not None and curves.keys() != set(labels):
            raise ModelError(f"the calibration has curves for {sorted(curves)}, it must have one for each of {labels}")
        for label, curve in (curves or {}).items():
            _check(label, curve)
        self._temperature = calibration.temperature
        self._curves = [curves[label] for label in labels] if curves is not None else []

    def __call__(self, logits: NDArray[Any]) -> Floats:
        """Probabilities ``[rows, labels]`` that sum to 1 in each row, of finite logits ``[rows, labels]``."""
        found = softmax(logits, self._temperature)
        if not self._curves:
            return found
        read = np.column_stack([np.interp(found[:, at], curve.x, curve.y) for at, curve in enumerate(self._curves)])
        total = read.sum(axis=1, keepdims=True)
        # Where every curve says 0 they say nothing: the probabilities before them stand.
        return np.where(total > 0, read / np.where(total > 0, total, 1), found)


def _check(label: str, curve: Isotonic) -> None:
    within = all(0 <= value <= 1 for value in (*curve.x, *curve.y))
    rising = all(low < high for low, high in pairwise(curve.x)) and all(low <= high for low, high in pairwise(curve.y))
    if not (curve.x and len(curve.x) == len(curve.y) and within and rising):
        raise ModelError(f"the calibration's curve of {label!r} is not one that rises from 0 to 1: calibrate again")
