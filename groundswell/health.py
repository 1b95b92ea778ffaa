"""Alive and ready: whether a restart would help, and whether the job could take work now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from groundswell.readiness import Check, Readiness
from groundswell.waits import Waits


class Health:
    """What a job process says of itself; thread-safe.

    ::

        start ──── grace ────┬─ epoch ─ epoch ─ ··· ─ epoch ── stall_after ──┐
                 (alive)     │          (alive)                 (alive)      │ (dead, unless
                             └─ none at all: dead                            │  it waits or drains)

    Times are seconds by ``clock``. ``ready_when`` names the checks behind
    :meth:`ready`; it may be filled after this object was made.
    """

    def __init__(
        self,
        waits: Waits,
        stall_after: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        startup_grace: float = 300.0,
        ready_when: Mapping[str, Check] | None = None,
        check_deadline: float = 2.0,
    ) -> None:
        self._waits = waits
        self._stall_after = stall_after
        self._startup_grace = max(startup_grace, stall_after)
        self._clock = clock
        self._started = clock()
        self._epoch: float | None = None
        self._progress: float | None = None
        self._draining = False
        self._idle: Callable[[], bool] = lambda: False
        self._readiness = Readiness({} if ready_when is None else ready_when, deadline=check_deadline, clock=clock)

    def epoch_closed(self) -> None:
        """An epoch was closed: the surest sign of life."""
        self._epoch = self._progress = self._clock()

    def working(self) -> None:
        """A step finished a piece of work inside an epoch that is not closed yet.

        A slow model on a full epoch is no stall.
        """
        self._progress = self._clock()

    def idle_when(self, idle: Callable[[], bool]) -> None:
        """How to tell that no part of the input is this process's: it then sees no epoch, and lives all the same."""
        self._idle = idle

    def draining(self) -> None:
        """The job was told to stop: from now on it is alive, and no longer ready."""
        self._draining = True

    def epoch_age(self) -> float:
        """Seconds since the last epoch was closed, or since the start before the first; 0 for an idle process."""
        if self._epoch is None and self._idle():
            return 0.0
        return self._clock() - (self._started if self._epoch is None else self._epoch)

    def alive(self) -> tuple[bool, str]:
        """Whether the process lives, and the reason; only a stall that nothing explains is dead."""
        if self._draining:
            return True, "draining"
        waits = self._waits.blocking()
        if waits:
            return True, "waiting for " + "; ".join(f"{name}: {reason}" for name, reason in waits.items())
        if self._progress is None and self._idle():
            return True, "idle: no partition of the input is this process's"
        now = self._clock()
        limit, since = self._stall_after, self._progress
        what = "no epoch was closed and no batch finished"
        if since is None:
            limit, since = self._startup_grace, self._started
            what = "no first epoch since the start"
        # A wait that has only just ended explains the time until its end.
        blocked_until = self._waits.blocked_until()
        quiet = now - (since if blocked_until is None else max(since, blocked_until))
        if quiet > limit:
            return False, f"stalled: {what} for {quiet:.0f} s, and no dependency is waited for"
        if self._progress is None:
            return True, "starting"
        return True, f"last progress {max(0.0, now - since):.1f} s ago"

    def ready(self) -> tuple[bool, dict[str, str]]:
        """Whether the process could take work now, and otherwise what is wrong, by name."""
        if self._draining:
            return False, {"job": "draining"}
        troubles = self._readiness.troubles() | self._waits.current()
        alive, reason = self.alive()
        if not alive:
            troubles["job"] = reason
        return not troubles, troubles


class AllHealthy:
    """Several flows of one process: alive when all of them are, ready when all of them are."""

    def __init__(self, flows: Sequence[Health]) -> None:
        self._flows = flows

    def epoch_age(self) -> float:
        """Of the flow that is the furthest behind."""
        return max(flow.epoch_age() for flow in self._flows)

    def alive(self) -> tuple[bool, str]:
        """The first flow that is not alive says why; else the first one speaks for all."""
        answers = [flow.alive() for flow in self._flows]
        return next((answer for answer in answers if not answer[0]), answers[0])

    def ready(self) -> tuple[bool, dict[str, str]]:
        """Everything that is wrong with any of them."""
        troubles: dict[str, str] = {}
        for flow in self._flows:
            troubles |= flow.ready()[1]
        return not troubles, troubles
