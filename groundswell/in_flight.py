"""What was begun and is not finished, by the time at which it was begun."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime


class InFlight:
    """Knows the time before which nothing is in flight; thread-safe.

    >>> from datetime import UTC, datetime
    >>> noon, later = datetime(2027, 1, 1, 12, tzinfo=UTC), datetime(2027, 1, 1, 13, tzinfo=UTC)
    >>> flying = InFlight(lambda: later)
    >>> flying.begin(noon)
    >>> flying.clear_before() == noon
    True
    >>> flying.finish([noon])
    >>> flying.clear_before() == later
    True
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: Counter[datetime] = Counter()

    def begin(self, at: datetime) -> None:
        """Something was begun at ``at``."""
        with self._lock:
            self._begun[at] += 1

    def finish(self, begun: list[datetime]) -> None:
        """These are finished, one for each time."""
        with self._lock:
            self._begun.subtract(begun)
            self._begun = +self._begun

    def clear_before(self) -> datetime:
        """Everything that was begun before this time is finished."""
        # The clock first: what begins after this line begins later.
        now = self._clock()
        with self._lock:
            return min(self._begun, default=now)
