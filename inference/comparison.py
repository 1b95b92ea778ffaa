"""Two versions of a model on the very same texts, compared while they run."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundswell.records import Analysis
from inference.drift import Coding
from inference.manifest import Reference
from inference.newest import Newest
from inference.rows import CANCELLED, RowError

#: Columns of what is kept of a text: both codes, whether the labels agree, and the shift.
_NEW, _OLD, _AGREE, _SHIFT = range(4)

#: One version fails more than the other when the excess is beyond so many standard deviations of chance ...
_DEVIATIONS: Final = 4.0
#: ... and beyond this share of the texts.
_EXCESS: Final = 0.01


#: Causes of a :class:`Fault`.
FAILS: Final = "fails"
DRIFTS: Final = "drifts"


class Fault(NamedTuple):
    """Why a version must not go on: a short constant, and what was seen."""

    cause: str
    reason: str


class Met(NamedTuple):
    """Two versions' answers to the same texts, in the same order."""

    new: Sequence[Analysis | RowError]
    old: Sequence[Analysis | RowError]


class Figures(NamedTuple):
    """What two versions said of the same ``texts``.

    ``agreement`` is the share on which the best labels agree; ``shift`` the mean of the new
    version's probability of the old one's label, less the old one's own. ``new`` and
    ``old`` are what each said, to be measured by drift.
    """

    texts: int
    agreement: float
    shift: float
    new: Reference
    old: Reference


class Comparison:
    """The newest ``rows`` texts that two versions read; ``new`` and ``old`` are their codings by task.

    Not thread-safe.
    """

    def __init__(self, new: Mapping[str, Coding], old: Mapping[str, Coding], rows: int) -> None:
        self._new = new
        self._old = old
        self._pairs = {task: Newest(rows, columns=4) for task in sorted(new.keys() & old.keys())}
        self._failures = Newest(rows, columns=2)

    @property
    def tasks(self) -> list[str]:
        """The tasks that are compared."""
        return list(self._pairs)

    def add(self, tasks: Collection[str], met: Met) -> Fault | None:
        """Take in both answers to the same texts; what was cancelled is left out.

        Says why the new version must not go on, where it fails on many more texts than the
        old one. Of the newest texts, b failed under the new version alone and c under the
        old one alone. By chance b − c has at most the standard deviation √(b + c) (McNemar,
        1947); it is too much beyond four of these and beyond 1 % of the texts: 17 of the
        first 17, or 21 of 2,000 where the old version fails on none.
        """
        both = [pair for pair in zip(met.new, met.old, strict=True) if not any(map(_cancelled, pair))]
        if not both:
            return None
        failed = np.array([[type(answer) is RowError for answer in pair] for pair in both])
        self._failures.push(failed.astype(np.float32))
        told = [(a, b) for a, b in both if isinstance(a, Analysis) and isinstance(b, Analysis)]
        if told:
            for task in self._pairs.keys() & set(tasks):
                self._pairs[task].push(self._lines(task, told))
        return self._failing() if failed[:, 0].any() else None

    @property
    def full(self) -> bool:
        """Whether both versions have read ``rows`` texts."""
        return self._failures.full

    def figures(self, task: str) -> Figures | None:
        """What the newest texts show of a task, or ``None`` where no text has both answers."""
        pairs = self._pairs[task]
        if not len(pairs):
            return None
        lines = pairs.values()
        agreement, shift = lines[:, (_AGREE, _SHIFT)].mean(axis=0, dtype=np.float64).tolist()
        return Figures(
            len(pairs),
            agreement,
            shift,
            self._new[task].distribution(lines[:, _NEW]),
            self._old[task].distribution(lines[:, _OLD]),
        )

    def _failing(self) -> Fault | None:
        failed = self._failures.values() > 0
        new = int((failed[:, 0] & ~failed[:, 1]).sum())
        old = int((failed[:, 1] & ~failed[:, 0]).sum())
        if new - old <= max(_DEVIATIONS * math.sqrt(new + old), _EXCESS * len(failed)):
            return None
        seen = f"of the last {len(failed)} texts that both versions read, {new} failed with it alone, {old} without it"
        return Fault(FAILS, seen)

    def _lines(self, task: str, told: Sequence[tuple[Analysis, Analysis]]) -> NDArray[np.float32]:
        lines = np.empty((len(told), 4), dtype=np.float32)
        lines[:, _NEW] = self._new[task].codes([new for new, _ in told])
        lines[:, _OLD] = self._old[task].codes([old for _, old in told])
        for line, (new, old) in zip(lines, told, strict=True):
            before, now = old.scores[task], new.scores[task]
            line[_AGREE] = now.label == before.label
            line[_SHIFT] = now.scores.get(before.label, 0.0) - before.score
        return lines


def _cancelled(answer: Analysis | RowError) -> bool:
    return isinstance(answer, RowError) and answer.cause == CANCELLED
