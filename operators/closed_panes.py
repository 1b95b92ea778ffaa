"""Closed panes: each kept once, apart from what changes, and passed on again after a restart.

A pane that closed never changes, so it is written to the recovery store in the epoch in
which it closed and not again. What is built from many panes, the totals of a window,
needs no snapshot of its own: it is built anew from the panes that come by here once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.open_panes import Drop, Progress
from operators.panes import Chunk

#: Keys by which the closed panes of a shard take turns. The engine never forgets a key, not even one that was given
#: up, so that each pane's own would make the recovery store grow with every pane for ever. Frozen, as step ids are.
PANE_KEYS: Final = 4_096


def pane_key(shard: str, pane: int) -> str:
    """The key under which a closed pane of a shard is kept.

    >>> pane_key("s07", 5), pane_key("s07", 5 + PANE_KEYS)
    ('s07/5', 's07/5')
    """
    return f"{shard}/{pane % PANE_KEYS}"


class ClosedPanes(StatefulBatchLogic[Any, Any, "dict[int, tuple[bytes, ...]]"]):
    """The chunks of the panes of one key, nearly always of one pane; a :class:`Progress` only passes."""

    def __init__(self, resume: dict[int, tuple[bytes, ...]] | None) -> None:
        self._chunks = dict(resume or {})
        self._again = bool(resume)

    def on_batch(self, values: list[Chunk | Drop | Progress]) -> tuple[Iterable[Any], bool]:
        passed: list[Chunk | Progress] = []
        dropped = False
        for value in values:
            if isinstance(value, Drop):
                dropped = True
                chunks = self._chunks.pop(value.pane, ())
                if self._again:
                    # Whoever resumed may still wait for it.
                    passed += map(Chunk.decode, chunks)
                continue
            if isinstance(value, Chunk):
                self._chunks[value.pane] = (*self._chunks.get(value.pane, ()), value.encode())
            passed.append(value)
        return passed, StatefulBatchLogic.DISCARD if dropped and not self._chunks else StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        return datetime.now(UTC) if self._again else None

    def on_notify(self) -> tuple[Iterable[Any], bool]:
        self._again = False
        return [Chunk.decode(chunk) for chunks in self._chunks.values() for chunk in chunks], StatefulBatchLogic.RETAIN

    def snapshot(self) -> dict[int, tuple[bytes, ...]]:
        return dict(self._chunks)


def closed_panes_step(step_id: str, stream: KeyedStream[Chunk | Drop | Progress]) -> KeyedStream[Chunk | Progress]:
    """Carry the closed panes into a flow: every shard's key becomes those of its panes, and is itself again after."""

    def apart(items: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return [(key if isinstance(item, Progress) else pane_key(key, item.pane), item) for key, item in items]

    def together(items: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return [(key.partition("/")[0], item) for key, item in items]

    by_pane = op.flat_map_batch(f"{step_id}-apart", stream, apart)
    closed = op.stateful_batch(step_id, by_pane, ClosedPanes)
    return op.flat_map_batch(f"{step_id}-together", closed, together)
