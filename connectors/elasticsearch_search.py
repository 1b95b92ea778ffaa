"""A query in Elasticsearch's terms."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from connectors.classification_json import read_classifications
from connectors.document_query import Clause, Query, check_limit, check_sort
from connectors.document_store import CountedField, Hit
from groundswell.records import Document

_PLAIN_WORD = re.compile(r"[^\W_]+")
_EXPANSIONS = 1024
_DOCUMENT = msgspec.json.Decoder(Document)


class _Hit(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="_id")
    source: msgspec.Raw = msgspec.field(name="_source")
    score: float | None = msgspec.field(name="_score", default=None)


class _Hits(msgspec.Struct, frozen=True):
    hits: list[_Hit] = []


class _Found(msgspec.Struct, frozen=True):
    hits: _Hits = _Hits()


class _Bucket(msgspec.Struct, frozen=True):
    key: str
    doc_count: int


class _Values(msgspec.Struct, frozen=True):
    buckets: list[_Bucket] = []


class _Aggregations(msgspec.Struct, frozen=True):
    values: _Values = _Values()


class _Counted(msgspec.Struct, frozen=True):
    aggregations: _Aggregations = _Aggregations()


def search_body(query: Query) -> dict[str, Any]:
    """The body of a search. Raises :class:`~connectors.document_query.QueryError`."""
    must, filters = query_clauses(query)
    body: dict[str, Any] = {
        "size": query.limit,
        "query": {"bool": {"must": must, "filter": filters}},
        "track_total_hits": False,
        "_source": {"excludes": ["embedding"]},
    }
    newest = [{"created_at": {"order": "desc"}}, {"id": {"order": "asc"}}]
    if query.sort is not None:
        body["sort"] = [_sort(check_sort(query.sort), "desc" if query.descending else "asc"), *newest]
    elif not must:
        body["sort"] = newest
    else:
        body["sort"] = ["_score", *newest]
    return body


def query_clauses(query: Query) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a query asks of the text, and what else must hold.

    Raises :class:`~connectors.document_query.QueryError`, also for its limit.
    """
    check_limit(query.limit)
    clauses = query.clauses()
    must = [_clause(clause) for clause in clauses if clause.kind != "tag"]
    filters: list[dict[str, Any]] = [{"term": {"hashtags": clause.text}} for clause in clauses if clause.kind == "tag"]
    if query.lang is not None:
        filters.append({"term": {"lang": query.lang}})
    if query.source is not None:
        filters.append({"term": {"source": query.source}})
    bounds = {name: time.isoformat() for name, time in (("gte", query.since), ("lt", query.until)) if time is not None}
    if bounds:
        filters.append({"range": {"created_at": bounds}})
    return must, filters


def read_hits(answer: bytes) -> list[Hit]:
    """The hits in a search's answer."""
    found = msgspec.json.decode(answer, type=_Found)
    return [
        Hit(hit.id, _classified(_DOCUMENT.decode(hit.source), hit.source), hit.score or 0.0) for hit in found.hits.hits
    ]


def get_body(ids: list[str]) -> dict[str, Any]:
    """The body of a search for whole documents by id."""
    # A document may lie in two indices when its post came twice with different times.
    return {"size": 2 * len(ids), "query": {"ids": {"values": ids}}, "_source": {"exclude_vectors": False}}


def read_documents(answer: bytes) -> dict[str, Document]:
    """The documents in its answer, with their embeddings."""
    found: dict[str, Document] = {}
    for hit in msgspec.json.decode(answer, type=_Found).hits.hits:
        source = msgspec.json.decode(hit.source)
        # From 9.2 on the server does not keep the text that it was given but rebuilds numbers.
        if isinstance(embedding := source.get("embedding"), list):
            source["embedding"] = bytes(number & 0xFF for number in embedding).hex()
        found[hit.id] = _classified(msgspec.convert(source, Document), hit.source)
    return found


def count_body(field: CountedField, limit: int) -> dict[str, Any]:
    """The body of a count by the values of a field."""
    return {"size": 0, "aggs": {"values": {"terms": {"field": field, "size": limit}}}}


def read_counts(answer: bytes) -> dict[str, int]:
    """The counts in its answer."""
    buckets = msgspec.json.decode(answer, type=_Counted).aggregations.values.buckets
    return {bucket.key: bucket.doc_count for bucket in buckets}


def _classified(document: Document, source: msgspec.Raw) -> Document:
    document.classification = read_classifications(source, document.topics)
    return document


def _clause(clause: Clause) -> dict[str, Any]:
    if clause.kind == "phrase":
        return {"match_phrase": {"text": clause.text}}
    if _PLAIN_WORD.fullmatch(clause.text):
        return {"prefix": {"text": {"value": clause.text.lower()}}}
    return {"match_phrase_prefix": {"text": {"query": clause.text, "max_expansions": _EXPANSIONS}}}


def _sort(field: str, order: str) -> dict[str, Any]:
    if field in ("created_at", "indexed_at"):
        return {field: {"order": order}}
    # An index that has never seen the field has it unmapped: its documents come last.
    return {field: {"order": order, "missing": "_last", "unmapped_type": "float"}}
