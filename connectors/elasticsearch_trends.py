"""Trends in an index of Elasticsearch of their own: one document for each trend, overwritten in order.

An overwrite holds only for the very version of the document that was read before (sequence
number and primary term), so of two writers none undoes what the other has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from connectors.bulk_answer import FILTER_PATH, Outcome, decode_answer
from connectors.document_query import check_limit
from connectors.elasticsearch_client import ELASTICSEARCH, ElasticsearchClient, Rejected, TooLarge
from connectors.elasticsearch_schema import DATE, FLOAT, KEYWORD
from connectors.trend_json import encode_trend, plain
from groundswell.errors import StopJob, Unavailable
from groundswell.trends import TrendDocument

#: Longest ``_id`` that Elasticsearch takes, in bytes.
_LONGEST_ID = 512
#: Trends in one request.
_MOST = 500
#: Conflicts in a row after which somebody else seems to hold the documents.
_CONFLICTS = 20
_LONG: dict[str, Any] = {"type": "long"}

_CONFLICT = "version_conflict_engine_exception"
_ADVICE = "remove that index or set documents.trends_index to another name"


class _Fence(msgspec.Struct, frozen=True):
    generation: int
    updated_at: datetime
    revision: int


class _Known(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="_id")
    fence: _Fence | None = msgspec.field(name="_source", default=None)
    seq_no: int = msgspec.field(name="_seq_no", default=0)
    primary_term: int = msgspec.field(name="_primary_term", default=0)
    error: dict[str, Any] | None = None


class _KnownDocuments(msgspec.Struct, frozen=True):
    docs: list[_Known]


class _Hit(msgspec.Struct, frozen=True):
    source: TrendDocument = msgspec.field(name="_source")


class _Hits(msgspec.Struct, frozen=True):
    hits: list[_Hit] = []


class _Found(msgspec.Struct, frozen=True):
    hits: _Hits = _Hits()


class _Index(msgspec.Struct, frozen=True):
    mappings: dict[str, Any] = {}


def trend_properties() -> dict[str, Any]:
    """The mapping of every field of :class:`~groundswell.trends.TrendDocument`, by name."""
    return {
        "trend_id": KEYWORD,
        "tag": KEYWORD,
        "label": {"type": "text", "fields": {"keyword": KEYWORD}},
        "since": DATE,
        "until": DATE,
        "updated_at": DATE,
        "active": {"type": "boolean"},
        "score": FLOAT,
        "count": _LONG,
        "peak": _LONG,
        "authors": _LONG,
        "unattributed": _LONG,
        "words": KEYWORD,
        # A field for each word there ever was would fill the mapping.
        "weights": {"type": "object", "enabled": False},
        "cotags": KEYWORD,
        "generation": _LONG,
        "revision": _LONG,
    }


def trend_template(index: str, shards: int, replicas: int) -> dict[str, Any]:
    """The template's body: the index is made with it when the first trend is written."""
    return {
        "index_patterns": [index],
        "template": {
            "settings": {"number_of_shards": shards, "number_of_replicas": replicas},
            "mappings": {"dynamic": "strict", "properties": trend_properties()},
        },
        # Above any template of posts.
        "priority": 1_000 + len(index),
        "_meta": {"managed_by": "groundswell"},
    }


