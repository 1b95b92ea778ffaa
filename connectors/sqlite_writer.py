"""Writes documents to SQLite in transactions of bounded size."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from itertools import groupby
from pathlib import Path

import msgspec

from connectors.document_store import Change, KeepWaiting, Refusal, WriteResult
from connectors.elasticsearch_schema import EMBEDDING_DIMENSIONS
from connectors.patience import Patience
from connectors.sqlite_labels import put_classifications
from connectors.sqlite_schema import SQLITE, open_database, spaced, translate
from connectors.sqlite_search import microseconds
from groundswell.errors import StopJob, Unavailable
from groundswell.records import Deletion, Document, Envelope, document_id
from groundswell.waits import Waits

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Document)

_INSERT = "INSERT INTO documents (id, created_at, document) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING"
_INSERT_WORDS = "INSERT INTO words (rowid, text) VALUES (?, ?)"
_INSERT_TAG = "INSERT OR IGNORE INTO hashtags (tag, row) VALUES (?, ?)"
_INSERT_EMBEDDING = "INSERT INTO embeddings (row, space, vector) VALUES (?, ?, ?)"
_DELETE_WORDS = "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)"


class SqliteWriter:
    """A :class:`~connectors.document_store.DocumentWriter`.

    No transaction outlives a call, so writers of several processes take turns.
    """

    def __init__(
        self,
        path: Path,
        waits: Waits,
        on_result: Callable[[WriteResult], None],
        keep_waiting: KeepWaiting,
        transaction_documents: int,
    ) -> None:
        self._path = path
        self._patience = Patience(SQLITE, waits, keep_waiting)
        self._on_result = on_result
        self._most = transaction_documents
        self._lock = threading.Lock()
        self._buffer: list[Change] = []
        self._connection: sqlite3.Connection | None = None

    def add(self, changes: Sequence[Change]) -> None:
        with self._lock:
            self._buffer.extend(changes)
            while len(self._buffer) >= self._most:
                self._write_some()

    def flush(self) -> None:
        with self._lock:
            while self._buffer:
                self._write_some()

    def close(self) -> None:
        with self._lock:
            self._buffer.clear()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _write_some(self) -> None:
        changes = self._buffer[: self._most]
        while True:
            try:
                result = self._write(changes)
            except Unavailable as error:
                self._patience.pause(error.reason)
            else:
                break
        self._patience.succeeded()
        del self._buffer[: len(changes)]
        self._on_result(result)

    def _write(self, changes: Sequence[Change]) -> WriteResult:
        """All or nothing: one transaction."""
        if self._connection is None:
            self._connection = open_database(self._path)
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = apply(connection, changes)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise translate(error, self._path) from None
        return result


def apply(connection: sqlite3.Connection, changes: Iterable[Change]) -> WriteResult:
    """Apply changes in order inside the open transaction."""
    result = WriteResult(refused=[])
    for deletions, run in groupby(changes, key=lambda change: isinstance(change, Deletion)):
        if deletions:
            for deletion in run:
                result.deleted += _delete(connection, document_id(deletion.source, deletion.id))  # type: ignore[union-attr]
        else:
            _create(connection, run, result)  # type: ignore[arg-type]
    return result


def unfit(document: Document) -> str | None:
    """Why Elasticsearch would refuse this document, so that both stores refuse the same."""
    if document.embedding is not None:
        digits = 2 * EMBEDDING_DIMENSIONS
        if len(document.embedding) != digits:
            return f"embedding has {len(document.embedding)} hexadecimal digits instead of {digits}"
        try:
            if not any(bytes.fromhex(document.embedding)):
                return "embedding is zero, which has no direction"
        except ValueError:
            return "embedding is not hexadecimal"
    if document.geo is not None and not (-90 <= document.geo.lat <= 90 and -180 <= document.geo.lon <= 180):
        return f"geo {document.geo.lat}, {document.geo.lon} is no point on earth"
    return None


def _create(connection: sqlite3.Connection, envelopes: Iterable[Envelope], result: WriteResult) -> None:
    rows: list[tuple[bytes, int, str]] = []
    documents: dict[bytes, Document] = {}
    for envelope in envelopes:
        document = envelope.document
        if document is None:
            raise ValueError(f"the post from {envelope.origin.key} has no document")
        if detail := unfit(document):
            result.refused.append(Refusal(envelope, "document_parsing", detail))
            continue
        try:
            encoded = _ENCODER.encode(_text_of(document)).decode()
        except UnicodeEncodeError as error:
            result.refused.append(Refusal(envelope, "not_unicode", str(error)))
            continue
        identity = bytes.fromhex(document_id(document.source, document.id))
        rows.append((identity, microseconds(document.created_at), encoded))
        documents.setdefault(identity, document)
    (last,) = connection.execute("SELECT coalesce(max(row), 0) FROM documents").fetchone()
    connection.executemany(_INSERT, rows)
    created = connection.execute("SELECT row, id FROM documents WHERE row > ?", (last,)).fetchall()
    connection.executemany(_INSERT_WORDS, ((row, spaced(documents[identity].text)) for row, identity in created))
    tags = ((tag, row) for row, identity in created for tag in documents[identity].hashtags)
    connection.executemany(_INSERT_TAG, tags)
    embeddings = [(row, *found) for row, identity in created if any(found := _embedding(documents[identity]))]
    if embeddings:
        connection.executemany(_INSERT_EMBEDDING, embeddings)
    result.unlabelled += put_classifications(
        connection, ((row, documents[identity].classification) for row, identity in created)
    )
    result.created += len(created)
    result.duplicates += len(rows) - len(created)
    if created:
        result.sample_time = documents[created[0][1]].created_at.timestamp()


def _text_of(document: Document) -> Document:
    """What is stored as JSON; the embedding and the classifications have tables of their own."""
    bare = copy(document)
    bare.embedding = bare.embedding_space = None
    bare.classification, bare.topics = {}, ()
    return bare


def _embedding(document: Document) -> tuple[str | None, bytes | None]:
    """The space and the vector of a document that fits."""
    return document.embedding_space, None if document.embedding is None else bytes.fromhex(document.embedding)


def _delete(connection: sqlite3.Connection, identity: str) -> int:
    """Delete a document; 1 when it was there."""
    found = connection.execute(
        "SELECT row, document FROM documents WHERE id = ?", (bytes.fromhex(identity),)
    ).fetchone()
    if found is None:
        return 0
    row, encoded = found
    try:
        document = _DECODER.decode(encoded)
    except msgspec.DecodeError as error:
        raise StopJob(f"a stored document cannot be read: {error}") from None
    connection.execute(_DELETE_WORDS, (row, spaced(document.text)))
    connection.executemany("DELETE FROM hashtags WHERE tag = ? AND row = ?", ((tag, row) for tag in document.hashtags))
    connection.execute("DELETE FROM embeddings WHERE row = ?", (row,))
    connection.execute("DELETE FROM classifications WHERE row = ?", (row,))
    connection.execute("DELETE FROM documents WHERE row = ?", (row,))
    return 1
