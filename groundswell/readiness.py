"""Whether the job could take work now: every check, side by side, each with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

#: Returns ``None``, or what is wrong in a few words.
Check = Callable[[], str | None]


class Readiness:
    """Runs named checks and remembers the answer for ``hold`` seconds.

    However often it is asked, and however long a check hangs, each check has at most
    one thread. Checks are looked up at every run, so the mapping may still grow.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        deadline: float = 2.0,
        hold: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = checks
        self._deadline = deadline
        self._hold = hold
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[str, _Run] = {}
        self._answer: dict[str, str] = {}
        self._answered: float | None = None

    def troubles(self) -> dict[str, str]:
        """What is wrong, by check; empty when all is well. Blocks for the deadline at most."""
        with self._lock:
            if self._answered is None or self._clock() - self._answered >= self._hold:
                self._answer = self._ask()
                self._answered = self._clock()
            return dict(self._answer)

    def _ask(self) -> dict[str, str]:
        checks = dict(self._checks)
        for name, check in checks.items():
            if name not in self._running:
                self._running[name] = _Run(name, check)
        end = time.monotonic() + self._deadline
        troubles = {}
        for name in checks:
            run = self._running[name]
            if run.wait(max(0.0, end - time.monotonic())):
                del self._running[name]
                if run.trouble is not None:
                    troubles[name] = run.trouble
            else:
                troubles[name] = f"no answer within {self._deadline:g} s"
        return troubles


class _Run:
    """One check on its own thread."""

    def __init__(self, name: str, check: Check) -> None:
        self.trouble: str | None = None
        self._check = check
        self._done = threading.Event()
        threading.Thread(target=self._run, name=f"ready-{name}", daemon=True).start()

    def wait(self, timeout: float) -> bool:
        return self._done.wait(timeout)

    def _run(self) -> None:
        try:
            self.trouble = self._check()
        except Exception as error:  # noqa: BLE001 - the boundary: a check that fails is itself the trouble
            self.trouble = f"{type(error).__name__}: {error}"
        finally:
            self._done.set()
