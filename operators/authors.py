"""Distinct authors of a tag over a window, from mergeable sketches of its panes.

Each pane keeps the :data:`SKETCH_SIZE` smallest author hashes of a tag (bottom-k, or
KMV: Bar-Yossef et al. 2002; Beyer et al. 2007). The smallest hashes of a union are among
the smallest of its parts, so panes merge without loss: up to the sketch's size the
number is exact (but for equal 31-bit hashes), beyond it an estimate with a relative
standard error of about ``1 / sqrt(k - 2)``, 6 % here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

SKETCH_SIZE: Final = 256

Hashes = npt.NDArray[np.uint32]


def distinct(sketches: Iterable[Hashes]) -> tuple[int, int]:
    """Distinct authors in the union of sketches, and how many of them are posts without an author.

    The lowest bit of a hash says that the post has no author.

    >>> distinct([np.array([2, 8], np.uint32), np.array([5, 8], np.uint32)])
    (3, 1)
    """
    parts = list(sketches)
    if not parts:
        return 0, 0
    union = np.unique(np.concatenate(parts))
    if len(union) < SKETCH_SIZE:
        return len(union), int(np.count_nonzero(union & np.uint32(1)))
    kept = union[:SKETCH_SIZE]
    estimate = round((SKETCH_SIZE - 1) * 2.0**32 / (float(kept[-1]) + 1.0))
    without = int(np.count_nonzero(kept & np.uint32(1)))
    return max(estimate, SKETCH_SIZE), round(estimate * without / SKETCH_SIZE)


class AuthorWindow:
    """The sketches of one tag's panes, oldest first."""

    def __init__(self) -> None:
        self._panes: deque[tuple[int, Hashes]] = deque()

    def add(self, pane: int, sketch: Hashes) -> None:
        """A pane later than those before it."""
        self._panes.append((pane, sketch))

    def expire(self, first: int) -> None:
        """Forget the panes before ``first``."""
        while self._panes and self._panes[0][0] < first:
            self._panes.popleft()

    def count(self) -> tuple[int, int]:
        """As :func:`distinct`, over the panes that are left."""
        return distinct(sketch for _, sketch in self._panes)
