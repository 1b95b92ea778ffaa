"""How probably posts are about topics, by the evidence of the topics' own posts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from groundswell.topics import Topic
from inference.evidence_model import EvidenceModel, probabilities
from operators.topics.evidence import (
    LEARNT,
    ONLY_LABEL,
    POSTS,
    SET_APART,
    TAGGED,
    WORDS,
    Evidence,
    Floats,
    form_of,
)

#: Posts that are scored at once: their table fits into the processor's caches.
AT_ONCE: Final = 512


class TopicScorer:
    """Scores posts against ``topics`` by ``model``; threads may share one.

    The form of the evidence follows from what there is: a topic of posts and a post with a
    vector are compared by vectors and words, a topic that is only a label by that and its
    words, and what lacks a vector by words alone. Each topic's ``shift`` is added, save where
    a post carries the tag.
    """

    def __init__(self, topics: Sequence[Topic], model: EvidenceModel) -> None:
        self._topics = tuple(topics)
        self._model = model
        self._evidence = Evidence(self._topics, model) if self._topics else None
        refined = np.array([form_of(topic) for topic in self._topics], dtype=object)
        self._refined = {form: refined == form for form in (POSTS, LEARNT, SET_APART)}
        self._shifts = np.array([topic.shift for topic in self._topics], dtype=np.float64)

    def score(self, texts: Sequence[str], vectors: Sequence[bytes | None], hashtags: Sequence[Sequence[str]]) -> Floats:
        """Calibrated probabilities ``[posts, topics]``.

        ``vectors`` are those of the posts in the model's embedding space, one signed byte a
        dimension, ``None`` for a post without; ``hashtags`` are normalised. Raises
        :class:`~groundswell.errors.ModelError` where the model is of another release.
        """
        found = np.zeros((len(texts), len(self._topics)))
        for start in range(0, len(texts), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            found[part] = self._part(texts[part], vectors[part], hashtags[part])
        return found

    def _part(self, texts: Sequence[str], vectors: Sequence[bytes | None], hashtags: Sequence[Sequence[str]]) -> Floats:
        evidence, model = self._evidence, self._model
        if evidence is None:
            return np.zeros((len(texts), 0))
        features, has_vector = evidence.features(texts, vectors, hashtags)
        logits = np.zeros((len(texts), len(self._topics)))
        for form, where in self._forms(evidence, has_vector):
            if where.any():
                logits = np.where(where, model.logits(form, features), logits)
        # How frequent a topic is says nothing of posts that carry its tag.
        return probabilities(logits + self._shifts * (1 - features[TAGGED]))

    def _forms(self, evidence: Evidence, has_vector: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Where which form of evidence is there ``[posts, topics]``."""
        full = evidence.has_centre & evidence.has_label
        label = ~evidence.has_centre & evidence.has_label
        for form, topics in self._refined.items():
            yield form, np.outer(has_vector, full & topics)
        yield ONLY_LABEL, np.outer(has_vector, label)
        yield WORDS, ~np.outer(has_vector, full | label)
