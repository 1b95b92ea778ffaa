"""Merge what the shards report: the top tags of every window, its corrections, and what begins to trend.

A window is emitted once every shard has reached its end, and again with a higher
revision when a correction has changed its top. One decision is taken per window end,
with all shards' candidates before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import bytewax.operators as op
import msgspec
from bytewax.operators import KeyedStream, StatefulBatchLogic

from groundswell import metrics
from groundswell.step_ids import SHARDS
from groundswell.trends import Candidate, TagCount, TrendEvent, Window
from operators.distinctive_words import Background, distinctive_words
from operators.shard_report import END, ShardReport, ShardWindow
from operators.trend_board import TrendBoard
from operators.trend_options import DetectionOptions, TrendOptions
from operators.watermarks import NEVER

#: The one key under which everything is merged; also the partition of the sink behind it.
MERGED = "00"
#: More corrections than a window gets between a snapshot and a crash.
_CORRECTIONS: Final = 100_000


class MergeState(NamedTuple):
    """What recovery keeps: windows that are not reached by all or may still be corrected, and the decisions."""

    generation: int
    windows: dict[int, dict[str, ShardWindow]]
    emitted: dict[int, Window]
    newest: int | None
    board: bytes
    background: bytes


class MergeWindows:
    """The windows of all shards. ``clock`` gives UTC: a job started without state is a new generation at that time.

    What is emitted after a resume has a higher revision than all that was said before it.
    """

    def __init__(self, options: TrendOptions, clock: Callable[[], datetime], resume: MergeState | None = None) -> None:
        self._options = options
        now = int(clock().timestamp() * 1000)
        self._generation = now if resume is None else resume.generation
        self._first_revision = 0 if resume is None else _revision_after(resume, now)
        self._reached: dict[str, int] = {}
        self._settled: dict[str, float] = {}
        self._windows: dict[int, dict[str, ShardWindow]] = {}
        self._emitted: dict[int, Window] = {}
        #: The end of the newest window that was emitted and was not empty.
        self._newest: int | None = None
        self._board: TrendBoard | None = None
        #: The trends that were active when trends were last looked for, until it is said that they are not followed.
        self._left_over: TrendBoard | None = None
        self._background = Background()
        if options.detection is not None:
            self._board = TrendBoard(self._generation, options.slide, options.detection)
        if resume is not None:
            self._windows = {end: dict(parts) for end, parts in resume.windows.items()}
            self._emitted = dict(resume.emitted)
            self._newest = resume.newest
            if self._board is not None and resume.board:
                self._board.restore(resume.board)
                self._background = Background.restored(resume.background)
            elif resume.board:
                self._left_over = TrendBoard(self._generation, options.slide, DetectionOptions())
                self._left_over.restore(resume.board)
        decided = list(self._emitted)
        if self._board is not None and self._board.end is not None:
            # In a silence, more was decided on than was emitted.
            decided.append(self._board.end)
        self._decided = max(decided, default=None)

    def state(self) -> MergeState:
        board = self._board or self._left_over
        return MergeState(
            self._generation,
            {end: dict(parts) for end, parts in self._windows.items()},
            dict(self._emitted),
            self._newest,
            board.state() if board is not None else b"",
            self._background.state() if self._board is not None else b"",
        )

    def take(self, reports: Sequence[ShardReport]) -> list[Window | TrendEvent]:
        """What these reports make known: windows in the order of their ends, each before the events decided in it."""
        corrected: set[int] = set()
        for report in reports:
            if report.reached is not None:
                self._reached[report.shard] = report.reached
                self._settled[report.shard] = report.settled
            for text in report.background:
                self._background.add(text)
            for window in report.windows:
                self._put(report.shard, window)
                corrected.add(window.end)
        if len(self._reached) < SHARDS:
            return []
        complete = min(self._reached.values())
        said: list[Window | TrendEvent] = []
        due = corrected | (self._windows.keys() - self._emitted.keys())
        for end in sorted(end for end in due if end <= complete):
            said += self._emit(end)
        said += self._fall_silent(complete)
        said += self._finish(complete)
        self._forget()
        return said

    def _put(self, shard: str, window: ShardWindow) -> None:
        parts = self._windows.setdefault(window.end, {})
        known = parts.get(shard)
        if known is not None and known.candidates:
            # Corrected before all others had reached it: what burst there is still to be decided on.
            window = window._replace(candidates=known.candidates)
        parts[shard] = window

    def _emit(self, end: int) -> list[Window | TrendEvent]:
        parts = self._windows[end]
        ranked = sorted((-count, tag) for part in parts.values() for tag, count in part.top)
        kept = ranked[: self._options.top] if self._options.top else ranked
        top = tuple(TagCount(tag, -count) for count, tag in kept)
        error = max((part.error for part in parts.values()), default=0)
        before = self._emitted.get(end)
        said: list[Window | TrendEvent] = []
        # What was empty all along need not be said, only what has become so.
        changed = bool(top or error) if before is None else (before.top, before.error) != (top, error)
        if changed:
            revision = self._first_revision if before is None else max(before.revision + 1, self._first_revision)
            window = Window(self._generation, end, revision, self._options.window, top, error)
            self._emitted[end] = window
            said.append(window)
            if top and (self._newest is None or end > self._newest):
                self._newest = end
                metrics.COUNT_ERROR.set(error)
        if self._decided is None or end > self._decided:
            said += self._decide(end, parts.values())
        if end in self._emitted:
            # What burst is decided on once: no need to keep the evidence for as long as the window may be corrected.
            self._windows[end] = {shard: part._replace(candidates=()) for shard, part in parts.items()}
        else:
            del self._windows[end]
        return said

    def _decide(self, end: int, parts: Iterable[ShardWindow]) -> list[TrendEvent]:
        self._decided = end
        if self._board is None:
            return []
        candidates = [candidate for part in parts for candidate in part.candidates]
        events = self._board.decide(end, candidates, self._describe)
        if not self._first_revision:
            return events
        return [msgspec.structs.replace(event, revision=self._first_revision) for event in events]

    def _describe(self, candidate: Candidate) -> tuple[tuple[str, float], ...]:
        return distinctive_words(candidate.evidence.samples, self._background) if candidate.evidence else ()

    def _fall_silent(self, complete: int) -> list[Window | TrendEvent]:
        """Say that no tag is left once the windows have become empty, and let the trends come to their end."""
        said: list[Window | TrendEvent] = []
        slide = self._options.slide
        if self._newest is not None and self._newest + slide <= complete and self._newest + slide not in self._windows:
            end = self._newest + slide
            if end not in self._emitted:
                revision = self._first_revision
                window = Window(self._generation, end, revision, self._options.window, ())
                self._emitted[end] = window
                said.append(window)
        while self._board is not None and self._board.active and self._decided is not None:
            if self._decided + slide > complete:
                break
            said += self._decide(self._decided + slide, ())
        return said

    def _finish(self, complete: int) -> list[TrendEvent]:
        """End what trended when trends were still looked for."""
        board, self._left_over = self._left_over, None
        if board is None or board.end is None:
            return []
        following = board.end + self._options.slide
        events = board.finish(following if complete == END else max(following, complete))
        return [msgspec.structs.replace(event, revision=self._first_revision) for event in events]

    def _forget(self) -> None:
        """Windows that will not change need not be known any more; the newest is kept as a mark."""
        settled = min(self._settled.values(), default=NEVER)
        last = max(self._emitted, default=None)
        for end in [end for end in self._emitted if end <= settled and end != last]:
            self._windows.pop(end, None)
            del self._emitted[end]
        metrics.WATERMARK.set(settled + self._options.lateness if settled != NEVER else 0)


def _revision_after(resume: MergeState, now: int) -> int:
    """A revision above all that was given before, also where the clock was set back meanwhile."""
    return max(now, max((window.revision for window in resume.emitted.values()), default=0) + _CORRECTIONS)


class _Logic(StatefulBatchLogic[ShardReport, Any, MergeState]):
    def __init__(self, merge: MergeWindows) -> None:
        self._merge = merge

    def on_batch(self, values: list[ShardReport]) -> tuple[Iterable[Any], bool]:
        return self._merge.take(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> MergeState:
        return self._merge.state()


def merge_windows_step(
    step_id: str, stream: KeyedStream[ShardReport], options: TrendOptions, clock: Callable[[], datetime]
) -> KeyedStream[Window | TrendEvent]:
    """Carry the merging into a flow: one key for all shards."""
    together = op.map(f"{step_id}-together", stream, lambda keyed: (MERGED, keyed[1]))
    return op.stateful_batch(step_id, together, lambda resume: _Logic(MergeWindows(options, clock, resume)))
