"""Labels and classifications in SQLite: the tags that documents are scored by, and what each document has."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from connectors.document_topics import Declared, Labels, choose
from connectors.sqlite_search import from_microseconds, microseconds
from groundswell.topics import Classification, field_of

#: What :func:`read_classification` reads, of a table ``classifications`` that may go by another name.
CLASSIFICATION_COLUMNS = ("score", "trend_id", "topic_at", "model", "at", "member")

_PUT_LABEL = "INSERT INTO labels (tag, field, live) VALUES (?, ?, 1) ON CONFLICT (tag) DO UPDATE SET live = 1"
_PUT = "INSERT OR REPLACE INTO classifications (label, row, score, trend_id, topic_at, model, at, member)"
#: As JSON: there may be more rows than a statement takes parameters.
_OF_ROWS = "FROM classifications JOIN labels USING (label) WHERE row IN (SELECT value FROM json_each(?))"


def declare(
    connection: sqlite3.Connection, tags: Collection[str], keep: Collection[str] | None, max_labels: int
) -> Declared:
    """Like :meth:`connectors.document_store.DocumentStore.declare`, inside the open transaction."""
    stay = {tag for tag in labels(connection).live if keep is None or tag in keep or tag in tags}
    chosen, refused = choose(tags, stay, max_labels)
    connection.execute("UPDATE labels SET live = 0")
    connection.executemany(_PUT_LABEL, ((tag, field_of(tag)) for tag in sorted(stay.union(chosen))))
    return Declared(tuple(chosen), tuple(refused))


def labels(connection: sqlite3.Connection) -> Labels:
    """Like :meth:`connectors.document_store.DocumentStore.labels`."""
    found = connection.execute("SELECT tag, live FROM labels ORDER BY tag").fetchall()
    return Labels(tuple(tag for tag, live in found if live), tuple(tag for tag, _ in found))


def label_numbers(connection: sqlite3.Connection) -> dict[str, int]:
    """The number of each tag that has a field."""
    return dict(connection.execute("SELECT tag, label FROM labels"))


def put_classifications(
    connection: sqlite3.Connection, rows: Iterable[tuple[int, Mapping[str, Classification]]]
) -> int:
    """Write what documents have by each tag; how many there were by tags that have no field."""
    given = [(row, tag, each) for row, classifications in rows for tag, each in classifications.items()]
    if not given:
        return 0
    numbers = label_numbers(connection)
    values = [
        (
            numbers[tag],
            row,
            each.score,
            each.trend_id,
            microseconds(each.topic_at),
            each.model,
            microseconds(each.at),
            each.member,
        )
        for row, tag, each in given
        if tag in numbers
    ]
    connection.executemany(f"{_PUT} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    return len(given) - len(values)


def classifications_of(connection: sqlite3.Connection, rows: Collection[int]) -> dict[int, dict[str, Classification]]:
    """By row, what each document has by tag; nothing for those that have nothing."""
    columns = ", ".join(CLASSIFICATION_COLUMNS)
    statement = f"SELECT row, tag, {columns} {_OF_ROWS} ORDER BY row, at, tag"
    found: dict[int, dict[str, Classification]] = {}
    for row, tag, *values in connection.execute(statement, (json.dumps(list(rows)),)):
        found.setdefault(row, {})[tag] = read_classification(values)
    return found


def topics_of(connection: sqlite3.Connection, rows: Collection[int]) -> dict[int, tuple[str, ...]]:
    """By row, the tags that each document is a member of; nothing for those of none."""
    found: dict[int, tuple[str, ...]] = {}
    statement = f"SELECT row, tag {_OF_ROWS} AND member ORDER BY row, at, tag"
    for row, tag in connection.execute(statement, (json.dumps(list(rows)),)):
        found[row] = (*found.get(row, ()), tag)
    return found


def read_classification(values: Sequence[Any]) -> Classification:
    """The classification in a row of these columns."""
    score, trend_id, topic_at, model, at, member = values
    return Classification(score, trend_id, from_microseconds(topic_at), model, from_microseconds(at), bool(member))
