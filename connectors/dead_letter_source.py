"""Feeds the flow with the dead letters that were marked for a replay, under their first origins."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connectors.credits import Credits
from connectors.source import BATCH_BYTES, BatchGate, EndOfInput, PostPartition, StopFlag
from connectors.sqlite_dead_letters import SqliteDeadLetters
from groundswell.records import Origin, RawBatch

_PARTITION = "marked"
#: Few enough to hold in memory whatever their size, within reason.
_READ_AHEAD = 100


class DeadLetterSource:
    """A :class:`~connectors.source.PostSource` that ends.

    Reads what is marked up to ``mark``, the same after a restart; call :meth:`finish` once the run has ended well.
    """

    name = "dead-letters"

    def __init__(self, store: SqliteDeadLetters, credits: Credits, stop: StopFlag, mark: int) -> None:  # noqa: A002
        self.mark = mark
        self._store = store
        self._credits = credits
        self._stop = stop

    def partitions(self) -> list[str]:
        return [_PARTITION]

    def finish(self) -> None:
        """Remove the letters that this source fed into a run which has ended well."""
        self._store.finish_replay(self.mark)

    def open(self, partition: str, resume_state: Any | None) -> PostPartition[int]:  # noqa: ARG002
        return _MarkedLetters(
            self._store, self.mark, BatchGate(self.name, self._credits, self._stop), resume_state or 0
        )


class _MarkedLetters(PostPartition[int]):
    """The marked letters in the order of their rows; the position is the last row emitted."""

    def __init__(self, store: SqliteDeadLetters, mark: int, gate: BatchGate, position: int) -> None:
        self._store = store
        self._mark = mark
        self._gate = gate
        self._position = position

    def next_batch(self) -> list[RawBatch]:
        if self._gate.closed():
            return []
        values: list[bytes] = []
        origins: dict[int, Origin] = {}
        rows: list[int] = []
        size = 0
        for row, letter in self._store.marked(self._mark, self._position, _READ_AHEAD):
            origins[len(values)] = letter.origin
            values.append(letter.value)
            rows.append(row)
            size += len(letter.value)
            if size >= BATCH_BYTES:
                break
        if not values:
            raise EndOfInput
        self._position = rows[-1]
        return self._gate.emit(RawBatch(DeadLetterSource.name, 0, rows, values, replayed=origins))

    def next_awake(self) -> datetime | None:
        return self._gate.awake

    def snapshot(self) -> int:
        return self._position
