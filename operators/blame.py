"""Who crashed the job: from what was in hand at each crash to the one guilty record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from operators.isolate import Isolation, Span


class Verdict(msgspec.Struct, frozen=True):
    """What one crash taught: records newly found guilty, whether anything new is
    known at all, and whether it happened where an earlier one did."""

    guilty: tuple[Span, ...]
    learned: bool
    repeated: bool


class Blame:
    """Narrows crashes down to a record.

    A range that was in hand at ``crashes`` crashes is isolated: its records are then
    taken one at a time, so that the next crash has a single record in hand. A single
    record that was alone in the hand of a thread at ``crashes`` crashes is guilty.
    """

    def __init__(self, crashes: int, known: Isolation | None = None) -> None:
        self._crashes = crashes
        self._seen: list[tuple[Span, bool, int]] = []
        self._suspects: list[Span] = list(known.suspects if known else ())
        self._guilty: list[Span] = list(known.guilty if known else ())

    @property
    def isolation(self) -> Isolation:
        """What the next start must isolate and set aside."""
        return Isolation(tuple(self._suspects), tuple(self._guilty))

    def crashed(self, in_hand: Iterable[Sequence[Span]]) -> Verdict:
        """Note a crash; ``in_hand`` is what each thread was working on."""
        found: list[Span] = []
        before = len(self._suspects)
        repeated = False
        for span, alone in [(span, len(spans) == 1) for spans in in_hand for span in spans]:
            count = self._count(span, alone)
            repeated = repeated or count > 1
            if count < self._crashes:
                continue
            if not (span.single and alone):
                # Of records that were in one hand together only one may be to blame.
                if span not in self._suspects:
                    self._suspects.append(span)
            elif span not in self._guilty:
                found.append(span)
        self._guilty += found
        return Verdict(tuple(found), bool(found) or len(self._suspects) > before, repeated)

    def _count(self, span: Span, alone: bool) -> int:
        """Crashes with this range in hand; a single record counts only its own, alone or among others."""
        for position, (seen, was_alone, count) in enumerate(self._seen):
            if ((seen, was_alone) == (span, alone)) if span.single else seen.overlaps(span):
                self._seen[position] = (span, alone, count + 1)
                return count + 1
        self._seen.append((span, alone, 1))
        return 1


class Restarts:
    """How long to wait before the next restart, and when to give up.

    The wait doubles from ``first`` to ``longest`` seconds; a run that made progress
    starts the count again.
    """

    def __init__(self, limit: int, first: float, longest: float) -> None:
        self._limit = limit
        self._first = first
        self._longest = longest
        self._without_progress = 0
        self.total = 0

    def next_delay(self, *, progressed: bool) -> float | None:
        """Seconds to wait before the restart, or ``None`` to give up."""
        self._without_progress = 1 if progressed else self._without_progress + 1
        if self._without_progress > self._limit:
            return None
        self.total += 1
        return min(self._longest, self._first * 2.0 ** (self._without_progress - 1))
