"""Documents in one SQLite file: full-text search, readers beside writers, several processes.

What ``flush`` has returned for survives ``kill -9`` and a power cut (WAL with
``synchronous=FULL``; after a power cut as far as the disk keeps what it acknowledged).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from connectors.document_query import Query
from connectors.document_store import Answer, CountedField, Hit, KeepWaiting, WriteResult
from connectors.sqlite_schema import open_database, translate
from connectors.sqlite_search import count_statement, search_statement
from connectors.sqlite_trends import put_trends, read_trend, trends_statement
from connectors.sqlite_writer import SqliteWriter
from groundswell.errors import StopJob
from groundswell.records import Document
from groundswell.trends import TrendDocument
from groundswell.waits import Waits

_DECODER = msgspec.json.Decoder(Document)
#: Fewer than any build of SQLite takes as parameters.
_IDS = 500


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
        hits = []
        for identity, encoded, score in self._read(*search_statement(query)):
            document = _DECODER.decode(encoded)
            document.embedding = None
            hits.append(Hit(identity.hex(), document, score))
        return hits

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
            rows = self._read(f"SELECT id, document FROM documents WHERE id IN ({marks})", batch)  # noqa: S608
            found.update((identity.hex(), _DECODER.decode(document)) for identity, document in rows)
        return found

    def put_trends(self, trends: Sequence[TrendDocument]) -> None:
        if not trends:
            return
        connection = open_database(self._path)
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                put_trends(connection, trends)
        except sqlite3.Error as error:
            raise translate(error, self._path) from None
        finally:
            connection.close()

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

    def _read(self, statement: str, parameters: list[Any]) -> list[Any]:
        with self._lock:
            if self._reader is None:
                if not self._path.exists():
                    raise StopJob(f"there is no {self._path} yet: run the job first, or name another file")
                self._reader = open_database(self._path)
            try:
                return self._reader.execute(statement, parameters).fetchall()
            except sqlite3.Error as error:
                raise translate(error, self._path) from None
