"""Documents of SQLite as they are read to be scored: the nearest, and pages of all the others."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from connectors.document_query import check_limit
from connectors.document_topics import Cursor, Found, Page, Selection, Slice, check_candidates
from connectors.sqlite_labels import CLASSIFICATION_COLUMNS, read_classification, topics_of
from connectors.sqlite_schema import INDEXED_AT
from connectors.sqlite_vectors import Nearest
from connectors.time_slices import ceil_milliseconds, cut, floor_milliseconds, from_milliseconds

#: Vectors that are compared at once: 3 MB of them.
_BLOCK = 8_192
_COLUMNS = ", ".join(
    ["documents.row", "id", "document", "space", "vector", *(f"scored.{name}" for name in CLASSIFICATION_COLUMNS)]
)
_ALL_VECTORS = "SELECT row, vector FROM embeddings WHERE space = ? AND vector IS NOT NULL"
_VECTORS = "LEFT JOIN embeddings ON embeddings.row = documents.row"
_SCORES = (
    "LEFT JOIN classifications AS scored ON scored.row = documents.row "
    "AND scored.label = (SELECT label FROM labels WHERE tag = ?)"
)


class _Document(msgspec.Struct):
    text: str
    created_at: datetime
    indexed_at: datetime
    hashtags: tuple[str, ...] = ()
    repost_of: str | None = None


_DOCUMENT = msgspec.json.Decoder(_Document)


def nearest(connection: sqlite3.Connection, vector: bytes, k: int, selection: Selection) -> list[Found]:
    """Like :meth:`connectors.document_store.DocumentStore.nearest_candidates`."""
    check_candidates(vector, selection.space, k)
    best = Nearest(vector, k)
    if selection == Selection(tag=selection.tag, space=selection.space):
        # Nothing but the vectors need be read.
        rows = connection.execute(_ALL_VECTORS, (selection.space,))
    else:
        source, condition, parameters = _where(selection)
        rows = connection.execute(f"SELECT documents.row, vector FROM {source} WHERE {condition}", parameters)  # noqa: S608
    while block := rows.fetchmany(_BLOCK):
        best.compare(block)
    cosines = best.found()
    there = "documents.row IN (SELECT value FROM json_each(?))"
    statement = f"SELECT {_COLUMNS} FROM documents {_VECTORS} {_SCORES} WHERE {there}"  # noqa: S608
    found = connection.execute(statement, (selection.tag, json.dumps(list(cosines)))).fetchall()
    topics = topics_of(connection, cosines)
    by_row = {row[0]: row for row in found}
    return [_found(by_row[row], selection.tag, topics, cosine) for row, cosine in cosines.items()]


def page(connection: sqlite3.Connection, selection: Selection, limit: int, after: Cursor | None) -> Page:
    """Like :meth:`connectors.document_store.DocumentStore.candidates`."""
    check_limit(limit)
    source, condition, parameters = _where(selection)
    beyond = "" if after is None else "AND (created_at, documents.row) < (?, ?)"
    statement = (
        f"SELECT {_COLUMNS}, created_at FROM {source} WHERE {condition} {beyond} "  # noqa: S608
        "ORDER BY created_at DESC, documents.row DESC LIMIT ?"
    )
    rows = connection.execute(statement, [*parameters, *(after or ()), limit]).fetchall()
    topics = topics_of(connection, [row[0] for row in rows])
    found = [_found(row[:-1], selection.tag, topics) for row in rows]
    return Page(found, (rows[-1][-1], rows[-1][0]) if len(rows) == limit else None)


def slices(connection: sqlite3.Connection, selection: Selection, most: int) -> list[Slice]:
    """Like :meth:`connectors.document_store.DocumentStore.slices`."""
    source, condition, parameters = _where(selection)
    ends = f"SELECT min(created_at), max(created_at) FROM {source} WHERE {condition}"  # noqa: S608
    ((first, last),) = connection.execute(ends, parameters).fetchall()
    if first is None:
        return []
    histogram = partial(_histogram, connection, selection)
    return cut(selection.created, first // 1_000, last // 1_000, most, histogram)


def _histogram(
    connection: sqlite3.Connection, selection: Selection, since: int, until: int, width: int
) -> list[tuple[int, int]]:
    source, condition, parameters = _where(selection)
    # The remainder of a time before 1970 is negative.
    start = "created_at - (created_at % ? + ?) % ?"
    statement = (
        f"SELECT {start} AS start, count(*) FROM {source} WHERE {condition} "  # noqa: S608
        "AND created_at >= ? AND created_at < ? GROUP BY start"
    )
    microseconds = 1_000 * width
    every = [*[microseconds] * 3, *parameters, 1_000 * since, 1_000 * until]
    return [(begin // 1_000, documents) for begin, documents in connection.execute(statement, every)]


def _where(selection: Selection) -> tuple[str, str, list[Any]]:
    """Tables, what must hold, and the parameters of both."""
    indexed = selection.indexed
    by_indexed_at = indexed.since is not None or indexed.until is not None
    source = f"documents {'INDEXED BY documents_indexed_at' if by_indexed_at else ''} {_VECTORS} {_SCORES}"
    conditions, parameters = ["1"], list[Any]([selection.tag])

    def require(condition: str, *given: Any) -> None:
        conditions.append(condition)
        parameters.extend(given)

    if selection.kind == "tagged":
        require("documents.row IN (SELECT row FROM hashtags WHERE tag = ?)", selection.tag)
    elif selection.kind == "scored":
        require("scored.label IS NOT NULL")
    if selection.space is not None:
        require("space = ? AND vector IS NOT NULL", selection.space)
    if selection.created.since is not None:
        require("created_at >= ?", 1_000 * floor_milliseconds(selection.created.since))
    if selection.created.until is not None:
        require("created_at < ?", 1_000 * ceil_milliseconds(selection.created.until))
    if indexed.since is not None:
        require(f"{INDEXED_AT} >= julianday(?)", _moment(floor_milliseconds(indexed.since)))
    if indexed.until is not None:
        require(f"{INDEXED_AT} < julianday(?)", _moment(ceil_milliseconds(indexed.until)))
    return source, " AND ".join(conditions), parameters


def _moment(milliseconds: int) -> str:
    return from_milliseconds(milliseconds).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _found(row: Sequence[Any], tag: str, topics: Mapping[int, tuple[str, ...]], cosine: float | None = None) -> Found:
    number, identity, encoded, space, vector, *scored = row
    document = _DOCUMENT.decode(encoded)
    return Found(
        identity.hex(),
        "",
        (number, hash(encoded)),
        document.text,
        document.created_at,
        document.indexed_at,
        document.hashtags,
        document.repost_of is not None,
        vector,
        space,
        None if scored[0] is None else read_classification(scored),
        topics.get(number, ()),
        cosine,
        tag,
    )
