"""Waiting out a dependency: exponential backoff with jitter, for as long as the job may wait."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from groundswell import metrics
from groundswell.errors import Draining, Unavailable
from groundswell.waits import Waits

#: How often ``keep_waiting`` is asked, in seconds.
_SLICE = 0.1
_HOLDERS = count()

T = TypeVar("T")


class Patience:
    """One caller's patience with one dependency; not thread-safe.

    ``base`` and ``cap`` are the first and the longest pause in seconds. The wait is
    named in ``waits`` from the second failure in a row, so that a hiccup does not
    make the dependency look down.

    >>> patience = Patience("kafka", Waits(), lambda: True, base=0.0)
    >>> patience.pause("no answer"), patience.pause("no answer")
    (None, None)
    >>> patience.attempts
    2
    >>> patience.succeeded()
    >>> patience.attempts
    0
    """

    def __init__(
        self, dependency: str, waits: Waits, keep_waiting: Callable[[], bool], *, base: float = 0.1, cap: float = 3.0
    ) -> None:
        self.attempts = 0
        self._dependency = dependency
        self._waits = waits
        self._keep_waiting = keep_waiting
        self._base = base
        self._cap = cap
        self._holder = f"patience-{next(_HOLDERS)}"
        self._never = threading.Event()

    def pause(self, reason: str) -> None:
        """Wait before the next try. Raises :class:`~groundswell.errors.Draining` when the job may wait no longer."""
        self.attempts += 1
        metrics.STORE_RETRIES.labels(self._dependency).inc()
        if self.attempts > 1:
            self._waits.begin(self._dependency, reason, self._holder)
        left = min(self._cap, self._base * 2.0 ** min(self.attempts - 1, 30)) * random.uniform(0.5, 1.0)
        while True:
            if not self._keep_waiting():
                self.succeeded()
                raise Draining(f"gave up waiting for {self._dependency}: {reason}")
            if left <= 0:
                return
            self._never.wait(min(left, _SLICE))
            left -= _SLICE

    def name(self, reason: str) -> None:
        """Name the wait without pausing: the answer is awaited elsewhere."""
        self._waits.begin(self._dependency, reason, self._holder)

    def succeeded(self) -> None:
        """The dependency answered (or is no longer asked)."""
        self.attempts = 0
        self._waits.end(self._dependency, self._holder)


def insist(ask: Callable[[], T], waits: Waits, keep_waiting: Callable[[], bool]) -> T:
    """What ``ask`` gives once it raises no ``Unavailable``; raises ``Draining`` when the wait may last no longer."""
    patience: Patience | None = None
    while True:
        try:
            answer = ask()
        except Unavailable as error:
            patience = patience or Patience(error.dependency, waits, keep_waiting)
            patience.pause(error.reason)
        else:
            if patience is not None:
                patience.succeeded()
            return answer
