"""The trial of a new champion: through its first window the one before reads a sample of the same texts.

A model that is to blame and a world that has changed look alike in one version's drift.
They differ on the same texts: a change of the world moves what both versions say.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final

from inference.canary import Sample
from inference.comparison import DRIFTS, Comparison, Fault, Figures, Met
from inference.drift import CONFIDENCE, shifts
from inference.loaded import Loaded
from inference.meeting import Meeting, compared
from inference.routing import Share
from inference.rows import Text

#: The old champion reads this share of the texts, or more where the sample would be smaller than the least.
_SHARE: Final = 0.25
_LEAST: Final = 500


class Trial:
    """``new`` took over from ``old``; the trial lasts for about ``rows`` texts, ``limit`` is the most it may drift."""

    def __init__(self, new: Loaded, old: Loaded, *, rows: int, limit: float) -> None:
        share = min(1.0, max(_SHARE, _LEAST / rows))
        self._texts = math.ceil(share * rows)
        self._sample = Sample(new.ref.version, share)
        self.new: Final = new
        self.old: Final = old
        self._limit = limit
        self.comparison: Final = Comparison(new.codings, old.codings, self._texts)
        #: Whether there is a verdict.
        self.over = False

    def part(self, texts: Sequence[Text], among: Sequence[int]) -> list[Share]:
        """The new champion's share, and the sample of it that the old one reads too."""
        sampled = self._sample.positions(texts, among)
        if not sampled:
            return [Share(self.new.reader, among)] if among else []
        meeting = Meeting(self.comparison, self.new.reader, sampled)
        return [
            compared(meeting, self.new.reader, among, shadow=False),
            compared(meeting, self.old.reader, sampled, shadow=True),
        ]

    def add(self, tasks: Collection[str], met: Met) -> Fault | None:
        """Take in what both versions said; says once why the new one is to blame, if it is.

        It is to blame where it fails on many more texts (:meth:`Comparison.add`), or
        where, once the sample is full, for the classes or the confidences of a task, the population
        stability index of all these holds:

        - what it said lies further than the limit from what the old one said of the same texts, and
        - what it said lies further from its reference than what the old one said lies from
          its own, by more than the limit.

        So neither a stream unlike any validation data, nor a better model that is only surer
        of itself, as its own reference knows, is taken for a fault. Without a reference of
        its own it is measured against the old one's answers. Confidences count only where
        both versions have a reference, for two sound models may differ in them.
        """
        if self.over:
            return None
        failing = self.comparison.add(tasks, met)
        self.over = failing is not None or self.comparison.full
        if failing is not None or not self.over:
            return failing
        told = ((task, self.comparison.figures(task)) for task in self.comparison.tasks)
        # A task that was seldom asked for, or seldom answered, says too little.
        faults = [self._drifted(task, found) for task, found in told if found and 2 * found.texts >= self._texts]
        return next(filter(None, faults), None)

    def _drifted(self, task: str, figures: Figures) -> Fault | None:
        own, before = self.new.references.get(task), self.old.references.get(task)
        between = shifts(figures.new, figures.old, figures.texts)
        new = shifts(figures.new, own, figures.texts) if own else between
        old = shifts(figures.old, before, figures.texts) if before else dict.fromkeys(between, 0.0)
        for of in between:
            if of == CONFIDENCE and not (own and before):
                continue
            if between[of] > self._limit and new[of] - old[of] > self._limit:
                return Fault(
                    DRIFTS,
                    f"{task}: on the same {figures.texts} texts the drift of its {of} is {new[of]:.3f}, that of the "
                    f"champion before {old[of]:.3f}, and {between[of]:.3f} lies between the two",
                )
        return None
