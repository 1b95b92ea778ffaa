"""When backfill gives way to the live rows of other engines, and what this engine tells them of its own."""

from __future__ import annotations

from typing import Final

from inference.limits import Lane
from inference.live_latency import LiveLatency

#: Seconds between two looks at the claims of other engines while one of them holds backfill up.
CLAIM_POLL: Final = 0.005
#: Seconds that a claim holds unless it is renewed or taken back: longer than a reasonable batch.
CLAIM: Final = 2.0
#: Longest time that a claim outlasts the last live row, in seconds.
HOLD: Final = 0.25
#: Weight of the newest wait in what live rows waited of late.
_NEWEST: Final = 0.2


class LiveSignal:
    """An engine's side of :class:`~inference.live_latency.LiveLatency`; without one it neither speaks nor yields.

    The engine claims the device while live rows wait or run, and afterwards for as long as
    they lately waited: a stream of single posts that suffers keeps the backfill of others
    out of its gaps, one that does not lets it in. Backfill yields to a claim, but never for
    longer than leaves it ``share`` of the time. Not thread-safe; times are of one clock.
    """

    def __init__(self, file: LiveLatency | None, share: float) -> None:
        self._file = file
        self._share = share
        self._claimed = float("-inf")
        self._wait = 0.0
        self._began = 0.0
        #: When backfill may run in spite of all claims.
        self._latest = float("-inf")

    def arrived(self, now: float) -> None:
        """Live rows were queued."""
        # Half of a claim is left for long submits, which would renew it with every piece.
        if self._claimed < now + CLAIM / 2:
            self._claim(now + CLAIM)

    def dispatched(self, lane: Lane, now: float, wait: float) -> None:
        """A batch begins, whose oldest row waited so many seconds."""
        self._began = now
        if lane is Lane.LIVE:
            self._wait += _NEWEST * (wait - self._wait)
            self._claim(now + CLAIM)

    def ended(self, lane: Lane, now: float, *, live_waits: bool) -> None:
        """The batch is through; ``live_waits`` says whether live rows wait now."""
        if lane is Lane.BACKFILL:
            self._latest = now + (now - self._began) * (1 - self._share) / self._share
        elif not live_waits:
            self._claim(now + min(self._wait, HOLD))

    def holds_backfill(self, now: float) -> bool:
        """Whether backfill yields now to another engine's live rows."""
        return self._file is not None and now < self._latest and bool(self._file.others())

    def close(self) -> None:
        """Take back what was claimed."""
        if self._file is not None:
            self._file.close()

    def _claim(self, until: float) -> None:
        if self._file is not None:
            self._claimed = until
            self._file.claim(until, self._wait)
