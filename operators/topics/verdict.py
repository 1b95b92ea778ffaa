"""The verdict on a post: its evidence, and what a cross-encoder that reads topic and post may add to it.

The cross-encoder's vote is bounded, so there are posts whose verdict it cannot change: leaving
it out there loses nothing at the threshold. Which they are is known before it is asked.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.evidence_model import Reading, probabilities

Floats = NDArray[np.float64]

#: Logits of nought and one.
_LARGEST: Final = 30.0


class Verdict:
    """Combines by ``reading``; with ``None`` the evidence alone decides."""

    def __init__(self, reading: Reading | None) -> None:
        self._reading = reading

    def undecided(self, evidence: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
        """Where the cross-encoder can change whether a probability by the evidence ends at ``threshold`` or above."""
        reading = self._reading
        if reading is None:
            return np.zeros(np.shape(evidence), dtype=bool)
        far = reading.bias + reading.evidence * logits(evidence) - logits(np.asarray(threshold))
        found: NDArray[np.bool_] = np.abs(far) <= reading.limit
        return found

    def alone(self, evidence: NDArray[Any]) -> Floats:
        """The probabilities where the cross-encoder is not asked: its vote is none."""
        return self.combined(evidence, np.full(np.shape(evidence), 0.5))

    def combined(self, evidence: NDArray[Any], read: NDArray[Any]) -> Floats:
        """The probabilities by the evidence and by what the cross-encoder says, both as probabilities."""
        reading = self._reading
        if reading is None:
            return np.asarray(evidence, dtype=np.float64)
        vote = np.clip(reading.reader * logits(read), -reading.limit, reading.limit)
        return probabilities(reading.bias + reading.evidence * logits(evidence) + vote)


def logits(given: NDArray[Any]) -> Floats:
    """The log-odds of probabilities; of nought and one, large ones.

    >>> logits(np.array([0.0, 0.5, 1.0])).tolist()
    [-30.0, 0.0, 30.0]
    """
    with np.errstate(divide="ignore"):
        found = np.log(given) - np.log1p(-np.asarray(given, dtype=np.float64))
    clipped: Floats = np.clip(found, -_LARGEST, _LARGEST)
    return clipped
