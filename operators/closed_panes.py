"""Closed panes: each kept once, under a key of its own, and passed on again after a restart.

A pane that closed never changes, so it is written to the recovery store in the epoch in
which it closed and not again. What is built from many panes, the totals of a window,
needs no snapshot of its own: it is built anew from the panes that come by here once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.open_panes import Drop, Progress
from operators.panes import Chunk


class ClosedPane(StatefulBatchLogic[Any, Any, "tuple[bytes, ...] | None"]):
    """The chunks of one pane; a :class:`Progress`, which has a key without a pane, only passes."""

    def __init__(self, resume: tuple[bytes, ...] | None) -> None:
        self._chunks = list(resume or ())
        self._again = bool(resume)

    def on_batch(self, values: list[Chunk | Drop | Progress]) -> tuple[Iterable[Any], bool]:
        passed: list[Chunk | Progress] = []
        for value in values:
            if isinstance(value, Drop):
                # Whoever resumed may still wait for it.
                again = [Chunk.decode(chunk) for chunk in self._chunks] if self._again else []
                return [*again, *passed], StatefulBatchLogic.DISCARD
            if isinstance(value, Chunk):
                self._chunks.append(value.encode())
            passed.append(value)
        return passed, StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        return datetime.now(UTC) if self._again else None

    def on_notify(self) -> tuple[Iterable[Any], bool]:
        self._again = False
        return [Chunk.decode(chunk) for chunk in self._chunks], StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[bytes, ...] | None:
        return tuple(self._chunks) or None


def closed_panes_step(step_id: str, stream: KeyedStream[Chunk | Drop | Progress]) -> KeyedStream[Chunk | Progress]:
    """Carry the closed panes into a flow: every shard's key becomes one for each pane, and is itself again after."""

    def apart(items: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return [(key if isinstance(item, Progress) else f"{key}/{item.pane}", item) for key, item in items]

    def together(items: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return [(key.partition("/")[0], item) for key, item in items]

    by_pane = op.flat_map_batch(f"{step_id}-apart", stream, apart)
    closed = op.stateful_batch(step_id, by_pane, ClosedPane)
    return op.flat_map_batch(f"{step_id}-together", closed, together)
