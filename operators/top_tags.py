"""The most frequent tags of a shard, without looking at all of them at every slide.

Tags at or above a floor are "hot". The floor lies where a few times as many tags are
hot as are asked for; totals rise and fall, tags become hot when they pass the floor, and
only when fewer than asked for are left above it are all totals looked at again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from operators.tag_table import Ints, TagTable

_SPARE = 4


class TopTags:
    """The ``top`` tags by ``table.total``; ``top`` 0 means all that have any."""

    def __init__(self, table: TagTable, top: int) -> None:
        self._table = table
        self._top = top
        self._floor = 1
        self._hot: list[npt.NDArray[np.int64]] = []
        self._best: tuple[tuple[str, int], ...] | None = None

    def raised(self, tags: Ints) -> None:
        """The totals of these distinct tags have gone up."""
        self._best = None
        if not self._top:
            return
        table = self._table
        new = tags[(table.total[tags] >= self._floor) & ~table.hot[tags]]
        if len(new):
            table.hot[new] = True
            self._hot.append(new)

    def lowered(self) -> None:
        """Some totals have gone down."""
        self._best = None

    def best(self) -> tuple[tuple[str, int], ...]:
        """Tags and totals, the highest first, equal ones in code point order."""
        if self._best is None:
            self._best = tuple(self._ranked())
        return self._best

    def _ranked(self) -> list[tuple[str, int]]:
        table = self._table
        if not self._top:
            chosen = np.flatnonzero(table.total)
        else:
            hot = self._compacted()
            totals = table.total[hot]
            if int(np.count_nonzero(totals >= self._floor)) < self._top and self._floor > 1:
                hot = self._refloor(np.flatnonzero(table.total))
                totals = table.total[hot]
            elif len(hot) > 4 * _SPARE * self._top + 64:
                hot = self._refloor(hot)
                totals = table.total[hot]
            chosen = hot[totals > 0]
            totals = table.total[chosen]
            if len(chosen) > self._top:
                least = np.partition(totals, -self._top)[-self._top]
                chosen = chosen[totals >= least]
        names = table.names
        ranked = sorted(
            (-total, names[tag]) for tag, total in zip(chosen.tolist(), table.total[chosen].tolist(), strict=True)
        )
        return [(name, -total) for total, name in (ranked[: self._top] if self._top else ranked)]

    def _compacted(self) -> Ints:
        if len(self._hot) != 1:
            self._hot = [np.concatenate(self._hot) if self._hot else np.empty(0, np.int64)]
        return self._hot[0]

    def _refloor(self, among: Ints) -> Ints:
        """Put the floor where a few times ``top`` of these tags are above it."""
        table = self._table
        table.hot[self._compacted()] = False
        totals = table.total[among]
        wanted = _SPARE * self._top
        self._floor = int(np.partition(totals, -wanted)[-wanted]) if len(among) > wanted else 1
        self._floor = max(self._floor, 1)
        hot = among[totals >= self._floor]
        table.hot[hot] = True
        self._hot = [hot]
        return hot
