"""Documents in one SQLite file: full-text search, readers beside writers, several processes.

What ``flush`` has returned for survives ``kill -9`` and a power cut (WAL with
``synchronous=FULL``; after a power cut as far as the disk keeps what it acknowledged).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from connectors import sqlite_candidates, sqlite_labels
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
    check_score,
)
from connectors.document_vectors import Lacking, NewVector, PutVectors, SpaceCount, check_nearest, check_vector
from connectors.sqlite_labels import classifications_of
from connectors.sqlite_schema import open_database, translate
from connectors.sqlite_scores import put_scores
from connectors.sqlite_search import count_statement, search_statement
from connectors.sqlite_trends import put_trends, read_trend, trends_statement
from connectors.sqlite_vectors import (
    COUNT_SPACES,
    Nearest,
    lacking_statement,
    nearest_statement,
    put_vectors,
    read_lacking,
)
from connectors.sqlite_writer import SqliteWriter
from groundswell.errors import StopJob
from groundswell.records import Document
from groundswell.topics import Classification
from groundswell.trends import TrendDocument
from groundswell.waits import Waits

_DECODER = msgspec.json.Decoder(Document)
#: Fewer than any build of SQLite takes as parameters.
_IDS = 500
#: Vectors that are compared at once: 3 MB of them.
_BLOCK = 8_192
_GET = "SELECT row, id, document, space, vector FROM documents LEFT JOIN embeddings USING (row)"
_GET_ROW = "SELECT id, document FROM documents WHERE row = ?"


class SqliteStore:
    """A :class:`~connectors.document_store.DocumentStore`."""

    def __init__(self, path: Path, waits: Waits, *, transaction_documents: int = 2_000) -> None:
        self._path = path
        self._waits = waits
        self._transaction_documents = transaction_documents
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None

    def prepare(self) -> None:
        open_database(self._path).close()

    def ping(self) -> Answer:
        began = time.perf_counter()
        ((version,),) = self._read("SELECT sqlite_version()", [])
        return Answer(version, time.perf_counter() - began)

    def writer(self, on_result: Callable[[WriteResult], None], keep_waiting: KeepWaiting) -> SqliteWriter:
        return SqliteWriter(self._path, self._waits, on_result, keep_waiting, self._transaction_documents)

    def search(self, query: Query) -> list[Hit]:
        statement, parameters = search_statement(query)
        with self._snapshot() as reader:
            rows = reader.execute(statement, parameters).fetchall()
            scored = classifications_of(reader, [row for row, *_ in rows])
        return [
            Hit(identity.hex(), _document(encoded, scored.get(row), space), score)
            for row, identity, encoded, space, score in rows
        ]

    def count(self) -> int:
        ((count,),) = self._read("SELECT count(*) FROM documents", [])
        return int(count)

    def count_by(self, field: CountedField, limit: int = 10) -> dict[str, int]:
        statement, parameters = count_statement(field)
        return dict(self._read(statement, [*parameters, limit]))

    def get(self, ids: Iterable[str]) -> dict[str, Document]:
        found: dict[str, Document] = {}
        remaining = iter(ids)
        while batch := [bytes.fromhex(identity) for identity in islice(remaining, _IDS)]:
            marks = ",".join("?" * len(batch))
            with self._snapshot() as reader:
                rows = reader.execute(f"{_GET} WHERE id IN ({marks})", batch).fetchall()
                scored = classifications_of(reader, [row for row, *_ in rows])
            for row, identity, encoded, *embedding in rows:
                found[identity.hex()] = _document(encoded, scored.get(row), *embedding)
        return found

    def nearest(self, vector: bytes, space: str, query: Query) -> list[Hit]:
        check_nearest(vector, space, query)
        best = Nearest(vector, query.limit)
        statement, parameters = nearest_statement(space, query)
        with self._snapshot() as reader:
            rows = reader.execute(statement, parameters)
            while block := rows.fetchmany(_BLOCK):
                best.compare(block)
            cosines = best.found()
            scored = classifications_of(reader, cosines)
            return [
                Hit(identity.hex(), _document(encoded, scored.get(row), space), cosine)
                for row, cosine in cosines.items()
                for identity, encoded in reader.execute(_GET_ROW, (row,))
            ]

    def lacking(self, space: str, page: int = 500) -> Iterator[list[Lacking]]:
        after: tuple[int, int] | None = None
        while rows := self._read(*lacking_statement(space, after, page)):
            found = [read_lacking(row) for row in rows]
            yield [document for document, _ in found]
            after = found[-1][1]

    def put_vectors(self, vectors: Sequence[NewVector]) -> PutVectors:
        for new in vectors:
            check_vector(new)
        with self._transaction() as connection:
            written = put_vectors(connection, vectors)
        return PutVectors(written, len(vectors) - written)

    def count_spaces(self) -> list[SpaceCount]:
        return [SpaceCount(*row) for row in self._read(COUNT_SPACES, [])]

    def declare(self, tags: Collection[str], *, keep: Collection[str] | None = None, max_labels: int) -> Declared:
        with self._transaction() as connection:
            return sqlite_labels.declare(connection, tags, keep, max_labels)

    def labels(self) -> Labels:
        with self._reading() as reader:
            return sqlite_labels.labels(reader)

    def nearest_candidates(self, vector: bytes, k: int, selection: Selection) -> list[Found]:
        with self._snapshot() as reader:
            return sqlite_candidates.nearest(reader, vector, k, selection)

    def candidates(self, selection: Selection, limit: int = 1_000, after: Cursor | None = None) -> Page:
        with self._snapshot() as reader:
            return sqlite_candidates.page(reader, selection, limit, after)

    def slices(self, selection: Selection, most: int = 10_000) -> list[Slice]:
        with self._snapshot() as reader:
            return sqlite_candidates.slices(reader, selection, most)

    def put_scores(self, scores: Sequence[NewScore], *, refresh: bool = False) -> PutScores:  # noqa: ARG002 (seen at once)
        for new in scores:
            check_score(new)
        if not scores:
            return PutScores()
        with self._transaction() as connection:
            return put_scores(connection, scores)

    def put_trends(self, trends: Sequence[TrendDocument]) -> None:
        if trends:
            with self._transaction() as connection:
                put_trends(connection, trends)

    def trends(self, *, active_only: bool = False, limit: int = 1_000) -> list[TrendDocument]:
        statement, parameters = trends_statement(limit, active_only=active_only)
        return [read_trend(document) for (document,) in self._read(statement, parameters)]

    def refresh(self) -> None:
        """Nothing to do: what is committed is seen."""

    def close(self) -> None:
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _read(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        with self._reading() as reader:
            return reader.execute(statement, parameters).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The one connection that reads, for one caller at a time."""
        with self._lock:
            if self._reader is None:
                if not self._path.exists():
                    raise StopJob(f"there is no {self._path} yet: run the job first, or name another file")
                self._reader = open_database(self._path)
            try:
                yield self._reader
            except sqlite3.Error as error:
                raise translate(error, self._path) from None

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Like the above; all that is read inside is of one moment."""
        with self._reading() as reader:
            reader.execute("BEGIN")
            try:
                yield reader
            finally:
                if reader.in_transaction:
                    reader.execute("ROLLBACK")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction on a connection of its own: all of it or nothing."""
        connection = open_database(self._path)
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
        except sqlite3.Error as error:
            raise translate(error, self._path) from None
        finally:
            connection.close()


def _document(
    encoded: str, scored: dict[str, Classification] | None, space: str | None, vector: bytes | None = None
) -> Document:
    document = _DECODER.decode(encoded)
    if scored:
        document.classification = scored
        document.topics = tuple(tag for tag, each in scored.items() if each.member)
    document.embedding_space = space
    document.embedding = None if vector is None else vector.hex()
    return document
