"""Documents in Elasticsearch: one index for each week (or month) behind one alias."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from connectors import elasticsearch_deletes
from connectors.document_query import Query
from connectors.document_store import Answer, CountedField, Hit, KeepWaiting, WriteResult
from connectors.document_topics import (
    Cursor,
    Declared,
    Found,
    Labels,
    NewScore,
    Page,
    PutScores,
    Selection,
    Slice,
)
from connectors.document_vectors import Lacking, NewVector, PutVectors, SpaceCount
from connectors.elasticsearch_bulk import ActionLines
from connectors.elasticsearch_candidates import ElasticsearchCandidates
from connectors.elasticsearch_client import ELASTICSEARCH, ElasticsearchClient, Rejected, TooLarge
from connectors.elasticsearch_deletes import COMPLETE, READABLE
from connectors.elasticsearch_labels import ElasticsearchLabels
from connectors.elasticsearch_schema import Interval, index_template
from connectors.elasticsearch_scores import ElasticsearchScores
from connectors.elasticsearch_search import count_body, get_body, read_counts, read_documents, read_hits, search_body
from connectors.elasticsearch_trends import ElasticsearchTrends
from connectors.elasticsearch_vectors import ElasticsearchVectors
from connectors.elasticsearch_writer import BulkLimits, ElasticsearchWriter
from groundswell.errors import StopJob, Unavailable
from groundswell.records import Document
from groundswell.trends import TrendDocument
from groundswell.waits import Waits

#: The oldest server that the mapping and the client work with.
_OLDEST = (8, 19)
_IDS = 5000


class _Node(msgspec.Struct, frozen=True):
    version: str


class _Nodes(msgspec.Struct, frozen=True):
    nodes: dict[str, _Node]


class _Count(msgspec.Struct, frozen=True):
    count: int


class _Index(msgspec.Struct, frozen=True):
    aliases: dict[str, msgspec.Raw] = {}


class ElasticsearchStore:
    """A :class:`~connectors.document_store.DocumentStore`.

    ``alias`` is the alias that reads go to and the prefix of the indices' names; the trends
    lie in ``trends_index``.
    """

    def __init__(
        self,
        client: ElasticsearchClient,
        waits: Waits,
        *,
        alias: str = "posts",
        trends_index: str = "trends",
        interval: Interval = "week",
        shards: int = 1,
        replicas: int = 1,
        limits: BulkLimits | None = None,
    ) -> None:
        self._client = client
        self._waits = waits
        self._alias = alias
        self._limits = limits or BulkLimits()
        self._template = index_template(alias, interval, shards, replicas)
        self._actions = ActionLines(alias, interval)
        self._vectors = ElasticsearchVectors(client, alias)
        self._labels = ElasticsearchLabels(client, alias)
        self._candidates = ElasticsearchCandidates(client, alias, self._labels)
        self._scores = ElasticsearchScores(client)
        self._trends = ElasticsearchTrends(client, trends_index, replicas)

    def prepare(self) -> None:
        self.ping()
        try:
            self._check_alias()
            body = msgspec.json.encode(self._template)
            self._client.request("PUT", f"/_index_template/{self._alias}", body, {"cause": "groundswell"})
            self._vectors.prepare()
        except (Rejected, TooLarge) as error:
            raise StopJob(f"Elasticsearch does not take the index template {self._alias!r}: {error}") from None
        self._trends.prepare()

    def ping(self) -> Answer:
        began = time.perf_counter()
        try:
            answer = self._client.request("GET", "/_nodes/_local/_none", None, {"filter_path": "nodes.*.version"})
            nodes = msgspec.json.decode(answer, type=_Nodes).nodes
        except (Rejected, TooLarge) as error:
            raise StopJob(
                f"what answers at documents.url is not Elasticsearch, or hides its version: {error}"
            ) from None
        except msgspec.DecodeError as error:
            raise Unavailable(ELASTICSEARCH, f"unreadable answer: {error}") from None
        latency = time.perf_counter() - began
        version = min((node.version for node in nodes.values()), key=_version, default="")
        if not version or _version(version) < _OLDEST:
            needed = ".".join(map(str, _OLDEST))
            raise StopJob(f"Elasticsearch {version or 'of an unknown version'} is too old: {needed} or later is needed")
        return Answer(version, latency)

    def writer(self, on_result: Callable[[WriteResult], None], keep_waiting: KeepWaiting) -> ElasticsearchWriter:
        return ElasticsearchWriter(
            self._client, self._alias, self._actions, self._limits, self._waits, on_result, keep_waiting
        )

    def search(self, query: Query) -> list[Hit]:
        answer = self._read("_search", search_body(query))
        return read_hits(answer) if answer else []

    def count(self) -> int:
        answer = self._read("_count", None)
        return msgspec.json.decode(answer, type=_Count).count if answer else 0

    def count_by(self, field: CountedField, limit: int = 10) -> dict[str, int]:
        answer = self._read("_search", count_body(field, limit))
        return read_counts(answer) if answer else {}

    def get(self, ids: Iterable[str]) -> dict[str, Document]:
        found: dict[str, Document] = {}
        remaining = iter(ids)
        while batch := list(islice(remaining, _IDS)):
            answer = self._read("_search", get_body(batch))
            found.update(read_documents(answer) if answer else {})
        return found

    def nearest(self, vector: bytes, space: str, query: Query) -> list[Hit]:
        return self._vectors.nearest(vector, space, query)

    def lacking(self, space: str, page: int = 500) -> Iterator[list[Lacking]]:
        return self._vectors.lacking(space, page)

    def put_vectors(self, vectors: Sequence[NewVector]) -> PutVectors:
        return self._vectors.put(vectors)

    def count_spaces(self) -> list[SpaceCount]:
        return self._vectors.count_spaces()

    def declare(self, tags: Collection[str], *, keep: Collection[str] | None = None, max_labels: int) -> Declared:
        return self._labels.declare(tags, keep, max_labels)

    def labels(self) -> Labels:
        return self._labels.labels()

    def nearest_candidates(self, vector: bytes, k: int, selection: Selection) -> list[Found]:
        return self._candidates.nearest(vector, k, selection)

    def candidates(self, selection: Selection, limit: int = 1_000, after: Cursor | None = None) -> Page:
        return self._candidates.page(selection, limit, after)

    def slices(self, selection: Selection, most: int = 10_000) -> list[Slice]:
        return self._candidates.slices(selection, most)

    def put_scores(self, scores: Sequence[NewScore], *, refresh: bool = False) -> PutScores:
        return self._scores.put(scores, refresh=refresh)

    def put_trends(self, trends: Sequence[TrendDocument]) -> None:
        self._trends.put(trends)

    def trends(self, *, active_only: bool = False, limit: int = 1_000) -> list[TrendDocument]:
        return self._trends.search(active_only=active_only, limit=limit)

    def refresh(self) -> None:
        elasticsearch_deletes.refresh(self._client, self._alias)
        elasticsearch_deletes.refresh(self._client, self._trends.index)

    def close(self) -> None:
        self._client.close()

    def _read(self, endpoint: str, body: object | None) -> bytes | None:
        """Ask the alias; ``None`` while there is no index behind it."""
        encoded = None if body is None else msgspec.json.encode(body)
        options = {**READABLE, **COMPLETE} if endpoint == "_search" else READABLE
        try:
            return self._client.request("POST", f"/{self._alias}/{endpoint}", encoded, options)
        except Rejected as error:
            if error.status == 404:
                return None
            raise StopJob(f"Elasticsearch refuses the search: {error}") from None
        except TooLarge as error:
            raise StopJob(f"Elasticsearch refuses the search: {error}") from None

    def _check_alias(self) -> None:
        """An index of the alias's own name would take every document and every search."""
        try:
            answer = self._client.request("GET", f"/{self._alias}/_alias")
        except Rejected as error:
            if error.status == 404:
                return
            raise
        if self._alias in msgspec.json.decode(answer, type=dict[str, _Index]):
            raise StopJob(
                f"there is an index named {self._alias!r}, which must be an alias; remove that index or set "
                "documents.alias to another name"
            )


def _version(text: str) -> tuple[int, int]:
    numbers = re.match(r"(\d+)\.(\d+)", text)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
