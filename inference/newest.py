"""The newest lines of numbers: a ring that forgets the oldest."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray


class Newest:
    """At most ``size`` lines of ``columns`` numbers. Not thread-safe."""

    def __init__(self, size: int, columns: int = 1) -> None:
        self.size: Final = size
        self._lines = np.zeros((size, columns), dtype=np.float32)
        self._held = 0
        self._next = 0

    def __len__(self) -> int:
        return self._held

    @property
    def full(self) -> bool:
        """Whether the next line takes the place of the oldest."""
        return self._held == self.size

    def push(self, lines: NDArray[np.float32]) -> None:
        """Add lines ``[n, columns]``, or ``[n]`` where there is one column."""
        lines = lines.reshape(len(lines), self._lines.shape[1])[-self.size :]
        room = self.size - self._next
        self._lines[self._next : self._next + len(lines)] = lines[:room]
        self._lines[: max(0, len(lines) - room)] = lines[room:]
        self._next = (self._next + len(lines)) % self.size
        self._held = min(self.size, self._held + len(lines))

    def values(self) -> NDArray[np.float32]:
        """The lines held, in no order; a view that the next push changes."""
        return self._lines[: self._held]
