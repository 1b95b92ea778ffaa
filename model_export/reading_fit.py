"""Fitting how much a cross-encoder may add to the evidence: a logistic regression with a clipped vote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from inference.evidence_model import Reading, probabilities

#: Log-odds beyond which it counts no more how sure the cross-encoder is; the one that fits best is taken.
CLIPS: Final = (1.0, 2.0, 4.0)
#: A band of evidence in which votes count must be finite, and more evidence must not lower a probability.
LEAST_EVIDENCE: Final = 0.1
_INVERSE_PENALTY: Final = 1e3
_PLACES: Final = 6

Floats = NDArray[np.float64]


class ReadPosts(NamedTuple):
    """Posts of a topic of an event that a cross-encoder has read, in parallel.

    ``evidence`` and ``reader`` are log-odds, ``weights`` how many posts each stands for.
    """

    event: str
    evidence: Floats
    reader: Floats
    about: NDArray[np.bool_]
    weights: Floats


def fit_reading(read: Sequence[ReadPosts]) -> Reading | None:
    """The vote that fits best; every event counts the same. ``None`` where it has none.

    That is where the regression would believe the opposite of what the cross-encoder says,
    hardly heeds the evidence, or all posts are of one kind.
    """
    found = _fitted(read, CLIPS)
    return found if found is not None and found.reader > 0 and found.evidence >= LEAST_EVIDENCE else None


def fit_recalibration(read: Sequence[ReadPosts]) -> Reading | None:
    """The same regression on the evidence alone, with a vote of nothing: what a vote is compared with."""
    return _fitted([each._replace(reader=np.zeros(len(each.about))) for each in read], CLIPS[:1])


def _fitted(read: Sequence[ReadPosts], clips: Sequence[float]) -> Reading | None:
    about = np.concatenate([each.about for each in read]) if read else np.zeros(0, dtype=bool)
    if about.all() or not about.any():
        return None
    evidence = np.concatenate([each.evidence for each in read])
    reader = np.concatenate([each.reader for each in read])
    weights = _weights(read)
    return min((_regression(evidence, reader, about, weights, clip) for clip in clips), key=lambda each: each[0])[1]


def log_loss(scores: NDArray[Any], about: NDArray[Any], weights: NDArray[Any]) -> float:
    """Mean negative logarithm of the probabilities given to what is so, of weighted posts."""
    least = 1e-9
    right = np.clip(np.where(about, scores, 1 - scores), least, 1)
    return float(-(weights * np.log(right)).sum() / max(weights.sum(), 1e-12))


def _regression(
    evidence: Floats, reader: Floats, about: NDArray[np.bool_], weights: Floats, clip: float
) -> tuple[float, Reading]:
    table = np.stack([evidence, np.clip(reader, -clip, clip)], axis=1)
    fitted = LogisticRegression(C=_INVERSE_PENALTY, max_iter=1_000).fit(table, about, sample_weight=weights)
    bias, (of_evidence, of_reader) = float(fitted.intercept_[0]), fitted.coef_[0].tolist()
    loss = log_loss(probabilities(bias + table @ fitted.coef_[0]), about, weights)
    # The vote is the clipped log-odds times their weight, so its limit is the clip times that.
    return loss, Reading(
        bias=round(bias, _PLACES),
        evidence=round(of_evidence, _PLACES),
        reader=round(of_reader, _PLACES),
        limit=round(abs(of_reader) * clip, _PLACES),
    )


def _weights(read: Sequence[ReadPosts]) -> Floats:
    """What each post weighs, one on average: every event the same, and in it every topic."""
    topics: defaultdict[str, int] = defaultdict(int)
    for each in read:
        topics[each.event] += 1
    found = np.concatenate([each.weights / max(float(each.weights.sum()), 1e-12) / topics[each.event] for each in read])
    scaled: Floats = found * len(found) / max(float(found.sum()), 1e-12)
    return scaled
