"""How good an order of documents is for a query, by what people judged: DCG, NDCG and average precision.

A *grade* says how relevant a document is: 0 not at all, and the more the better. A document
that nobody judged counts as not relevant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from math import exp2, log2
from typing import Final

#: Highest grade: two to its power is a gain.
HIGHEST: Final = 100.0


def dcg(grades: Iterable[float], k: int | None = None) -> float:
    """Discounted cumulative gain of the first ``k`` grades in their order; of all of them with ``None``.

    The gain is ``2**grade - 1``, the discount of rank ``r`` ``1 / log2(r + 1)`` (Burges et al.,
    "Learning to Rank using Gradient Descent", ICML 2005), as in Elasticsearch's own.

    >>> round(dcg([3, 0, 1]), 3)
    7.5
    """
    return sum((exp2(grade) - 1.0) / log2(rank + 1) for rank, grade in enumerate(islice(grades, k), 1))


def ndcg(grades: Sequence[float], judged: Iterable[float], k: int | None = None) -> float | None:
    """DCG of the order over that of the best possible one; ``None`` where nothing is relevant.

    ``judged`` are the grades of all that was judged for the query, found or not: the ideal is
    made of all of them (Järvelin and Kekäläinen, "Cumulated Gain-based Evaluation of IR
    Techniques", ACM TOIS 20(4), 2002). In ``grades`` no judgment comes twice.

    >>> ndcg([0, 1], [1, 0], k=10) == 1 / log2(3)
    True
    """
    ideal = dcg(sorted(judged, reverse=True), k)
    return dcg(grades, k) / ideal if ideal > 0 else None


def average_precision(relevant: Iterable[bool], total: int) -> float | None:
    """The mean of the precision at the rank of each relevant document; ``None`` where nothing is relevant.

    ``total`` is how many relevant documents there are, found or not: one that is not found
    adds nothing.

    >>> average_precision([True, False, True], total=2)
    0.8333333333333333
    """
    if total <= 0:
        return None
    found, added = 0, 0.0
    for rank, each in enumerate(relevant, 1):
        if each:
            found += 1
            added += found / rank
    return added / total
