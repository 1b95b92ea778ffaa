"""Drift: how far what a model says now lies from what it said of its validation data.

It is measured by the population stability index, of the predicted classes and of the
confidence (the best label's probability) in ten bins. Rule of thumb: below 0.1 nothing
has moved, above 0.25 much has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from groundswell.records import Analysis
from inference.manifest import Reference
from inference.newest import Newest
from inference.rows import RowError

#: Bins of equal width of the confidence, as a manifest's reference has them.
BINS: Final = 10

#: What drifts: the values of the metric's label ``of``.
CLASSES: Final = "classes"
CONFIDENCE: Final = "confidence"

#: The code of a text that has no answer.
NO_ANSWER: Final = -1

#: A window is measured anew whenever this part of it is new.
_STEPS: Final = 10

#: By how much shares in a manifest may miss a sum of 1.
_ROUNDING: Final = 0.01


def population_stability_index(found: Sequence[float], reference: Sequence[float], rows: int) -> float:
    """How far two distributions over the same bins lie apart, in nats; 0 where they are equal.

    ``Σ (p − q) ln(p / q)`` over the bins, as used in scoring (Siddiqi, Credit Risk
    Scorecards, 2006); it is the symmetric divergence of Jeffreys (1946). ``found`` and
    ``reference`` are shares. Both are smoothed as if each were ``rows`` texts and every
    bin had half a text more (Krichevsky and Trofimov, 1981), so an empty bin gives no infinity.
    Of two samples of one distribution it is about ``(bins − 1)(1/n + 1/m)``
    (Yurdakul and Naranjo, 2020).

    >>> population_stability_index([0.5, 0.5], [0.5, 0.5], 1000)
    0.0
    >>> round(population_stability_index([1.0, 0.0], [0.5, 0.5], 1000), 1)
    3.8
    """
    half = 0.5 / rows
    whole = 1 + len(found) * half
    p = (np.asarray(found, dtype=np.float64) + half) / whole
    q = (np.asarray(reference, dtype=np.float64) + half) / whole
    return float(((p - q) * np.log(p / q)).sum())


def shifts(found: Reference, reference: Reference, rows: int) -> dict[str, float]:
    """The population stability index of :data:`CLASSES` and of :data:`CONFIDENCE`; ``rows`` as above."""
    labels = sorted(found.classes.keys() | reference.classes.keys())
    return {
        CLASSES: population_stability_index(
            [found.classes.get(label, 0.0) for label in labels],
            [reference.classes.get(label, 0.0) for label in labels],
            rows,
        ),
        CONFIDENCE: population_stability_index(found.confidence, reference.confidence, rows),
    }


class Coding:
    """Answers to one task as numbers: ``BINS * label + bin of confidence``, or :data:`NO_ANSWER`."""

    def __init__(self, task: str, labels: Sequence[str]) -> None:
        self.task: Final = task
        self.labels: Final = tuple(labels)
        self._first = {label: BINS * position for position, label in enumerate(labels)}

    def codes(self, answers: Sequence[Analysis | RowError]) -> NDArray[np.float32]:
        """One code an answer, in order. About half a microsecond each."""
        task, first = self.task, self._first
        return np.array(
            [
                first[(found := answer.scores[task]).label] + min(int(found.score * BINS), BINS - 1)
                if isinstance(answer, Analysis)
                else NO_ANSWER
                for answer in answers
            ],
            dtype=np.float32,
        )

    def distribution(self, codes: NDArray[np.float32]) -> Reference:
        """The shares of the classes and of the bins among codes of answers, of which there is one at least."""
        counts = np.bincount(codes.astype(np.int64), minlength=BINS * len(self.labels)).reshape(-1, BINS) / len(codes)
        return Reference(
            classes=dict(zip(self.labels, counts.sum(axis=1).tolist(), strict=True)),
            confidence=tuple(counts.sum(axis=0).tolist()),
        )


class DriftWindow:
    """The newest ``rows`` answers of one version to one task, against ``reference`` where there is one."""

    def __init__(self, coding: Coding, rows: int, reference: Reference | None) -> None:
        self.coding: Final = coding
        self.reference: Final = reference
        self._newest = Newest(rows)
        self._due = rows
        self._step = max(1, rows // _STEPS)

    def add(self, codes: NDArray[np.float32]) -> bool:
        """Take in codes; says whether it is time to measure: the window is full and a tenth of it is new."""
        known = codes[codes != NO_ANSWER]
        self._newest.push(known)
        self._due -= len(known)
        if self._due > 0:
            return False
        self._due = self._step
        return True

    def distribution(self) -> Reference | None:
        """What the window holds, once it is full."""
        return self.coding.distribution(self._newest.values()[:, 0]) if self._newest.full else None

    def drift(self) -> Mapping[str, float] | None:
        """The index of classes and of confidence; ``None`` before the window is full, or without a reference."""
        found = self.distribution()
        if found is None or self.reference is None:
            return None
        return shifts(found, self.reference, self._newest.size)


def sound(reference: Reference, labels: Sequence[str]) -> bool:
    """Whether a manifest's reference can be measured against: shares of these labels, and of ten bins."""
    if len(reference.confidence) != BINS or not reference.classes.keys() <= set(labels):
        return False
    return all(
        min(shares, default=-1.0) >= 0 and abs(sum(shares) - 1) < _ROUNDING
        for shares in (tuple(reference.classes.values()), reference.confidence)
    )
