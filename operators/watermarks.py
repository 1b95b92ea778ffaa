"""How far event time has come: the minimum over the partitions that have something to say.

::

    partition 0   ──●──●───●────────●──▶            newest 12:10, nothing more: idle after a while
    partition 1   ●───●──●──●                       newest 12:03
    watermark     ...........12:03 - disorder       12:10 is of no use while partition 1 may bring 12:04
    partition 1 is idle too: the watermark moves on by the wall time that passes
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from groundswell.records import Mark

NEVER = float("-inf")

Floats = npt.NDArray[np.float64]
#: Newest event time of each partition, and the watermark; times in seconds since 1970.
WatermarkState = tuple[dict[str, float], float]


class Watermarks:
    """The watermark of one shard; it never goes back.

    ``parts`` are all partitions that the job is configured to read: one that was not
    heard of yet holds the watermark at minus infinity, until it says that it is idle.
    ``disorder`` is by how many seconds a post may be older than the newest before it.
    """

    def __init__(
        self,
        parts: Iterable[str],
        disorder: float,
        *,
        advance_when_idle: bool,
        resume: WatermarkState | None = None,
    ) -> None:
        self._disorder = disorder
        self._advance = advance_when_idle
        stored, self.value = resume or ({}, NEVER)
        # What was idle or ended before a restart may have plenty to read after it.
        self._newest = {part: stored.get(part, NEVER) for part in parts}
        self._idle: dict[str, float] = {}
        self._ended: set[str] = set()
        self._idle_base: float | None = None

    @property
    def ended(self) -> bool:
        """Whether every partition has been read whole."""
        return bool(self._newest) and len(self._ended) == len(self._newest)

    def state(self) -> WatermarkState:
        return dict(self._newest), self.value

    def newest(self, part: str, newest: float) -> float:
        """The newest event time of a partition that brings this one."""
        return max(newest, self._newest.get(part, NEVER))

    def before(self, part: str, newest: Floats) -> Floats:
        """The watermark before each of some posts of a partition, given the newest time among those before it."""
        awake = part not in self._idle and part not in self._ended
        mine = np.maximum(newest, self._newest.get(part, NEVER)) - self._disorder
        others = [time for other, time in self._newest.items() if other != part and self._active(other)]
        if others:
            mine = np.minimum(mine, min(others) - self._disorder)
        if not awake:
            mine[newest == NEVER] = NEVER  # its first post comes while the others still rule
        return np.maximum(mine, self.value)

    def observe(self, part: str, newest: float) -> None:
        """A partition brought posts, the newest at ``newest``."""
        self._idle.pop(part, None)
        self._ended.discard(part)
        self._idle_base = None
        self._newest[part] = self.newest(part, newest)
        self._update()

    def mark(self, part: str, mark: Mark) -> None:
        """A partition said that it has nothing, or, with a mark of zero, that this is no longer known."""
        self._newest.setdefault(part, NEVER)
        self._idle.pop(part, None)
        self._ended.discard(part)
        if mark.ended:
            self._ended.add(part)
        elif mark.idle_for > 0:
            self._idle[part] = mark.idle_for
        self._update()

    def _active(self, part: str) -> bool:
        return part not in self._idle and part not in self._ended

    def _update(self) -> None:
        active = [time for part, time in self._newest.items() if self._active(part)]
        if active:
            self._idle_base = None
            self.value = max(self.value, min(active) - self._disorder)
        elif self._idle and self._advance:
            if self._idle_base is None:
                self._idle_base = self.value
            self.value = max(self.value, self._idle_base + min(self._idle.values()))
