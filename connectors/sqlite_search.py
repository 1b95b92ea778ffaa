"""A query in SQLite's terms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.document_query import Clause, Query, check_limit, check_sort
from connectors.document_store import CountedField
from connectors.sqlite_schema import spaced
from groundswell.topics import is_field

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The time so many microseconds after 1970."""
    return _EPOCH + microseconds * _MICROSECOND


def search_statement(query: Query) -> tuple[str, list[Any]]:
    """A statement that yields ``(row, id, document, space, score)``, and its parameters.

    Raises :class:`~connectors.document_query.QueryError`.
    """
    words, conditions, parameters = query_conditions(query)
    score = "-bm25(words)" if words and query.sort is None else "0.0"
    source = "words JOIN documents ON documents.row = words.rowid" if words else "documents"
    source += " LEFT JOIN embeddings ON embeddings.row = documents.row"
    label: list[str] = []
    if query.sort is not None and is_field(check_sort(query.sort)):
        source += (
            " LEFT JOIN classifications AS sorted ON sorted.row = documents.row"
            " AND sorted.label = (SELECT label FROM labels WHERE field = ?)"
        )
        label = [query.sort]
    order, order_parameters = _order(query, by_score=bool(words))
    statement = f"SELECT documents.row, id, document, space, {score} AS score FROM {source}"  # noqa: S608 (none is the user's)
    if conditions:
        statement += " WHERE " + " AND ".join(conditions)
    limit = check_limit(query.limit)
    return f"{statement} ORDER BY {order} LIMIT ?", [*label, *parameters, *order_parameters, limit]


def count_statement(field: CountedField) -> tuple[str, list[Any]]:
    """A statement that yields ``(value, count)`` and lacks its limit."""
    if field == "hashtags":
        return "SELECT tag, count(*) AS n FROM hashtags GROUP BY tag ORDER BY n DESC, tag LIMIT ?", []
    if field == "topics":
        members = "SELECT tag, count(*) AS n FROM classifications JOIN labels USING (label) WHERE member"
        return f"{members} GROUP BY tag ORDER BY n DESC, tag LIMIT ?", []
    counted = "SELECT json_extract(document, ?) AS value, count(*) AS n FROM documents WHERE value IS NOT NULL"
    return f"{counted} GROUP BY value ORDER BY n DESC, value LIMIT ?", [_path(field)]


def query_conditions(query: Query) -> tuple[str, list[str], list[Any]]:
    """The words to match, if any, and what must hold, the words among it, with its parameters.

    Raises :class:`~connectors.document_query.QueryError`.
    """
    clauses = query.clauses()
    words = " AND ".join(_match(clause) for clause in clauses if clause.kind != "tag")
    conditions: list[str] = []
    parameters: list[Any] = []

    def require(condition: str, parameter: Any) -> None:
        conditions.append(condition)
        parameters.append(parameter)

    if words:
        require("words MATCH ?", words)
    for clause in clauses:
        if clause.kind == "tag":
            require("documents.row IN (SELECT row FROM hashtags WHERE tag = ?)", clause.text)
    if query.lang is not None:
        require("json_extract(document, '$.lang') = ?", query.lang)
    if query.source is not None:
        require("json_extract(document, '$.source') = ?", query.source)
    if query.since is not None:
        require("created_at >= ?", microseconds(query.since))
    if query.until is not None:
        require("created_at < ?", microseconds(query.until))
    return words, conditions, parameters


def _order(query: Query, *, by_score: bool) -> tuple[str, list[Any]]:
    newest = "created_at DESC, json_extract(document, '$.id')"
    if query.sort is None:
        return (f"score DESC, {newest}" if by_score else newest), []
    field = check_sort(query.sort)
    direction = "DESC" if query.descending else "ASC"
    if field == "created_at":
        return f"created_at {direction}, json_extract(document, '$.id')", []
    if is_field(field):
        return f"sorted.score {direction} NULLS LAST, {newest}", []
    return f"json_extract(document, ?) {direction} NULLS LAST, {newest}", [_path(field)]


def _match(clause: Clause) -> str:
    # Inside the quotes nothing has a meaning, and a clause holds no quote.
    return f'"{spaced(clause.text)}"' + (" *" if clause.kind == "prefix" else "")


def _path(field: str) -> str:
    """The JSON path of a checked field."""
    return "$" + "".join(f'."{name}"' for name in field.split(".", 2))
