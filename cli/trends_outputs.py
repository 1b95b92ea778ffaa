"""What a replay leaves behind: lines of windows and events, a picture, and a summary."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from cli.printing import moment
from cli.trends_history import DEPTH, TagHistory
from connectors.post_files import RecordFile
from dataflows.trends_replay import ReplayTotals
from groundswell.errors import StopJob
from groundswell.trends import EventKind, TagCount, TrendEvent, Window
from operators.trend_options import TrendOptions

#: The name of standard output.
STDOUT = "-"


class WindowLine(msgspec.Struct, frozen=True, gc=False):
    """A line of ``--out``."""

    window_end: datetime
    revision: int
    top: tuple[TagCount, ...]


class EventLine(msgspec.Struct, frozen=True, gc=False):
    """A line of ``--events``."""

    event: EventKind
    tag: str
    at: datetime
    score: float
    count: int
    authors: int


class Lines(Protocol):
    """Takes lines."""

    def write(self, record: bytes) -> None: ...


class TrendsOutputs:
    """Takes what a replay gives.

    The files are opened on ``stack`` and appear when it is left; ``events`` and ``plot`` are
    where they are wanted. Raises :class:`OSError` for what cannot be written.
    """

    def __init__(
        self, stack: contextlib.ExitStack, options: TrendOptions, out: str, events: str | None, plot: Path | None
    ) -> None:
        self._options = options
        self._encode = msgspec.json.Encoder().encode
        self._windows = stack.enter_context(_lines(out))
        self._events = stack.enter_context(_lines(events)) if events else None
        self._plot = plot
        self._history = TagHistory(options.slide) if plot else None
        self._ends: tuple[int, int] | None = None
        self._emitted = self._corrected = self._error = 0
        self._kinds: dict[str, int] = {"began": 0, "changed": 0, "ended": 0}

    @property
    def counted(self) -> TrendOptions:
        """What to count: a picture looks deeper than the lines."""
        top = self._options.top
        return replace(self._options, top=max(top, DEPTH)) if self._history and top else self._options

    def take(self, emission: Window | TrendEvent) -> None:
        """Write a line; a window without any tag has none."""
        if self._history:
            self._history.add(emission)
        if isinstance(emission, TrendEvent):
            self._kinds[emission.event] += 1
            if self._events:
                self._events.write(self._encode(_event_line(emission)))
        elif emission.top:
            first, last = self._ends or (emission.end, emission.end)
            self._ends = min(first, emission.end), max(last, emission.end)
            self._emitted += 1
            self._corrected += emission.revision > 0
            self._error = max(self._error, emission.error)
            self._windows.write(self._encode(_window_line(emission, self._options.top)))

    def draw(self) -> None:
        """Draw the picture, if one was asked for; raises ``StopJob`` where there is nothing to see."""
        if self._history and self._plot:
            if self._ends is None:
                raise StopJob("no post carries a hashtag: there is nothing to draw")
            # Imported here: only who draws needs its library.
            from cli.trends_picture import draw

            draw(self._history, self._plot, window=self._options.window, slide=self._options.slide)

    def describe(self, totals: ReplayTotals, seconds: float) -> str:
        """What became of the records, what was written, and how long it took."""
        rate = totals.records / seconds if seconds else 0.0
        read = (
            f"{totals.records:,} records: {totals.posts:,} posts, {sum(totals.dead.values()):,} refused, "
            f"{sum(totals.skipped.values()):,} skipped, {totals.deletions:,} deletions in {seconds:.1f} s "
            f"({rate:,.0f}/s)"
        )
        lines = [read]
        for name, counts in (("refused", totals.dead), ("skipped", totals.skipped)):
            lines += [f"  {name} {cause}: {count:,}" for cause, count in counts.most_common()]
        written = f"{self._emitted:,} windows"
        if self._ends:
            first, last = (moment(datetime.fromtimestamp(end, UTC)) for end in self._ends)
            written += f" that end from {first} to {last} UTC"
        if self._corrected:
            written += f", {self._corrected:,} of them corrections"
        kinds = self._kinds
        lines.append(f"{written}; {kinds['began']:,} trends began, {kinds['ended']:,} ended")
        if totals.late:
            lines.append(f"{totals.late:,} hashtags came too late for their windows and are not counted")
        if self._error:
            lines.append(f"counts may be up to {self._error:,} too low: there were more tags than trends.max_live_tags")
        return "\n".join(lines)


def _window_line(window: Window, top: int) -> WindowLine:
    tags = window.top[:top] if top else window.top
    return WindowLine(datetime.fromtimestamp(window.end, UTC), window.revision, tags)


def _event_line(event: TrendEvent) -> EventLine:
    trend = event.trend
    return EventLine(event.event, trend.tag, event.at, trend.score, trend.count, trend.authors)


@contextlib.contextmanager
def _lines(target: str) -> Iterator[Lines]:
    """Where lines go: a file, which appears when it is whole, or standard output."""
    if target == STDOUT:
        yield _StandardOutput()
    else:
        with RecordFile(Path(target)) as file:
            yield file


class _StandardOutput:
    def write(self, record: bytes) -> None:
        sys.stdout.buffer.write(record + b"\n")
