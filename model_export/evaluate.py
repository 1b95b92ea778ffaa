"""How good a classifier is: figures from true labels and calibrated probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


class LabelFigures(msgspec.Struct, frozen=True):
    """The figures of one label: how many rows are truly its own, and how well they were found; 0/0 is 0."""

    n: int
    precision: float
    recall: float
    f1: float


class Bin(msgspec.Struct, frozen=True):
    """A bin of the reliability diagram: rows, their mean confidence in the best label, and how often it is right."""

    n: int
    confidence: float
    accuracy: float


def evaluate(true: Sequence[str], probabilities: Floats, labels: Sequence[str]) -> Evaluation:
    """Figures of ``probabilities`` ``[rows, labels]`` against the ``true`` labels by name.

    Raises :class:`ValueError` without rows, or for a true label that is none of ``labels``.
    """
    counts = confusion(true, probabilities, labels)
    right = _right(true, probabilities, labels)
    # Drawing rows with replacement is drawing cells of the confusion matrix by their share.
    draws = np.random.default_rng(SEED).multinomial(len(true), (counts / len(true)).ravel(), RESAMPLINGS)
    resampled = _figures(draws.reshape(-1, *counts.shape).astype(np.float64))
    exact = {name: float(value[0]) for name, value in _figures(counts[None]).items()}
    return Evaluation(
        n=len(true),
        calibration_error=calibration_error(right, probabilities.max(axis=1)),
        intervals={
            name: Interval(*(float(bound) for bound in np.quantile(values, [0.025, 0.975])))
            for name, values in resampled.items()
        },
        **exact,
    )


def confusion(true: Sequence[str], probabilities: Floats, labels: Sequence[str]) -> Floats:
    """Rows by true label (lines) and by best label (columns), ``[labels, labels]``; raises as :func:`evaluate` does."""
    if not true:
        raise ValueError("there is nothing to evaluate")
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (_columns(true, labels), probabilities.argmax(axis=1)), 1)
    return counts


def by_label(counts: Floats, labels: Sequence[str]) -> dict[str, LabelFigures]:
    """The figures of each label from a :func:`confusion` matrix."""
    hits, true, guessed = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    figures = zip(
        true.astype(int).tolist(),
        (hits / np.maximum(guessed, 1)).tolist(),
        (hits / np.maximum(true, 1)).tolist(),
        (2 * hits / np.maximum(true + guessed, 1)).tolist(),
        strict=True,
    )
    return {label: LabelFigures(*found) for label, found in zip(labels, figures, strict=True)}


def reliability(true: Sequence[str], probabilities: Floats, labels: Sequence[str], bins: int = BINS) -> tuple[Bin, ...]:
    """The bins behind the calibration error, the least confident first."""
    return tuple(_bins(_right(true, probabilities, labels), probabilities.max(axis=1), bins))


def calibration_error(right: NDArray[np.bool_], confidence: Floats, bins: int = BINS) -> float:
    """Mean distance between confidence and accuracy over ``bins`` bins of equal count.

    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using
    Bayesian binning" (2015), with bins of equal count in place of equal width.
    """
    return sum(each.n * abs(each.accuracy - each.confidence) for each in _bins(right, confidence, bins)) / len(right)


def _bins(right: NDArray[np.bool_], confidence: Floats, bins: int) -> Iterator[Bin]:
    order = np.argsort(confidence, kind="stable")
    for part in np.array_split(order, min(bins, len(order))):
        yield Bin(len(part), float(confidence[part].mean()), float(right[part].mean()))


def _right(true: Sequence[str], probabilities: Floats, labels: Sequence[str]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = _columns(true, labels) == probabilities.argmax(axis=1)
    return found


def _columns(true: Sequence[str], labels: Sequence[str]) -> NDArray[np.intp]:
    columns = {label: column for column, label in enumerate(labels)}
    unknown = sorted(set(true) - columns.keys())
    if unknown:
        raise ValueError(f"the labels {unknown} are none of the model's {list(labels)}")
    return np.array([columns[label] for label in true])


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
