"""The evidence that a post is about a topic: features by name, from its words, its hashtags and its vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from groundswell.topics import Topic
from inference.evidence_model import EvidenceModel
from operators.distinctive_words import LONGEST_TEXT
from operators.words import words

#: Cosine of the post's vector and the mean direction of the topic's posts.
CENTRE: Final = "centre"
#: Cosine of the post's vector and the label's.
LABEL: Final = "label"
#: Square root of the summed weights of the topic's vocabulary that the post has: what many words say together
#: is less than their sum, for they come together.
VOCABULARY: Final = "vocabulary"
#: 1 where the post carries the tag.
TAGGED: Final = "tagged"

#: Forms of evidence, and their features: of posts that are like the topic's own; like the documents that a topic has
#: learnt from; of posts without a vector, or against a topic without; and against one that is nothing but a label.
POSTS: Final = "posts"
LEARNT: Final = "learnt"
#: Those of a post against a topic that was set apart from the documents near it.
SET_APART: Final = "set_apart"
WORDS: Final = "words"
ONLY_LABEL: Final = "label"
FORMS: Final[dict[str, tuple[str, ...]]] = {
    POSTS: (CENTRE, LABEL, VOCABULARY, TAGGED),
    LEARNT: (CENTRE, LABEL, VOCABULARY, TAGGED),
    SET_APART: (CENTRE, LABEL, VOCABULARY, TAGGED),
    WORDS: (VOCABULARY, TAGGED),
    ONLY_LABEL: (LABEL, VOCABULARY, TAGGED),
}

#: The weight of a word beyond which more of it says no more.
MOST: Final = 4.0
#: Posts of prior evidence that a topic's posts use words as posts at large do.
PRIOR_POSTS: Final = 20.0

Floats = NDArray[np.float64]


def tokens(text: str, hashtags: Iterable[str]) -> set[str]:
    """What a post says: its words, and its hashtags as one word each.

    >>> sorted(tokens("Pray for #Moore tonight", ["moore"]))
    ['for', 'moore', 'pray', 'tonight']
    """
    found = words(text[:LONGEST_TEXT])
    found.update(hashtags)
    return found


def log_ratio(count: int, posts: int, share: float) -> float:
    """How much more frequent a word is in a topic's posts than its ``share`` of posts at large, as a logarithm.

    ``count`` of ``posts`` have it; :data:`PRIOR_POSTS` more are taken to use it as posts at large do.
    """
    return min(MOST, log((count / share + PRIOR_POSTS) / (posts + PRIOR_POSTS)))


def form_of(topic: Topic) -> str:
    """The form of the evidence of a post with a vector against a topic."""
    if topic.label_vector is None:
        return WORDS
    if topic.centre is None:
        return ONLY_LABEL
    if topic.learnt:
        return LEARNT
    return SET_APART if topic.set_apart else POSTS


class Evidence:
    """The features of posts against topics, all at once. Topics have vectors in the model's space, or none."""

    def __init__(self, topics: Sequence[Topic], model: EvidenceModel) -> None:
        self._tags = [topic.tag for topic in topics]
        self._size = len(topics)
        centres = [unit_vector(topic.centre if topic.space == model.space else None) for topic in topics]
        labels = [unit_vector(topic.label_vector if topic.space == model.space else None) for topic in topics]
        #: Which topics have what.
        self.has_centre: Final = np.array([each is not None for each in centres], dtype=bool)
        self.has_label: Final = np.array([each is not None for each in labels], dtype=bool)
        self._dimensions = next((len(each) for each in chain(centres, labels) if each is not None), 0)
        zero = np.zeros(self._dimensions, dtype=np.float32)
        self._vectors = np.stack([zero if each is None else each for each in chain(centres, labels)]).T
        self._rows: dict[str, int] = {}
        for topic in topics:
            for word in topic.vocabulary:
                self._rows.setdefault(word, len(self._rows))
        self._weights = np.zeros((len(self._rows) + 1, self._size), dtype=np.float32)
        for column, topic in enumerate(topics):
            for word, weight in topic.vocabulary.items():
                self._weights[self._rows[word], column] = weight

    def features(
        self, texts: Sequence[str], vectors: Sequence[bytes | None], hashtags: Sequence[Sequence[str]]
    ) -> tuple[dict[str, Floats], NDArray[np.bool_]]:
        """Features by name ``[posts, topics]``, and which posts have a vector ``[posts]``.

        ``vectors`` are signed bytes, of the model's space.
        """
        has_vector = np.array([each is not None for each in vectors], dtype=bool)
        cosines = np.zeros((len(texts), 2 * self._size))
        if self._dimensions and has_vector.any():
            rows = unit_rows([each for each in vectors if each is not None])
            cosines[has_vector] = rows @ self._vectors
        tagged = np.zeros((len(texts), self._size))
        for column, tag in enumerate(self._tags):
            tagged[[row for row, tags in enumerate(hashtags) if tag in tags], column] = 1
        return {
            CENTRE: cosines[:, : self._size],
            LABEL: cosines[:, self._size :],
            VOCABULARY: np.sqrt(self._vocabulary(texts, hashtags)),
            TAGGED: tagged,
        }, has_vector

    def _vocabulary(self, texts: Sequence[str], hashtags: Sequence[Sequence[str]]) -> Floats:
        """The summed weights of the words of each post ``[posts, topics]``."""
        rows = self._rows
        # Each post ends with the row of zeros: no post is without one.
        last = len(rows)
        found = [
            [*(rows[token] for token in tokens(text, tags) if token in rows), last]
            for text, tags in zip(texts, hashtags, strict=True)
        ]
        if not found:
            return np.zeros((0, self._size))
        ends = np.cumsum([len(each) for each in found])
        gathered = self._weights[np.fromiter(chain.from_iterable(found), dtype=np.intp, count=int(ends[-1]))]
        summed: Floats = np.add.reduceat(gathered, [0, *ends[:-1]], axis=0).astype(np.float64)
        return summed


def unit_vector(value: str | None) -> NDArray[np.float32] | None:
    """The direction that is written in hexadecimal, of unit length."""
    return None if value is None else unit_rows([bytes.fromhex(value)])[0]


def unit_rows(vectors: Sequence[bytes]) -> NDArray[np.float32]:
    """The directions of vectors of signed bytes, of unit length ``[vectors, dimensions]``."""
    rows = np.frombuffer(b"".join(vectors), dtype=np.int8).reshape(len(vectors), -1).astype(np.float32)
    rows /= np.maximum(np.sqrt(np.einsum("ij,ij->i", rows, rows)), 1e-9)[:, None]
    return rows
