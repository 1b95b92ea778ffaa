"""From the rows' outputs to what a model says of each text: pooled, calibrated, by the names of labels.

Rows are pooled into texts by their weights: logits as a weighted mean, embeddings as a
weighted sum, of which only the direction counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from groundswell.records import Scores
from inference import manifest
from inference.calibration import Calibrator, Floats
from inference.manifest import Calibration, Tensor
from inference.rows import NOT_FINITE, Encoded, RowError
from inference.tasks import EMBEDDING
from inference.tasks import LABELS as STRICT

#: Decimal places of a probability.
PLACES: Final = 6
#: The largest magnitude of a quantised component.
LARGEST: Final = 127


class Classes:
    """A classification: its labels in the order of the output's columns, and its calibration.

    Raises :class:`ModelError` when labels, output or calibration do not fit each other or the task.
    """

    def __init__(
        self, head: manifest.Head, output: Tensor | None, labels: Sequence[str], calibration: Calibration | None
    ) -> None:
        task = head.task
        strict = STRICT.get(task)
        if strict is not None and (len(labels) != len(strict) or set(labels) != strict):
            raise ModelError(f"its labels for {task} are {labels}, they must be {sorted(strict)}: publish it again")
        if len(labels) < 2 or len(set(labels)) != len(labels) or not all(labels):
            raise ModelError(
                f"its labels for {task} are {labels}, they must be two or more, distinct: publish it again"
            )
        if output is None or output.shape[1:] != (len(labels),):
            raise ModelError(f"its output {head.output!r} has not one column a label of {labels}: publish it again")
        if calibration is None:
            raise ModelError(f"its calibration says nothing of {task}: publish it again")
        try:
            self._calibrate = Calibrator(calibration, labels)
        except ModelError as error:
            raise ModelError(f"its calibration of {task} cannot be used: {error}") from error
        self.task = task
        self.output = head.output
        self.labels = tuple(labels)

    def probabilities(self, logits: NDArray[Any]) -> Floats:
        """Calibrated probabilities ``[texts, labels]`` of pooled logits ``[texts, labels]``."""
        return self._calibrate(logits)

    def read(self, pooled: NDArray[Any]) -> list[Scores | RowError]:
        """The scores of each text from its pooled logits ``[texts, labels]``."""
        finite = np.isfinite(pooled).all(axis=1)
        scores: list[Scores | RowError] = [
            *named(self.labels, self.probabilities(np.where(finite[:, None], pooled, 0)))
        ]
        for text in np.flatnonzero(~finite).tolist():
            scores[text] = RowError(NOT_FINITE, f"{self.output} is not finite")
        return scores


class Embedding:
    """The embedding; raises :class:`ModelError` when the version does not say what space it is in."""

    def __init__(self, head: manifest.Head, output: Tensor | None, space: str | None) -> None:
        if head.task != EMBEDDING:
            raise ModelError(f"its head for {head.task} is an embedding; only {EMBEDDING} can be: publish it again")
        if output is None or len(output.shape) != 2 or not isinstance(output.shape[1], int):
            raise ModelError(f"its output {head.output!r} has no fixed number of dimensions: publish it again")
        if not space:
            raise ModelError("it has an embedding but names no embedding_space: publish it again")
        self.task = head.task
        self.output = head.output
        self.space = space
        self.dimensions = output.shape[1]

    def read(self, pooled: NDArray[Any]) -> list[bytes | RowError]:
        """The quantised embedding of each text from its pooled vector ``[texts, dimensions]``."""
        # Every pass over this much memory counts: there are few, and in place.
        largest = np.maximum(pooled.max(axis=1), -pooled.min(axis=1))[:, None]
        # Windows can cancel each other out: then there is no direction either.
        usable = np.isfinite(largest) & (largest > 0)
        scaled = pooled / np.where(usable, largest, 1)
        if not usable.all():
            scaled[~usable[:, 0]] = 0
        scaled *= LARGEST
        packed = np.rint(scaled, out=scaled).astype(np.int8).tobytes()
        width = pooled.shape[1]
        found: list[bytes | RowError] = [packed[start : start + width] for start in range(0, len(packed), width)]
        for text in np.flatnonzero(~usable).tolist():
            found[text] = RowError(NOT_FINITE, f"{self.output} is not finite")
        return found


def named(labels: Sequence[str], probabilities: Floats) -> list[Scores]:
    """Probabilities ``[texts, labels]`` by the names of the labels, rounded, one a text."""
    return [
        Scores(labels[top], row[top], dict(zip(labels, row, strict=True)))
        for top, row in zip(
            probabilities.argmax(axis=1).tolist(), np.round(probabilities, PLACES).tolist(), strict=True
        )
    ]


def pool(values: NDArray[Any], encoded: Sequence[Encoded]) -> NDArray[Any]:
    """The weighted sum of each text's rows: ``[rows, columns]`` becomes ``[texts, columns]``."""
    if len(values) == len(encoded):
        return values
    weights = np.array([weight for text in encoded for weight in text.weights])
    ends = np.cumsum([len(text.rows) for text in encoded])
    return np.add.reduceat(values * weights[:, None], [0, *ends[:-1]], axis=0)