class ElasticsearchTrends:
    """The trends of an :class:`~connectors.elasticsearch_store.ElasticsearchStore`; raises like one. Thread-safe."""

    def __init__(self, client: ElasticsearchClient, index: str, replicas: int) -> None:
        self.index = index
        self._client = client
        # A few thousand small documents a year: one shard is plenty.
        self._template = trend_template(index, 1, replicas)

    def prepare(self) -> None:
        """Put the template; an index that is there must have our fields."""
        try:
            self._check_index()
            body = msgspec.json.encode(self._template)
            self._client.request("PUT", f"/_index_template/{self.index}", body, {"cause": "groundswell"})
        except (Rejected, TooLarge) as error:
            raise StopJob(f"Elasticsearch does not take the index template {self.index!r}: {error}") from None

    def put(self, trends: Sequence[TrendDocument]) -> None:
        """Like :meth:`connectors.document_store.DocumentStore.put_trends`."""
        newest: dict[str, TrendDocument] = {}
        for trend in trends:
            identity = _identity(trend.trend_id)
            if identity not in newest or trend.fence > newest[identity].fence:
                newest[identity] = trend
        identities = list(newest)
        for start in range(0, len(identities), _MOST):
            self._put({identity: newest[identity] for identity in identities[start : start + _MOST]})

    def search(self, *, active_only: bool, limit: int) -> list[TrendDocument]:
        """Like :meth:`connectors.document_store.DocumentStore.trends`."""
        body = {
            "size": check_limit(limit),
            "query": {"term": {"active": True}} if active_only else {"match_all": {}},
            "sort": [{"since": "desc"}, {"trend_id": "asc"}],
            "track_total_hits": False,
        }
        options = {"allow_partial_search_results": "false", "filter_path": "hits.hits._source"}
        try:
            answer = self._client.request("POST", f"/{self.index}/_search", msgspec.json.encode(body), options)
        except Rejected as error:
            if error.status == 404:
                return []
            raise StopJob(f"Elasticsearch refuses to list the trends: {error}") from None
        except TooLarge as error:
            raise StopJob(f"Elasticsearch refuses to list the trends: {error}") from None
        return [hit.source for hit in msgspec.json.decode(answer, type=_Found).hits.hits]

    def _put(self, trends: dict[str, TrendDocument]) -> None:
        left = trends
        for _ in range(_CONFLICTS):
            known = self._read(list(left))
            newer = {identity: trend for identity, trend in left.items() if _replaces(trend, known[identity])}
            left = self._write(newer, known) if newer else {}
            if not left:
                return
        raise Unavailable(ELASTICSEARCH, f"somebody else goes on changing the trends in {self.index}")

    def _read(self, identities: list[str]) -> dict[str, _Known]:
        """What is there, searchable or not."""
        options = {"_source_includes": ",".join(_Fence.__struct_fields__)}
        body = msgspec.json.encode({"ids": identities})
        try:
            answer = self._client.request("POST", f"/{self.index}/_mget", body, options)
            known = msgspec.json.decode(answer, type=_KnownDocuments).docs
        except (Rejected, TooLarge) as error:
            raise StopJob(f"Elasticsearch refuses to read trends: {error}") from None
        except msgspec.ValidationError as error:
            raise StopJob(f"what lies in the index {self.index!r} is no trend: {error}; {_ADVICE}") from None
        except msgspec.DecodeError as error:
            raise Unavailable(ELASTICSEARCH, f"unreadable answer: {error}") from None
        for one in known:
            if one.error is not None and one.error.get("type") != "index_not_found_exception":
                raise Unavailable(ELASTICSEARCH, f"a trend cannot be read: {one.error.get('reason')}")
        return {one.id: one for one in known}

    def _write(self, trends: dict[str, TrendDocument], known: dict[str, _Known]) -> dict[str, TrendDocument]:
        """Write over what was read; those that somebody else has changed since."""
        body = b"".join(_operation(self.index, trend, known[identity]) for identity, trend in trends.items())
        try:
            outcomes = decode_answer(self._client.bulk(body, FILTER_PATH, gzipped=False), len(trends))
        except (Rejected, TooLarge) as error:
            raise StopJob(f"Elasticsearch does not take trends: {error}") from None
        except ValueError as error:
            raise Unavailable(ELASTICSEARCH, str(error)) from None
        conflicts: dict[str, TrendDocument] = {}
        for (identity, trend), (outcome, fault) in zip(trends.items(), outcomes, strict=True):
            if outcome is Outcome.DUPLICATE or (outcome is Outcome.RETRY and fault and fault.type == _CONFLICT):
                conflicts[identity] = trend
            elif outcome is Outcome.RETRY:
                raise Unavailable(ELASTICSEARCH, str(fault))
            elif outcome is not Outcome.CREATED:
                raise StopJob(f"Elasticsearch does not take the trend {trend.trend_id!r}: {fault}; {_ADVICE}")
        return conflicts

    def _check_index(self) -> None:
        try:
            answer = self._client.request("GET", f"/{self.index}/_mapping")
        except Rejected as error:
            if error.status == 404:
                return
            raise
        for name, index in msgspec.json.decode(answer, type=dict[str, _Index]).items():
            there = index.mappings.get("properties", {})
            wrong = [
                field
                for field, wanted in trend_properties().items()
                if there.get(field, {}).get("type", "object") != wanted["type"]
            ]
            if wrong:
                raise StopJob(f"the index {name!r} does not have the fields of trends ({', '.join(wrong)}); {_ADVICE}")


def _replaces(trend: TrendDocument, known: _Known) -> bool:
    there = known.fence
    return there is None or trend.fence > (there.generation, there.updated_at, there.revision)


def _operation(index: str, trend: TrendDocument, known: _Known) -> bytes:
    """A create where nothing is, or an overwrite of just what was read."""
    place: dict[str, Any] = {"_index": index, "_id": known.id}
    if known.fence is None:
        action = {"create": place}
    else:
        action = {"index": {**place, "if_seq_no": known.seq_no, "if_primary_term": known.primary_term}}
    return msgspec.json.encode(action) + b"\n" + encode_trend(trend) + b"\n"


def _identity(trend_id: str) -> str:
    """The ``_id`` of a trend: its own id, unless that is longer than Elasticsearch takes."""
    encoded = plain(trend_id).encode()
    return encoded.decode() if len(encoded) <= _LONGEST_ID else blake2b(encoded, digest_size=16).hexdigest()
