"""The live tags of a shard, numbered, with one column of numbers for each thing that is kept of a tag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_FIRST_CAPACITY = 1_024


class _Numbers(dict[str, int]):
    def __init__(self, table: TagTable) -> None:
        self._table = table

    def __missing__(self, tag: str) -> int:
        number = self[tag] = self._table.allot(tag)
        return number


class TagTable:
    """Columns, each indexed by a tag's number; numbers of forgotten tags are used again.

    ``total`` are posts in the window, ``panes`` the kept panes that hold the tag. ``recent``
    and ``window`` count author-panes (an author once for each pane) in the recent past
    and in the whole window; ``history`` is what left the window, decayed up to the moment
    ``history_at``.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers = _Numbers(self)
        self._free: list[int] = []
        self.total = np.zeros(_FIRST_CAPACITY, np.int64)
        self.panes = np.zeros(_FIRST_CAPACITY, np.int32)
        self.hot = np.zeros(_FIRST_CAPACITY, np.bool_)
        self.recent = np.zeros(_FIRST_CAPACITY, np.float64)
        self.window = np.zeros(_FIRST_CAPACITY, np.float64)
        self.history = np.zeros(_FIRST_CAPACITY, np.float64)
        self.history_at = np.zeros(_FIRST_CAPACITY, np.float64)

    def __len__(self) -> int:
        """Tags held."""
        return len(self._numbers)

    def __contains__(self, tag: str) -> bool:
        return tag in self._numbers

    def numbers(self, tags: Sequence[str]) -> Ints:
        """The numbers of tags; those not met before get one."""
        return np.fromiter(map(self._numbers.__getitem__, tags), np.int64, len(tags))

    def get(self, tag: str) -> int | None:
        """The number of a tag if it has one."""
        return self._numbers.get(tag)

    def allot(self, tag: str) -> int:
        """A number for a new tag, its columns all zero."""
        if self._free:
            number = self._free.pop()
            self.names[number] = tag
            return number
        number = len(self.names)
        self.names.append(tag)
        if number == len(self.total):
            self._grow()
        return number

    def forget(self, numbers: Iterable[int]) -> None:
        """Free the numbers of tags of which nothing is left; their columns must be zero."""
        for number in numbers:
            del self._numbers[self.names[number]]
            self.names[number] = ""
            self._free.append(number)

    def _grow(self) -> None:
        for column in ("total", "panes", "hot", "recent", "window", "history", "history_at"):
            old = getattr(self, column)
            grown = np.zeros(2 * len(old), old.dtype)
            grown[: len(old)] = old
            setattr(self, column, grown)
