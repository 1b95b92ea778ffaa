"""Documents of Elasticsearch as they are read to be scored: the nearest, and pages of all the others.

A page is asked for by the place of the last document of the page before, in an order that no
score changes (time, source, id). So nothing is held open on the server between pages.
"""

from __future__ import annotations

from array import array
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import msgspec

from connectors.classification_json import read_classifications, source_fields
from connectors.document_query import check_limit
from connectors.document_topics import Cursor, Found, Page, Selection, Slice, Span, check_candidates
from connectors.elasticsearch_client import ELASTICSEARCH, ElasticsearchClient
from connectors.elasticsearch_deletes import COMPLETE, READABLE
from connectors.elasticsearch_indices import ask, closed_to_writes
from connectors.elasticsearch_labels import ElasticsearchLabels
from connectors.elasticsearch_vectors import CANDIDATES, EMBEDDING, SPACE
from connectors.time_slices import ceil_milliseconds, cut, floor_milliseconds
from groundswell.errors import Unavailable
from groundswell.topics import field_of

_TIMES = ("created_at", "indexed_at")
#: Newest first, and of one time always in the same order; an index that lacks one of these holds no documents.
_ORDER = [
    {"created_at": {"order": "desc", "unmapped_type": "date"}},
    {"source": {"order": "asc", "unmapped_type": "keyword"}},
    {"id": {"order": "asc", "unmapped_type": "keyword"}},
]
_FIELDS = ["text", *_TIMES, "hashtags", "repost_of", EMBEDDING, SPACE]
_HITS = "hits.hits._id,hits.hits._index,hits.hits._seq_no,hits.hits._primary_term,hits.hits._source"


class _Source(msgspec.Struct, frozen=True, gc=False):
    text: str
    created_at: datetime
    indexed_at: datetime
    hashtags: tuple[str, ...] = ()
    repost_of: str | None = None
    embedding: str | list[int] | None = None
    embedding_space: str | None = None
    topics: tuple[str, ...] = ()


class _Hit(msgspec.Struct, frozen=True, gc=False):
    id: str = msgspec.field(name="_id")
    index: str = msgspec.field(name="_index")
    seq_no: int = msgspec.field(name="_seq_no")
    primary_term: int = msgspec.field(name="_primary_term")
    source: msgspec.Raw = msgspec.field(name="_source")
    score: float | None = msgspec.field(name="_score", default=None)
    sort: tuple[int | str | None, ...] = ()


class _Hits(msgspec.Struct, frozen=True):
    hits: list[_Hit] = []


class _Answer(msgspec.Struct, frozen=True):
    hits: _Hits = _Hits()


class _Value(msgspec.Struct, frozen=True):
    value: float | None = None


class _Bucket(msgspec.Struct, frozen=True):
    key: int
    doc_count: int


class _Buckets(msgspec.Struct, frozen=True):
    buckets: list[_Bucket] = []


class _Aggregations(msgspec.Struct, frozen=True):
    first: _Value = _Value()
    last: _Value = _Value()
    times: _Buckets = _Buckets()


class _Counted(msgspec.Struct, frozen=True):
    aggregations: _Aggregations = _Aggregations()


_SOURCE = msgspec.json.Decoder(_Source)

T = TypeVar("T")


