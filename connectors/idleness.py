"""When a partition idles: the wall time for which it is known to have had nothing new.

A partition that says nothing may be empty, or its broker may be gone with posts waiting
behind it. Only emptiness that the input itself confirmed counts::

    records    ●──●
    confirmed        +    +    +   (trouble)    +    +    +    +    +
    idle for         0    2    4       0        0    2    4    6    8    from the first confirmation on
    said, at a time-out of 3 s     4   0                  4    6    8
"""

from __future__ import annotations

from typing import NamedTuple

#: Seconds between two marks of one partition, at least.
REPEAT_SECONDS = 1.0
#: Seconds between two confirmations up to which nobody doubts what was between them. Of a
#: longer silence (a worker that was held up by a store) this much counts and no more.
LONGEST_GAP = 10.0


class Emptiness(NamedTuple):
    """A partition had been read up to its end at ``until``.

    From ``since`` on its input has answered every question, so that what was confirmed
    before and after that moment belongs together. Both are moments of a monotonic clock, and
    ``until`` is when the newest question was asked, not when its answer came.
    """

    since: float
    until: float


class IdleClock:
    """Says when a partition idles, and for how long it has; ``timeout`` in seconds.

    After every look at the partition either :meth:`records` or :meth:`look` is called.

    >>> clock = IdleClock(timeout=3.0)
    >>> clock.records(now=9.0)
    >>> [clock.look(Emptiness(0.0, moment), now=moment) for moment in (10.0, 12.0, 14.0, 14.5, 16.0)]
    [None, None, 4.0, None, 6.0]
    >>> clock.look(None, now=17.0), clock.look(None, now=18.0)
    (0.0, None)
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        #: Confirmations up to here are older than the newest record.
        self._floor = float("-inf")
        self._confirmed: float | None = None
        self._idle_for = 0.0
        #: What was said last, and when.
        self._said: tuple[float, float] | None = None

    def records(self, now: float) -> None:
        """The partition had something new."""
        self._floor = now
        self._confirmed = self._said = None

    def look(self, emptiness: Emptiness | None, now: float) -> float | None:
        """The seconds that are to be said now, if any, after a look that brought no records.

        ``emptiness`` is what is known, ``None`` when nothing is. Zero takes back an
        idleness that was said, because it is no longer known.
        """
        if self._confirmed is not None and (emptiness is None or emptiness.since > self._confirmed):
            self._confirmed = None
            if self._said is not None:
                self._said = None
                return 0.0
        if emptiness is None or emptiness.until <= self._floor:
            return None
        if self._confirmed is None:
            self._confirmed, self._idle_for = emptiness.until, 0.0
            return None
        self._idle_for += min(max(0.0, emptiness.until - self._confirmed), LONGEST_GAP)
        self._confirmed = max(self._confirmed, emptiness.until)
        said, at = self._said or (0.0, float("-inf"))
        if self._idle_for < self._timeout or self._idle_for <= said or now - at < REPEAT_SECONDS:
            return None
        self._said = self._idle_for, now
        return self._idle_for
