"""TF-IDF over words, word pairs and character n-grams, with logistic regression on top.

Occurrences are counted over a text's distinct words (see :mod:`inference.ngrams`). An
n-gram *f* that occurs tf times weighs tf·idf(f) / √(Σ tf·idf²), idf as in scikit-learn
(smoothed): 1 + ln((1 + texts) / (1 + texts with f)). The norm counts occurrences, unlike
the usual Euclidean one, so that it is a sum over ids and the graph needs no more than one
look-up; on data set aside both are equally good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from inference.ngrams import NgramEncoder, Vocabulary
from inference.text import grams, words
from model_export.datasets import DataError, Example

#: Lengths of character n-grams, and in how many texts an n-gram of each kind must be.
SHORTEST: Final = 2
LONGEST: Final = 5
LEAST_WORD: Final = 3
LEAST_PAIR: Final = 3
LEAST_GRAM: Final = 5
#: Inverse strength of the regularisation; 1 to 4 are much alike.
STRENGTH: Final = 2.0


class Bag(NamedTuple):
    """A fitted model: scikit-learn's classifier over the ids of ``encoder``, and their ``idf`` ``[ids]``."""

    encoder: NgramEncoder
    idf: NDArray[np.float64]
    classifier: Any

    @property
    def labels(self) -> list[str]:
        """The label of each column."""
        return [str(label) for label in self.classifier.classes_]

    def logits(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """The reference that the exported graph must agree with: ``[texts, labels]``."""
        found: NDArray[np.float64] = self.classifier.decision_function(weigh(count(self.encoder, texts), self.idf))
        return found

    def table(self) -> NDArray[np.float32]:
        """What one occurrence of each id adds to the logits, and to the squared norm: ``[ids, labels + 1]``."""
        return np.column_stack([self.classifier.coef_.T * self.idf[:, None], self.idf**2]).astype(np.float32)

    def bias(self) -> NDArray[np.float32]:
        """What is added to the logits last: ``[labels]``."""
        return np.asarray(self.classifier.intercept_, dtype=np.float32)


def fit(examples: Sequence[Example]) -> Bag:
    """Fit on ``examples``, each class weighing the same; deterministic on the same versions.

    Raises :class:`DataError` with fewer than three labels, for two would be no column each.
    """
    if len({example.label for example in examples}) < 3:
        raise DataError("training needs examples of at least three labels")
    encoder = NgramEncoder(vocabulary(example.text for example in examples))
    counts = count(encoder, (example.text for example in examples))
    holders = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = 1 + np.log((1 + len(examples)) / (1 + holders))
    idf[0] = 0
    # More threads would add numbers in another order and give other weights.
    with threadpool_limits(1):
        classifier = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500, tol=1e-4)
        classifier.fit(weigh(counts, idf), [example.label for example in examples])
    return Bag(encoder, idf, classifier)


def vocabulary(texts: Iterable[str]) -> Vocabulary:
    """The n-grams that enough of ``texts`` hold, sorted."""
    words_in: Counter[str] = Counter()
    pairs_in: Counter[tuple[str, str]] = Counter()
    grams_in: Counter[str] = Counter()
    for text in texts:
        found = words(text)
        words_in.update(set(found))
        pairs_in.update(set(pairwise(found)))
        grams_in.update({gram for word in set(found) for gram in grams(word, SHORTEST, LONGEST)})
    known = {word for word, number in words_in.items() if number >= LEAST_WORD}
    return Vocabulary(
        words=sorted(known),
        pairs=sorted(
            f"{left} {right}"
            for (left, right), number in pairs_in.items()
            if number >= LEAST_PAIR and left in known and right in known
        ),
        grams=sorted(gram for gram, number in grams_in.items() if number >= LEAST_GRAM),
        shortest=SHORTEST,
        longest=LONGEST,
    )


def count(encoder: NgramEncoder, texts: Iterable[str]) -> Any:
    """How often each text has each id: a sparse matrix ``[texts, ids]``."""
    rows = [np.frombuffer(encoder.encode(text).ids, dtype=np.int32) for text in texts]
    ends = np.cumsum([0, *(len(row) for row in rows)])
    ids = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
    matrix = scipy.sparse.csr_matrix(
        (np.ones(len(ids)), ids, ends), shape=(len(rows), encoder.vocabulary.size), dtype=np.float64
    )
    matrix.sum_duplicates()
    return matrix


def weigh(counts: Any, idf: NDArray[np.float64]) -> Any:
    """The weights of the counts, by the formula above."""
    norms = np.sqrt(np.maximum(counts @ idf**2, 1.0))
    return scipy.sparse.diags(1 / norms) @ counts @ scipy.sparse.diags(idf)
