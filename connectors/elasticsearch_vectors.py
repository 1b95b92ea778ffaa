"""Embeddings in Elasticsearch: search by meaning, documents that lack a vector, and vectors for them.

A vector is written by a partial update that holds only for the very version of the document
that was found (sequence number and primary term): a document that was deleted meanwhile
stays deleted, and one that was made anew does not get the vector of its former text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import msgspec

from connectors.bulk_answer import FILTER_PATH, Outcome, decode_answer
from connectors.document_query import Query
from connectors.document_store import Hit
from connectors.document_vectors import Lacking, NewVector, PutVectors, SpaceCount, check_nearest, check_vector
from connectors.elasticsearch_client import ELASTICSEARCH, ElasticsearchClient, Rejected, TooLarge
from connectors.elasticsearch_deletes import COMPLETE, READABLE
from connectors.elasticsearch_indices import ask, closed_to_writes
from connectors.elasticsearch_schema import properties
from connectors.elasticsearch_search import query_clauses, read_hits
from groundswell.errors import GroundswellError, StopJob, Unavailable

_LOG = logging.getLogger("groundswell.elasticsearch")

EMBEDDING = "embedding"
SPACE = "embedding_space"

#: How long the server keeps a snapshot for the next page: longer than a device may take for one.
_KEEP = "15m"
#: Pages read from one snapshot: while it lives, the server cannot drop what updates have replaced.
_PAGES = 64
#: Most candidates of a search in each shard.
CANDIDATES = 10_000
#: Most spaces that are counted one by one.
_SPACES = 1_000


T = TypeVar("T")


class _Snapshot(msgspec.Struct, frozen=True):
    id: str


class _Text(msgspec.Struct, frozen=True):
    text: str = ""


class _LackingHit(msgspec.Struct, frozen=True):
    sort: msgspec.Raw
    id: str = msgspec.field(name="_id")
    index: str = msgspec.field(name="_index")
    seq_no: int = msgspec.field(name="_seq_no")
    primary_term: int = msgspec.field(name="_primary_term")
    source: _Text = msgspec.field(name="_source", default=_Text())


class _LackingHits(msgspec.Struct, frozen=True):
    hits: list[_LackingHit] = []


class _Page(msgspec.Struct, frozen=True):
    pit_id: str
    hits: _LackingHits = _LackingHits()


class _Vectors(msgspec.Struct, frozen=True):
    doc_count: int


class _Bucket(msgspec.Struct, frozen=True):
    key: str
    doc_count: int
    vectors: _Vectors


class _Spaces(msgspec.Struct, frozen=True):
    buckets: list[_Bucket] = []


class _Aggregations(msgspec.Struct, frozen=True):
    spaces: _Spaces = _Spaces()


class _Counted(msgspec.Struct, frozen=True):
    aggregations: _Aggregations = _Aggregations()


class _Fields(msgspec.Struct, frozen=True):
    mappings: dict[str, Any] = {}


class ElasticsearchVectors:
    """The embeddings of an :class:`~connectors.elasticsearch_store.ElasticsearchStore`, and raises like one."""

    def __init__(self, client: ElasticsearchClient, alias: str) -> None:
        self._client = client
        self._alias = alias

    def prepare(self) -> None:
        """Give the indices that were there before us the two fields of an embedding, as far as they let us.

        Raises ``StopJob`` for an index whose fields of these names are something else.
        """
        path = f"/{self._alias}/_mapping/field/{EMBEDDING},{SPACE}"
        try:
            answer = self._client.request("GET", path, None, READABLE)
        except Rejected as error:
            if error.status == 404:
                return
            if error.status != 403:
                raise
            _LOG.warning(
                "the indices behind %s do not say whether they have the fields of embeddings: %s", self._alias, error
            )
            return
        for index, fields in msgspec.json.decode(answer, type=dict[str, _Fields]).items():
            self._complete(index, {name: given["mapping"][name] for name, given in fields.mappings.items()})

    def nearest(self, vector: bytes, space: str, query: Query) -> list[Hit]:
        """Like :meth:`connectors.document_store.DocumentStore.nearest`."""
        check_nearest(vector, space, query)
        must, filters = query_clauses(query)
        body = {
            "size": query.limit,
            "knn": {
                "field": EMBEDDING,
                "query_vector": vector.hex(),
                "k": query.limit,
                # A flat index compares with every document all the same.
                "num_candidates": max(query.limit, min(CANDIDATES, 10 * query.limit)),
                # Without "exists" documents of the space that have no vector would be found as well.
                "filter": [{"term": {SPACE: space}}, {"exists": {"field": EMBEDDING}}, *must, *filters],
            },
            "track_total_hits": False,
            "_source": {"excludes": [EMBEDDING]},
        }
        answer = self._search(f"/{self._alias}/_search", body, READABLE)
        hits = read_hits(answer) if answer else []
        # The server's score is (1 + cosine) / 2.
        return [Hit(hit.id, hit.document, 2 * hit.score - 1) for hit in hits]

    def lacking(self, space: str, page: int) -> Iterator[list[Lacking]]:
        """Like :meth:`connectors.document_store.DocumentStore.lacking`."""
        closed = closed_to_writes(self._client, self._alias)
        if closed:
            _LOG.warning("these indices take no writes, so their documents stay as they are: %s", ", ".join(closed))
        lacks = {"bool": {"must_not": [{"term": {SPACE: space}}, {"terms": {"_index": closed}}]}}
        while True:
            with self._snapshot() as snapshot:
                for number, hits in enumerate(self._pages(snapshot, lacks, page)):
                    yield [Lacking(hit.id, hit.source.text, hit.index, (hit.seq_no, hit.primary_term)) for hit in hits]
                    if number + 1 == _PAGES:
                        break
                else:
                    return

    def put(self, vectors: Sequence[NewVector]) -> PutVectors:
        """Like :meth:`connectors.document_store.DocumentStore.put_vectors`."""
        for new in vectors:
            check_vector(new)
        if not vectors:
            return PutVectors()
        try:
            answer = self._client.bulk(b"".join(map(_update, vectors)), FILTER_PATH, gzipped=False)
            outcomes = decode_answer(answer, len(vectors))
        except TooLarge as error:
            if len(vectors) == 1:
                raise StopJob(f"Elasticsearch does not take a single vector: {error}") from None
            middle = len(vectors) // 2
            return _joined(self.put(vectors[:middle]), self.put(vectors[middle:]))
        except Rejected as error:
            raise StopJob(f"Elasticsearch does not take vectors: {error}") from None
        except ValueError as error:
            raise Unavailable(ELASTICSEARCH, str(error)) from None
        written, again, reason = 0, [], ""
        for new, (outcome, fault) in zip(vectors, outcomes, strict=True):
            if outcome is Outcome.UPDATED:
                written += 1
            elif outcome is Outcome.RETRY:
                again.append(new)
                reason = reason or str(fault)
            elif outcome not in (Outcome.ABSENT, Outcome.CHANGED):
                raise StopJob(f"Elasticsearch does not take a vector in the index {new.document.place!r}: {fault}")
        if len(again) == len(vectors):
            raise Unavailable(ELASTICSEARCH, reason)
        return PutVectors(written, len(vectors) - written - len(again), again)

    def count_spaces(self) -> list[SpaceCount]:
        """Like :meth:`connectors.document_store.DocumentStore.count_spaces`."""
        counted = {"terms": {"field": SPACE, "size": _SPACES, "missing": ""}}
        vectors = {"vectors": {"filter": {"exists": {"field": EMBEDDING}}}}
        body = {"size": 0, "aggs": {"spaces": {**counted, "aggs": vectors}}}
        answer = self._search(f"/{self._alias}/_search", body, READABLE)
        buckets = msgspec.json.decode(answer, type=_Counted).aggregations.spaces.buckets if answer else []
        return [SpaceCount(bucket.key or None, bucket.doc_count, bucket.vectors.doc_count) for bucket in buckets]

    def _complete(self, index: str, there: dict[str, Any]) -> None:
        wanted = {name: properties()[name] for name in (EMBEDDING, SPACE)}
        wrong = [name for name, field in there.items() if not _fits(field, wanted[name])]
        if wrong:
            raise StopJob(
                f"the index {index!r} behind {self._alias!r} has {' and '.join(wrong)} mapped to something else than "
                "embeddings need: take it out of the alias, or copy it into a new index"
            )
        missing = {name: field for name, field in wanted.items() if name not in there}
        if not missing:
            return
        try:
            self._client.request("PUT", f"/{index}/_mapping", msgspec.json.encode({"properties": missing}))
        except Rejected as error:
            if error.status != 403:
                raise
            # An index that may not be changed is searched as before; its documents stay without vectors.
            _LOG.warning("the index %s does not take embeddings: %s", index, error)

    @contextmanager
    def _snapshot(self) -> Iterator[str]:
        """The documents that were acknowledged before, as they are now."""
        self._ask("POST", f"/{self._alias}/_refresh", None, READABLE)
        answer = self._ask("POST", f"/{self._alias}/_pit", None, {**READABLE, "keep_alive": _KEEP})
        snapshot = _decoded(answer, _Snapshot).id if answer else ""
        try:
            yield snapshot
        finally:
            if snapshot:
                # It goes by itself as well, only later.
                with suppress(GroundswellError, Rejected, TooLarge):
                    self._client.request("DELETE", "/_pit", msgspec.json.encode({"id": snapshot}))

    def _pages(self, snapshot: str, query: dict[str, Any], size: int) -> Iterator[list[_LackingHit]]:
        body: dict[str, Any] = {
            "size": size,
            "query": query,
            # Ties are broken by the snapshot's own order.
            "sort": [{"created_at": {"order": "desc", "unmapped_type": "date"}}],
            "_source": ["text"],
            "seq_no_primary_term": True,
            "track_total_hits": False,
        }
        while snapshot:
            body["pit"] = {"id": snapshot, "keep_alive": _KEEP}
            answer = self._search("/_search", body, {})
            if answer is None:
                raise Unavailable(ELASTICSEARCH, "the snapshot of the documents that lack vectors has expired")
            page = _decoded(answer, _Page)
            hits = page.hits.hits
            if not hits:
                return
            yield hits
            body["search_after"] = hits[-1].sort
            snapshot = page.pit_id

    def _search(self, path: str, body: dict[str, Any], options: dict[str, str]) -> bytes | None:
        return self._ask("POST", path, msgspec.json.encode(body), {**options, **COMPLETE})

    def _ask(self, method: str, path: str, body: bytes | None, options: dict[str, str]) -> bytes | None:
        return ask(self._client, "look for vectors", method, path, body, options)


def _update(new: NewVector) -> bytes:
    found = new.document
    place = {"_index": found.place, "_id": found.id, "if_seq_no": found.state[0], "if_primary_term": found.state[1]}
    # Null takes away a vector of another space.
    fields = {EMBEDDING: None if new.vector is None else new.vector.hex(), SPACE: new.space}
    return msgspec.json.encode({"update": place}) + b"\n" + msgspec.json.encode({"doc": fields}) + b"\n"


def _joined(one: PutVectors, other: PutVectors) -> PutVectors:
    return PutVectors(
        one.written + other.written,
        one.passed + other.passed,
        [*one.again, *other.again],
    )


def _fits(field: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a field that is there can do what ours does; how it is indexed may differ."""
    return all(field.get(key) == wanted.get(key) for key in ("type", "dims", "element_type", "similarity"))


def _decoded(answer: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise Unavailable(ELASTICSEARCH, f"unreadable answer: {error}") from None
