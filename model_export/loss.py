"""What a form of a graph loses against the unfused fp32 one: in labels, in probabilities, in true figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from inference.rows import Text
from model_export.embedding_quality import EmbeddingQuality
from model_export.evaluate import RESAMPLINGS, SEED

Floats = NDArray[np.float64]


class LabelledTexts(NamedTuple):
    """A labelled data set for one task; ``labels`` are numbers of columns."""

    task: str
    name: str
    texts: Sequence[Text]
    labels: Sequence[int]


class Paired(msgspec.Struct, frozen=True):
    """Macro-recall on the same ``n`` rows before and after; the difference (after − before) with its 95 % interval."""

    n: int
    before: float
    after: float
    difference: float
    low: float
    high: float


class ClassLoss(msgspec.Struct, frozen=True):
    """A head's loss: over ``texts`` the share with the same best label, and how far calibrated probabilities moved.

    ``largest`` and ``mean`` are of the largest distance in each row; ``sets`` by labelled data set.
    """

    texts: int
    agreement: float
    largest: float
    mean: float
    sets: dict[str, Paired]


class EmbeddingLoss(msgspec.Struct, frozen=True):
    """The embedding's loss: the cosine to what it was, and by how many points its quality's figures fell."""

    texts: int
    worst_cosine: float
    mean_cosine: float
    quality: EmbeddingQuality | None = None
    points_lost: dict[str, float] = {}


def class_loss(before: Floats, after: Floats, sets: dict[str, Paired]) -> ClassLoss:
    """The loss of probabilities ``[texts, labels]``."""
    distances = np.abs(before - after).max(axis=1)
    return ClassLoss(
        texts=len(before),
        agreement=round(float((before.argmax(axis=1) == after.argmax(axis=1)).mean()), 5),
        largest=round(float(distances.max()), 5),
        mean=round(float(distances.mean()), 6),
        sets=sets,
    )


def embedding_loss(before: NDArray[Any], after: NDArray[Any]) -> EmbeddingLoss:
    """The loss of vectors ``[texts, dimensions]``."""
    first, second = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (before, after))
    cosines = np.einsum("ij,ij->i", first, second)
    return EmbeddingLoss(len(before), round(float(cosines.min()), 6), round(float(cosines.mean()), 6))


def paired(true: Sequence[int], before: Floats, after: Floats) -> Paired:
    """Macro-recall of two sets of probabilities ``[rows, labels]`` on the same rows, by bootstrap over the rows."""
    labels = before.shape[1]
    # Rows that are alike in truth and in both answers need to be drawn together only.
    cells, counts = np.unique(
        np.stack([np.asarray(true), before.argmax(axis=1), after.argmax(axis=1)]), axis=1, return_counts=True
    )
    draws = np.random.default_rng(SEED).multinomial(len(true), counts / len(true), RESAMPLINGS)
    found = [
        _macro_recall(np.vstack([counts, draws]).astype(np.float64), cells[0], cells[0] == guessed, labels)
        for guessed in cells[1:]
    ]
    differences = found[1] - found[0]
    low, high = np.quantile(differences[1:], [0.025, 0.975])
    exact = [float(found[0][0]), float(found[1][0]), float(differences[0]), float(low), float(high)]
    return Paired(len(true), *(round(value, 5) for value in exact))


def _macro_recall(draws: Floats, true: NDArray[Any], right: NDArray[np.bool_], labels: int) -> Floats:
    of_label: Final = np.eye(labels)[true]
    number = draws @ of_label
    hits = draws @ (of_label * right[:, None])
    recall: Floats = (hits / np.maximum(number, 1)).sum(axis=1) / (number > 0).sum(axis=1)
    return recall
