"""What re-reading is worth: how good the order of documents is for judged queries, with the classification and without.

Two orders of the documents in the store are compared for each query:

- *plain* is what a full-text search for the query gives: a ``#tag`` finds the documents that
  carry it, newest first, words those that have all of them, the best match first;
- *classified* are all documents that have a probability by the query's tag, the most
  probable first. The tag of a query of words is the words as one tag.

A document that nobody judged holds its rank and counts as not relevant.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from statistics import fmean
from typing import Final

import msgspec

from connectors.document_query import Query, QueryError
from connectors.document_store import DocumentStore
from connectors.document_topics import Selection
from connectors.judgments import Judgments
from groundswell.errors import StopJob
from groundswell.records import document_id
from groundswell.relevance import average_precision, dcg, ndcg
from operators.hashtags import normalise

#: Documents that a full-text search gives at most.
MOST_FOUND: Final = 10_000
#: Documents that are asked for at once.
_AT_ONCE = 500
_PAGE = 10_000
_STORE_ID = re.compile(r"[0-9a-f]{32}")
#: Sources in which a post's own id is looked for.
_MOST_SOURCES = 1_000


class Figures(msgspec.Struct, frozen=True):
    """How good an order is.

    ``dcg`` and ``ndcg`` are those of the first ``k``, ``ap`` is the average precision of the whole order,
    ``found`` how many documents it holds and ``relevant`` how many of these are judged relevant.
    ``ndcg`` and ``ap`` are ``None`` where nothing was judged relevant.
    """

    found: int
    relevant: int
    dcg: float
    ndcg: float | None
    ap: float | None


class QueryRelevance(msgspec.Struct, frozen=True):
    """A query's figures.

    ``judged`` documents have a grade, ``relevant`` one above 0, and ``missing`` are not in the store.
    ``classified`` is ``None`` where documents have no field for the ``tag``.
    """

    query: str
    tag: str
    judged: int
    relevant: int
    missing: int
    plain: Figures
    classified: Figures | None


class Means(msgspec.Struct, frozen=True):
    """Means over the queries that have something relevant and both orders: ``queries`` of them."""

    queries: int
    plain_dcg: float
    plain_ndcg: float
    plain_ap: float
    classified_dcg: float
    classified_ndcg: float
    classified_ap: float


class Relevance(msgspec.Struct, frozen=True):
    """The figures of all queries at rank ``k``, and their means where there are any."""

    k: int
    queries: list[QueryRelevance]
    mean: Means | None


def evaluate(store: DocumentStore, judgments: Judgments, k: int = 10) -> Relevance:
    """Compare the two orders for each query.

    Documents are named by their id in the store or by the post's own. Raises
    :class:`~groundswell.errors.StopJob` for a query that cannot be asked, for a post id that several
    sources have, and as the store does.
    """
    ids = _resolved(store, {document for judged in judgments.values() for document in judged})
    labelled = set(store.labels().fields)
    found = [_of_query(store, query, judged, ids, labelled, k) for query, judged in judgments.items()]
    return Relevance(k, found, _means(found))


def tag_of(query: str) -> str:
    """The tag whose probabilities belong to a query; empty where it can have none.

    >>> tag_of("#PrayForOklahoma"), tag_of("Boston marathon")
    ('prayforoklahoma', 'bostonmarathon')
    """
    joined = "".join(part.lstrip("#＃") for part in query.replace('"', " ").split())
    return next(iter(normalise([joined])), "")


def _of_query(
    store: DocumentStore,
    query: str,
    judged: Mapping[str, float],
    ids: Mapping[str, str],
    labelled: Collection[str],
    k: int,
) -> QueryRelevance:
    grades = {ids[document]: grade for document, grade in judged.items() if document in ids}
    if len(grades) < sum(document in ids for document in judged):
        raise StopJob(f"{query!r} names a document twice, by its own id and by the post's: keep one")
    try:
        hits = store.search(Query(text=query, limit=MOST_FOUND))
    except QueryError as error:
        raise StopJob(f"the query {query!r}: {error}") from None
    tag = tag_of(query)
    ideal = list(judged.values())
    return QueryRelevance(
        query,
        tag,
        len(judged),
        sum(grade > 0 for grade in ideal),
        len(judged) - len(grades),
        _figures([hit.id for hit in hits], grades, ideal, k),
        _figures(_classified(store, tag), grades, ideal, k) if tag in labelled else None,
    )


def _figures(order: Sequence[str], grades: Mapping[str, float], ideal: Collection[float], k: int) -> Figures:
    given = [grades.get(identity, 0.0) for identity in order]
    return Figures(
        len(order),
        sum(grade > 0 for grade in given),
        dcg(given, k),
        ndcg(given, ideal, k),
        average_precision((grade > 0 for grade in given), sum(grade > 0 for grade in ideal)),
    )


def _classified(store: DocumentStore, tag: str) -> list[str]:
    """All documents with a probability by the tag, in the order of a search that is sorted by it."""
    scored: dict[str, tuple[float, float, str]] = {}
    after = None
    while True:
        page = store.candidates(Selection(tag=tag, kind="scored"), _PAGE, after)
        for each in page.documents:
            if each.classification is not None:
                scored[each.id] = (-each.classification.score, -each.created_at.timestamp(), each.id)
        after = page.after
        if after is None:
            return sorted(scored, key=lambda identity: scored[identity])


def _resolved(store: DocumentStore, names: Collection[str]) -> dict[str, str]:
    """The store's id of each named document, as far as it is there."""
    resolved = {name: name for name in _there(store, [name for name in names if _STORE_ID.fullmatch(name)])}
    others = [name for name in names if name not in resolved]
    sources = list(store.count_by("source", _MOST_SOURCES)) if others else []
    possible = {document_id(source, name): (name, source) for name in others for source in sources}
    of_source: dict[str, str] = {}
    for identity in _there(store, possible):
        name, source = possible[identity]
        if name in of_source:
            raise StopJob(
                f"both {of_source[name]} and {source} have a post {name!r}: name the document by its id in the store "
                '("_id" of groundswell search --json)'
            )
        of_source[name] = source
        resolved[name] = identity
    return resolved


def _there(store: DocumentStore, ids: Iterable[str]) -> Iterator[str]:
    remaining = iter(ids)
    while some := list(islice(remaining, _AT_ONCE)):
        yield from store.get(some)


def _means(found: Sequence[QueryRelevance]) -> Means | None:
    pairs = [(each.plain, each.classified) for each in found if each.classified is not None and each.relevant]
    if not pairs:
        return None
    plain, classified = [plain for plain, _ in pairs], [classified for _, classified in pairs]
    return Means(
        len(pairs),
        fmean(each.dcg for each in plain),
        fmean(each.ndcg or 0.0 for each in plain),
        fmean(each.ap or 0.0 for each in plain),
        fmean(each.dcg for each in classified),
        fmean(each.ndcg or 0.0 for each in classified),
        fmean(each.ap or 0.0 for each in classified),
    )
