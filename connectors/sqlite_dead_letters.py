"""Dead letters in a table of an SQLite file.

A replay marks letters; a run of the flow then reads the marked ones through
:class:`~connectors.dead_letter_source.DeadLetterSource`, and only the end of that run
removes those that are still marked. One that failed again was put again and so is no
longer marked. A run that is killed leaves the marks, and the next one starts over.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from connectors.dead_letters import KeepWaiting, Replayed, Selection
from connectors.document_store import Answer
from connectors.patience import Patience
from connectors.sqlite_schema import SQLITE, open_database, translate
from groundswell.errors import Unavailable
from groundswell.records import DeadLetter, Origin
from groundswell.waits import Waits

T = TypeVar("T")

_PUT = "INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
_COLUMNS = "stream, partition, position, item, step, cause, detail, time, value"
#: Letters in one transaction, and in one step of a replay.
_MOST = 500


class SqliteDeadLetters:
    """A :class:`~connectors.dead_letters.DeadLetterStore`."""

    def __init__(self, path: Path, waits: Waits) -> None:
        self._path = path
        self._waits = waits
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def prepare(self) -> None:
        self._transact(lambda _: None)

    def ping(self) -> Answer:
        began = time.perf_counter()
        ((version,),) = self._read("SELECT sqlite_version()", [])
        return Answer(version, time.perf_counter() - began)

    def put(self, letters: Sequence[DeadLetter], keep_waiting: KeepWaiting) -> None:
        patience = Patience(SQLITE, self._waits, keep_waiting)
        for start in range(0, len(letters), _MOST):
            rows = [_row(letter) for letter in letters[start : start + _MOST]]
            while True:
                try:
                    self._transact(lambda connection, rows=rows: connection.executemany(_PUT, rows))  # type: ignore[misc]
                except Unavailable as error:
                    patience.pause(error.reason)
                else:
                    patience.succeeded()
                    break

    def list(self, selection: Selection, limit: int) -> Sequence[DeadLetter]:
        condition, parameters = _condition(selection)
        statement = f"SELECT {_COLUMNS} FROM dead_letters WHERE {condition} ORDER BY rowid LIMIT ?"  # noqa: S608
        return [_letter(row) for row in self._read(statement, [*parameters, limit])]

    def counts(self) -> dict[str, int]:
        return dict(
            self._read("SELECT cause, count(*) AS n FROM dead_letters GROUP BY cause ORDER BY n DESC, cause", [])
        )

    def show(self, key: str) -> DeadLetter | None:
        rows = self._read(f"SELECT {_COLUMNS} FROM dead_letters WHERE key = ?", [_text(key)])  # noqa: S608
        return _letter(rows[0]) if rows else None

    def replay(self, selection: Selection) -> Replayed:
        """Mark letters for the next run that reads them."""
        condition, parameters = _condition(selection)
        mark = f"UPDATE dead_letters SET replaying = ? WHERE {condition}"  # noqa: S608

        def mark_all(connection: sqlite3.Connection) -> int:
            (newest,) = connection.execute("SELECT coalesce(max(replaying), 0) FROM dead_letters").fetchone()
            return connection.execute(mark, [newest + 1, *parameters]).rowcount

        return Replayed(self._transact(mark_all))

    def replay_mark(self) -> int:
        """The newest mark; 0 when no letter waits for a replay."""
        ((newest,),) = self._read("SELECT coalesce(max(replaying), 0) FROM dead_letters", [])
        return int(newest)

    def marked(self, mark: int, after: int, limit: int = _MOST) -> Sequence[tuple[int, DeadLetter]]:
        """Letters marked up to ``mark``, each with its row number, from after a row on.

        A letter that is put again gets a later row without a mark.
        """
        statement = (
            f"SELECT rowid, {_COLUMNS} FROM dead_letters "  # noqa: S608
            "WHERE replaying BETWEEN 1 AND ? AND rowid > ? ORDER BY rowid LIMIT ?"
        )
        return [(row, _letter(rest)) for row, *rest in self._read(statement, [mark, after, limit])]

    def finish_replay(self, mark: int) -> int:
        """Remove the letters marked up to ``mark``, all of which have been run; how many there were."""
        statement = "DELETE FROM dead_letters WHERE replaying BETWEEN 1 AND ?"
        return self._transact(lambda connection: connection.execute(statement, [mark]).rowcount)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            connection = self._open()
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    done = work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise translate(error, self._path) from None
            return done

    def _read(self, statement: str, parameters: Sequence[Any]) -> Any:
        with self._lock:
            try:
                return self._open().execute(statement, parameters).fetchall()
            except sqlite3.Error as error:
                raise translate(error, self._path) from None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_database(self._path)
        return self._connection


def _row(letter: DeadLetter) -> tuple[Any, ...]:
    origin = letter.origin
    return (
        _text(letter.key),
        _text(origin.stream),
        origin.partition,
        origin.offset,
        origin.index,
        letter.step,
        letter.cause,
        _text(letter.detail),
        letter.time.isoformat(),
        letter.value,
    )


def _letter(row: Sequence[Any]) -> DeadLetter:
    stream, partition, position, item, step, cause, detail, when, value = row
    origin = Origin(_untext(stream), partition, position, item)
    return DeadLetter(origin, step, cause, _untext(detail), datetime.fromisoformat(when), value)


def _condition(selection: Selection) -> tuple[str, list[Any]]:
    conditions, parameters = ["1"], list[Any]()
    if selection.keys is not None:
        # As JSON: there may be more keys than a statement takes parameters.
        conditions.append("hex(key) IN (SELECT value FROM json_each(?))")
        parameters.append(json.dumps([_text(key).hex().upper() for key in selection.keys]))
    for column in ("cause", "step"):
        if (value := getattr(selection, column)) is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    return " AND ".join(conditions), parameters


def _text(text: str) -> bytes:
    """Text as it is stored: a path may hold bytes that are no UTF-8, and a detail half a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")


def _untext(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")
