"""What the job waits for right now: named dependencies and the reason for each.

A job that waits for a dependency it can name is alive; one that stands still
without such a name is not (:mod:`groundswell.health` reads it from here).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from groundswell import metrics


class _Wait(NamedTuple):
    reason: str
    blocking: bool


class Waits:
    """Thread-safe registry of the dependencies that do not answer.

    Several parts of a process may wait for the same dependency (two partitions of
    one broker); each names itself as ``holder``, and the dependency counts as up
    again when the last of them has ended its wait. ``DEPENDENCY_UP`` follows.

    >>> waits = Waits()
    >>> waits.begin("kafka", "connection refused")
    >>> waits.current()
    {'kafka': 'connection refused'}
    >>> waits.end("kafka")
    >>> waits.current()
    {}
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._waits: dict[str, dict[str, _Wait]] = {}
        self._blocked_until: float | None = None

    def begin(self, dependency: str, reason: str, holder: str = "", *, blocking: bool = True) -> None:
        """Say that ``holder`` waits for ``dependency``; a later reason replaces an earlier one.

        ``blocking`` is false for a part beside the flow, such as a report of progress:
        its wait is shown, but it explains no stall.
        """
        with self._lock:
            self._waits.setdefault(dependency, {})[holder] = _Wait(reason, blocking)
            metrics.DEPENDENCY_UP.labels(dependency).set(0)

    def end(self, dependency: str, holder: str = "") -> None:
        """Say that ``dependency`` has answered ``holder``; harmless when no wait had begun."""
        with self._lock:
            holders = self._waits.get(dependency, {})
            ended = holders.pop(holder, None)
            if ended is not None and ended.blocking:
                self._blocked_until = self._clock()
            if not holders:
                self._waits.pop(dependency, None)
                metrics.DEPENDENCY_UP.labels(dependency).set(1)

    def current(self) -> dict[str, str]:
        """The newest reason for each dependency that is waited for."""
        with self._lock:
            return {name: next(reversed(holders.values())).reason for name, holders in self._waits.items()}

    def blocking(self) -> dict[str, str]:
        """Of these, the dependencies that hold up the flow."""
        with self._lock:
            found: dict[str, str] = {}
            for name, holders in self._waits.items():
                reasons = [wait.reason for wait in holders.values() if wait.blocking]
                if reasons:
                    found[name] = reasons[-1]
            return found

    def blocked_until(self) -> float | None:
        """When the last blocking wait ended, by the clock; ``None`` before the first."""
        with self._lock:
            return self._blocked_until
