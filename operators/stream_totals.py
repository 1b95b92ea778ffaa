"""How many posts the whole stream had in the recent past, in the window and before it."""

from __future__ import annotations

from typing import NamedTuple


class StreamTotalsState(NamedTuple):
    """What recovery keeps."""

    panes: dict[int, int]
    position: int | None
    history: float


class StreamTotals:
    """Posts of a stream by pane, summed up to a position that only moves forward.

    ``size`` and ``recent`` are panes; what leaves the window is history, which halves every
    ``half_life`` panes.
    """

    def __init__(self, size: int, recent: int, half_life: float, resume: StreamTotalsState | None = None) -> None:
        self._size = size
        self._recent_size = recent
        self._half_life = half_life
        self._panes: dict[int, int] = {}
        self._position: int | None = None
        self.recent = 0
        self.window = 0
        self.history = 0.0
        if resume is not None:
            self._panes = dict(resume.panes)
            self._position = resume.position
            self.history = resume.history
            self._sum_up()

    def state(self) -> StreamTotalsState:
        return StreamTotalsState(dict(self._panes), self._position, self.history)

    def add(self, posts: dict[int, int]) -> None:
        """Posts of panes that closed; of one that the position has passed they are not counted."""
        for pane, count in posts.items():
            if self._position is None or pane >= self._position:
                self._panes[pane] = self._panes.get(pane, 0) + count

    def move(self, position: int) -> None:
        """Sum up the panes before ``position``; one that was passed already changes nothing.

        The sums are those of the panes alone: by how many moves one came here makes no difference,
        so that a shard that passes over windows without a tag of its own says the same as others.
        """
        if self._position is not None and position <= self._position:
            return
        moved = self._size if self._position is None else position - self._position
        self._position = position
        if moved >= self._size:
            self.history *= self._faded(moved)
            last = position - self._size - 1
            for pane in [pane for pane in self._panes if pane <= last]:
                self.history += self._panes.pop(pane) * self._faded(last - pane)
            self._sum_up()
            return
        for pane in range(position - moved, position):
            posts = self._panes.get(pane, 0)
            self.recent += posts
            self.window += posts
            self.recent -= self._panes.get(pane - self._recent_size, 0)
            left = self._panes.pop(pane - self._size, 0)
            self.window -= left
            self.history = self.history * self._faded(1) + left

    def _faded(self, panes: int) -> float:
        """What is left of one post of history after so many panes more."""
        return float(2.0 ** (-panes / self._half_life))

    def _sum_up(self) -> None:
        position = self._position or 0
        before = {pane: posts for pane, posts in self._panes.items() if position - self._size <= pane < position}
        self.window = sum(before.values())
        self.recent = sum(posts for pane, posts in before.items() if pane >= position - self._recent_size)
