"""Embeddings in SQLite: exact search by meaning, documents that lack a vector, and vectors for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connectors.document_query import Query
from connectors.document_vectors import Lacking, NewVector
from connectors.elasticsearch_schema import EMBEDDING_DIMENSIONS
from connectors.sqlite_search import query_conditions

#: Yields ``(space, documents, vectors)``.
COUNT_SPACES: Final = """
    SELECT space, count(*), count(vector) FROM documents LEFT JOIN embeddings USING (row)
    GROUP BY space ORDER BY space
"""

_PUT = (
    "INSERT INTO embeddings (row, space, vector) VALUES (?, ?, ?) "
    "ON CONFLICT (row) DO UPDATE SET space = excluded.space, vector = excluded.vector"
)
_FIND = "SELECT document FROM documents WHERE row = ? AND id = ?"


class _Text(msgspec.Struct):
    text: str


_TEXT = msgspec.json.Decoder(_Text)


class Nearest:
    """The ``limit`` rows of those compared whose vectors have the largest cosine with ``vector``."""

    def __init__(self, vector: bytes, limit: int) -> None:
        query = _matrix(vector)[0]
        self._query = query / np.linalg.norm(query)
        self._limit = limit
        self._rows: NDArray[np.int64] = np.empty(0, np.int64)
        self._cosines: NDArray[np.float32] = np.empty(0, np.float32)

    def compare(self, block: Sequence[tuple[int, bytes]]) -> None:
        """Take rows and their vectors."""
        rows, vectors = zip(*block, strict=True)
        matrix = _matrix(b"".join(vectors))
        lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
        self._rows = np.concatenate([self._rows, np.array(rows, np.int64)])
        self._cosines = np.concatenate([self._cosines, matrix @ self._query / lengths])
        if len(self._rows) > self._limit:
            best = np.argpartition(self._cosines, -self._limit)[-self._limit :]
            self._rows, self._cosines = self._rows[best], self._cosines[best]

    def found(self) -> dict[int, float]:
        """Row → cosine, best first, of equal ones the newest row."""
        order = np.lexsort((-self._rows, -self._cosines))
        return dict(zip(self._rows[order].tolist(), self._cosines[order].tolist(), strict=True))


def nearest_statement(space: str, query: Query) -> tuple[str, list[Any]]:
    """A statement that yields ``(row, vector)`` of what may be found, and its parameters.

    Raises :class:`~connectors.document_query.QueryError`.
    """
    words, conditions, parameters = query_conditions(query)
    source = "embeddings"
    if conditions:
        source += " JOIN documents USING (row)"
    if words:
        source += " JOIN words ON words.rowid = documents.row"
    every = " AND ".join(["space = ?", "vector IS NOT NULL", *conditions])
    return f"SELECT embeddings.row, vector FROM {source} WHERE {every}", [space, *parameters]  # noqa: S608


def lacking_statement(space: str, after: tuple[int, int] | None, page: int) -> tuple[str, list[Any]]:
    """A statement for :func:`read_lacking`, newest first, ``after`` the place of a row read before; its parameters."""
    beyond = "" if after is None else "AND (created_at, documents.row) < (?, ?)"
    statement = (
        "SELECT id, document, documents.row, created_at FROM documents LEFT JOIN embeddings USING (row) "  # noqa: S608
        f"WHERE space IS NOT ? {beyond} ORDER BY created_at DESC, documents.row DESC LIMIT ?"
    )
    return statement, [space, *(after or ()), page]


def read_lacking(row: tuple[bytes, str, int, int]) -> tuple[Lacking, tuple[int, int]]:
    """A document that lacks a vector, and its place in the order."""
    identity, encoded, number, created_at = row
    return Lacking(identity.hex(), _TEXT.decode(encoded).text, "", (number, hash(encoded))), (created_at, number)


def put_vectors(connection: sqlite3.Connection, vectors: Sequence[NewVector]) -> int:
    """Write the vectors of documents that are as they were found, inside the open transaction; how many those are."""
    written = 0
    for new in vectors:
        row, state = new.document.state
        found = connection.execute(_FIND, (row, bytes.fromhex(new.document.id))).fetchone()
        # The row of a deleted document may be given to the next one, even to one with its id.
        if found is not None and hash(found[0]) == state:
            connection.execute(_PUT, (row, new.space, new.vector))
            written += 1
    return written


def _matrix(vectors: bytes) -> NDArray[np.float32]:
    return np.frombuffer(vectors, np.int8).reshape(-1, EMBEDDING_DIMENSIONS).astype(np.float32)
