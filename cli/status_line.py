"""What the job is doing right now: a live line on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from groundswell.reports import Status, Totals

_LOG = logging.getLogger("groundswell.run")
_LOG_SECONDS = 10.0

Show = Callable[[list[Status]], None]


class Rate:
    """Records a second over the last few reports."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._points: list[tuple[float, int]] = []

    def update(self, read: int) -> float:
        """Add the count so far; returns the present rate."""
        now = self._clock()
        if self._points and read < self._points[-1][1]:
            self._points.clear()  # a restarted process counts from zero
        self._points = [point for point in self._points if now - point[0] <= 5.0]
        self._points.append((now, read))
        (begin, before), (end, after) = self._points[0], self._points[-1]
        return (after - before) / (end - begin) if end > begin else 0.0


def describe(statuses: list[Status], rate: float) -> str:
    """One line: rate, documents, lag, dead letters, documents that were scored again and what the job waits for."""
    totals = Totals()
    waits: dict[str, str] = {}
    for status in statuses:
        totals = totals.plus(status.totals)
        waits |= status.waits
    parts = [
        f"{rate:,.0f}/s",
        f"{totals.documents:,} documents",
        f"lag {sum(status.lag for status in statuses):,}",
        f"{sum(totals.dead.values()):,} dead",
    ]
    if totals.duplicates:
        parts.append(f"{totals.duplicates:,} duplicates")
    if totals.scores:
        parts.append(f"{totals.scores:,} scored again")
    parts += [f"waits for {dependency}: {reason}" for dependency, reason in waits.items()]
    return " · ".join(parts)


@contextlib.contextmanager
def status_line(*, until_end: bool) -> Iterator[Show]:
    """Yield a function that shows the statuses of all processes."""
    if sys.stderr.isatty():
        with _progress(until_end=until_end) as show:
            yield show
    else:
        yield _logging()


def _logging() -> Show:
    rate = Rate()
    last = time.monotonic()

    def show(statuses: list[Status]) -> None:
        nonlocal last
        if not statuses:
            return
        now = rate.update(sum(status.totals.read for status in statuses))
        if time.monotonic() - last >= _LOG_SECONDS:
            last = time.monotonic()
            _LOG.info("%s", describe(statuses, now))

    return show


@contextlib.contextmanager
def _progress(*, until_end: bool) -> Iterator[Show]:
    columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
    if until_end:
        columns[1:1] = [BarColumn(), TextColumn("{task.percentage:>3.0f} %")]
        columns.append(TimeRemainingColumn())
    rate = Rate()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def show(statuses: list[Status]) -> None:
            if not statuses:
                return
            done = sum(status.done for status in statuses)
            left = sum(status.left for status in statuses)
            read = sum(status.totals.read for status in statuses)
            total = done + left if until_end and left >= 0 and done + left else None
            progress.update(task, completed=done, total=total, description=describe(statuses, rate.update(read)))

        yield show