class ElasticsearchCandidates:
    """The candidates of an :class:`~connectors.elasticsearch_store.ElasticsearchStore`, and raises like one."""

    def __init__(self, client: ElasticsearchClient, alias: str, labels: ElasticsearchLabels) -> None:
        self._client = client
        self._alias = alias
        self._labels = labels

    def nearest(self, vector: bytes, k: int, selection: Selection) -> list[Found]:
        """Like :meth:`connectors.document_store.DocumentStore.nearest_candidates`."""
        check_candidates(vector, selection.space, k)
        knn = {
            "field": EMBEDDING,
            "query_vector": vector.hex(),
            "k": k,
            # A flat index compares with every document all the same.
            "num_candidates": max(k, min(CANDIDATES, 10 * k)),
            "filter": self._filters(selection),
        }
        body = {"size": k, "knn": knn, **_wanted(selection.tag)}
        hits = self._search(body, f"{_HITS},hits.hits._score", _Answer).hits.hits
        # The server's score is (1 + cosine) / 2.
        return [_found(hit, selection.tag, 2 * (hit.score or 0.0) - 1) for hit in hits]

    def page(self, selection: Selection, limit: int, after: Cursor | None) -> Page:
        """Like :meth:`connectors.document_store.DocumentStore.candidates`."""
        body = {
            "size": check_limit(limit),
            "query": {"bool": {"filter": self._filters(selection)}},
            "sort": _ORDER,
            **_wanted(selection.tag),
        }
        if after is not None:
            body["search_after"] = after
        hits = self._search(body, f"{_HITS},hits.hits.sort", _Answer).hits.hits
        found = [_found(hit, selection.tag) for hit in hits]
        return Page(found, hits[-1].sort if len(hits) == limit else None)

    def slices(self, selection: Selection, most: int) -> list[Slice]:
        """Like :meth:`connectors.document_store.DocumentStore.slices`."""
        filters = self._filters(selection)
        ends = {"first": {"min": {"field": "created_at"}}, "last": {"max": {"field": "created_at"}}}
        found = self._count(filters, ends)
        if found.first.value is None or found.last.value is None:
            return []
        return cut(
            selection.created,
            int(found.first.value),
            int(found.last.value),
            most,
            partial(self._histogram, filters),
        )

    def _histogram(self, filters: list[dict[str, Any]], since: int, until: int, width: int) -> list[tuple[int, int]]:
        inside = {"range": {"created_at": {"gte": since, "lt": until, "format": "epoch_millis"}}}
        times = {"field": "created_at", "fixed_interval": f"{width}ms", "min_doc_count": 1}
        found = self._count([*filters, inside], {"times": {"date_histogram": times}})
        return [(bucket.key, bucket.doc_count) for bucket in found.times.buckets]

    def _count(self, filters: list[dict[str, Any]], aggregations: dict[str, Any]) -> _Aggregations:
        body = {"size": 0, "query": {"bool": {"filter": filters}}, "aggs": aggregations, "track_total_hits": False}
        return self._search(body, "aggregations", _Counted).aggregations

    def _filters(self, selection: Selection) -> list[dict[str, Any]]:
        unwritable = {*closed_to_writes(self._client, self._alias), *self._labels.full(selection.tag)}
        filters: list[dict[str, Any]] = []
        if unwritable:
            filters.append({"bool": {"must_not": {"terms": {"_index": sorted(unwritable)}}}})
        if selection.kind == "tagged":
            filters.append({"term": {"hashtags": selection.tag}})
        elif selection.kind == "scored":
            filters.append({"exists": {"field": field_of(selection.tag)}})
        if selection.space is not None:
            filters += [{"term": {SPACE: selection.space}}, {"exists": {"field": EMBEDDING}}]
        for field, span in zip(_TIMES, (selection.created, selection.indexed), strict=True):
            if bounds := _bounds(span):
                filters.append({"range": {field: {**bounds, "format": "epoch_millis"}}})
        return filters

    def _search(self, body: dict[str, Any], filter_path: str, kind: type[T]) -> T:
        options = {**READABLE, **COMPLETE, "filter_path": filter_path}
        path = f"/{self._alias}/_search"
        answer = ask(self._client, "look for candidates", "POST", path, msgspec.json.encode(body), options)
        try:
            return msgspec.json.decode(answer or b"{}", type=kind)
        except msgspec.DecodeError as error:
            raise Unavailable(ELASTICSEARCH, f"unreadable answer: {error}") from None


def _wanted(tag: str) -> dict[str, Any]:
    """What is read of a document: the vector too, which the server leaves out unless told."""
    return {
        "_source": {"includes": [*_FIELDS, *source_fields([tag])], "exclude_vectors": False},
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }


def _bounds(span: Span) -> dict[str, int]:
    bounds = {}
    if span.since is not None:
        bounds["gte"] = floor_milliseconds(span.since)
    if span.until is not None:
        bounds["lt"] = ceil_milliseconds(span.until)
    return bounds


def _found(hit: _Hit, tag: str, cosine: float | None = None) -> Found:
    source = _SOURCE.decode(hit.source)
    return Found(
        hit.id,
        hit.index,
        (hit.seq_no, hit.primary_term),
        source.text,
        source.created_at,
        source.indexed_at,
        source.hashtags,
        source.repost_of is not None,
        _vector(source.embedding),
        source.embedding_space,
        read_classifications(hit.source, source.topics).get(tag),
        source.topics,
        cosine,
        tag,
    )


def _vector(embedding: str | list[int] | None) -> bytes | None:
    # From 9.2 on the server does not keep the text that it was given but rebuilds numbers.
    if isinstance(embedding, list):
        return array("b", embedding).tobytes()
    return None if embedding is None else bytes.fromhex(embedding)
