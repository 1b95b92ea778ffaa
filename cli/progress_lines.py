"""Progress where nobody looks at a bar: a line on standard error every half minute, as in a log file."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cli.spans import span

#: Seconds between two lines.
EVERY: Final = 30.0


class Pace:
    """How far something is, and how long it still takes at the pace that it has; ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = (clock(), 0)
        self._now = (0, 0, "")

    def show(self, done: int, total: int, note: str = "") -> None:
        """``done`` of ``total`` is through. A count that begins high goes on from before; one that falls is new."""
        before, of, _ = self._now
        if of == 0 or done < before or total != of:
            self._began = (self._clock(), done)
        self._now = (done, total, note)

    def line(self, unit: str) -> str:
        """What there is to say now."""
        (began, first), (done, total, note) = self._began, self._now
        if not total:
            return note
        rate = (done - first) / max(self._clock() - began, 1e-9)
        left = f", {span((total - done) / rate)} left" if rate > 0 else ""
        return f"{done:,} of {total:,} {unit}".rstrip() + left + (f", {note}" if note else "")


@contextmanager
def lines(said: Callable[[], str], every: float | None = None) -> Iterator[None]:
    """Print what ``said`` gives, where it is anything, every ``every`` seconds (:data:`EVERY`) until the end."""
    over = threading.Event()
    pause = EVERY if every is None else every

    def run() -> None:
        while not over.wait(pause):
            if line := said():
                print(line, file=sys.stderr, flush=True)

    thread = threading.Thread(target=run, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
