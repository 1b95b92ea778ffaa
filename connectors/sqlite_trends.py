"""Trends in a table of the embedded document store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from connectors.document_query import check_limit
from connectors.sqlite_search import microseconds
from connectors.trend_json import encode_trend, plain
from groundswell.trends import TrendDocument

_DECODER = msgspec.json.Decoder(TrendDocument)

_PUT = """
INSERT INTO trends (trend_id, generation, updated_at, revision, since, active, document) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (trend_id) DO UPDATE SET
    generation = excluded.generation, updated_at = excluded.updated_at, revision = excluded.revision,
    since = excluded.since, active = excluded.active, document = excluded.document
WHERE (excluded.generation, excluded.updated_at, excluded.revision)
    > (trends.generation, trends.updated_at, trends.revision)
"""


def put_trends(connection: sqlite3.Connection, trends: Sequence[TrendDocument]) -> None:
    """Put trends inside the open transaction; one whose fence is no higher than what is there changes nothing."""
    connection.executemany(_PUT, (_row(trend) for trend in trends))


def trends_statement(limit: int, *, active_only: bool) -> tuple[str, list[Any]]:
    """A statement that yields documents, the newest trends first. Raises ``QueryError`` for a limit out of range."""
    condition = "WHERE active" if active_only else ""
    statement = f"SELECT document FROM trends {condition} ORDER BY since DESC, trend_id LIMIT ?"  # noqa: S608
    return statement, [check_limit(limit)]


def read_trend(encoded: str) -> TrendDocument:
    """The trend in a row of that statement."""
    return _DECODER.decode(encoded)


def _row(trend: TrendDocument) -> tuple[Any, ...]:
    return (
        plain(trend.trend_id),
        trend.generation,
        microseconds(trend.updated_at),
        trend.revision,
        microseconds(trend.since),
        trend.active,
        encode_trend(trend).decode(),
    )
