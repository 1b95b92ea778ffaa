"""How good a classifier is: figures from true labels and calibrated probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

#: Bins of equal count for the calibration error.
BINS: Final = 15
#: Resamplings behind a confidence interval, and their seed.
RESAMPLINGS: Final = 2000
SEED: Final = 1

Floats = NDArray[np.float64]


class Interval(msgspec.Struct, frozen=True):
    """A 95 % confidence interval by bootstrap over the rows."""

    low: float
    high: float


class Evaluation(msgspec.Struct, frozen=True):
    """The figures of one data set. ``macro`` means: each class counts the same, however rare.

    ``calibration_error`` is the expected calibration error of the best label: the mean
    distance between its probability and how often it is right, over bins of equal count.
    """

    n: int
    accuracy: float
    macro_f1: float
    macro_recall: float
    calibration_error: float
    intervals: dict[str, Interval]

    def flat(self) -> dict[str, float]:
        """All figures by name, the bounds as ``<figure>_low`` and ``<figure>_high``."""
        figures: dict[str, float] = {
            "n": self.n,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "macro_recall": self.macro_recall,
            "calibration_error": self.calibration_error,
        }
        for name, interval in self.intervals.items():
            figures |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        return {name: round(value, 4) for name, value in figures.items()}


def evaluate(true: Sequence[str], probabilities: Floats, labels: Sequence[str]) -> Evaluation:
    """Figures of ``probabilities`` ``[rows, labels]`` against the ``true`` labels by name.

    Raises :class:`ValueError` without rows, or for a true label that is none of ``labels``.
    """
    if not true:
        raise ValueError("there is nothing to evaluate")
    columns = {label: column for column, label in enumerate(labels)}
    unknown = sorted(set(true) - columns.keys())
    if unknown:
        raise ValueError(f"the labels {unknown} are none of the model's {list(labels)}")
    truth = np.array([columns[label] for label in true])
    guess = probabilities.argmax(axis=1)
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (truth, guess), 1)
    # Drawing rows with replacement is drawing cells of the confusion matrix by their share.
    draws = np.random.default_rng(SEED).multinomial(len(true), (counts / len(true)).ravel(), RESAMPLINGS)
    resampled = _figures(draws.reshape(-1, *counts.shape).astype(np.float64))
    exact = {name: float(value[0]) for name, value in _figures(counts[None]).items()}
    return Evaluation(
        n=len(true),
        calibration_error=calibration_error(truth == guess, probabilities.max(axis=1)),
        intervals={
            name: Interval(*(float(bound) for bound in np.quantile(values, [0.025, 0.975])))
            for name, values in resampled.items()
        },
        **exact,
    )


def calibration_error(right: NDArray[np.bool_], confidence: Floats, bins: int = BINS) -> float:
    """Mean distance between confidence and accuracy over ``bins`` bins of equal count.

    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using
    Bayesian binning" (2015), with bins of equal count in place of equal width.
    """
    order = np.argsort(confidence, kind="stable")
    error = 0.0
    for part in np.array_split(order, min(bins, len(order))):
        error += len(part) * abs(float(right[part].mean()) - float(confidence[part].mean()))
    return error / len(order)


def _figures(counts: Floats) -> dict[str, NDArray[Any]]:
    """Accuracy, macro-F1 and macro-recall of confusion matrices ``[matrices, true, guessed]``; 0/0 is 0."""
    hits = np.einsum("mii->mi", counts)
    true, guessed = counts.sum(axis=2), counts.sum(axis=1)
    # A class with neither rows nor guesses says nothing and does not count.
    present = (true + guessed) > 0
    recall = hits / np.maximum(true, 1)
    f1 = 2 * hits / np.maximum(true + guessed, 1)
    return {
        "accuracy": hits.sum(axis=1) / counts.sum(axis=(1, 2)),
        "macro_f1": f1.sum(axis=1) / present.sum(axis=1),
        "macro_recall": recall.sum(axis=1) / (true > 0).sum(axis=1),
    }
