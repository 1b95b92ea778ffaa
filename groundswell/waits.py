"""What the job waits for right now: named dependencies and the reason for each.

A job that waits for a dependency it can name is alive; one that stands still
without such a name is not (health reads :meth:`Waits.current`).
"""

from __future__ import annotations

import threading

from groundswell import metrics


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

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[str, dict[str, str]] = {}

    def begin(self, dependency: str, reason: str, holder: str = "") -> None:
        """Say that ``holder`` waits for ``dependency``; a later reason replaces an earlier one."""
        with self._lock:
            self._reasons.setdefault(dependency, {})[holder] = reason
            metrics.DEPENDENCY_UP.labels(dependency).set(0)

    def end(self, dependency: str, holder: str = "") -> None:
        """Say that ``dependency`` has answered ``holder``; harmless when no wait had begun."""
        with self._lock:
            holders = self._reasons.get(dependency, {})
            holders.pop(holder, None)
            if not holders:
                self._reasons.pop(dependency, None)
                metrics.DEPENDENCY_UP.labels(dependency).set(1)

    def current(self) -> dict[str, str]:
        """The newest reason for each dependency that is waited for."""
        with self._lock:
            return {name: next(reversed(holders.values())) for name, holders in self._reasons.items()}
