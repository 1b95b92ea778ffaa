"""Sliding counts: the totals of a window, kept by what enters and what leaves.

::

    pane      ─┬───┬───┬───┬───┬───┬───┬─▶
    window at      [═══════════]             total += the panes that enter (●)
    the next           [═══════════]         total -= the panes that leave (○)
                    ○           ●

A slide costs what changed, not the live tags times the panes. When a late post changes
a pane that has been counted, the window is moved back to where it did not hold the
pane, by the same steps reversed, and forward again: the windows on the way are emitted
once more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import bytewax.operators as op
import numpy as np
from bytewax.operators import KeyedStream, StatefulBatchLogic

from groundswell import metrics
from groundswell.trends import Candidate
from operators.kept_panes import KeptPane, KeptPanes
from operators.open_panes import Progress
from operators.panes import Chunk
from operators.shard_report import END, ShardReport, ShardWindow
from operators.tag_table import Ints, TagTable
from operators.top_tags import TopTags
from operators.trend_options import TrendOptions
from operators.trend_watch import TrendWatch
from operators.watermarks import NEVER


class SlidingState(NamedTuple):
    """What recovery keeps: where the window stands and of which chunks it is made, not the totals.

    ``arrived`` are chunks that came and wait for others: their pane may be dropped meanwhile.
    """

    position: int | None
    furthest: int | None
    chunks: tuple[tuple[int, int], ...]
    arrived: tuple[bytes, ...]
    pending: tuple[Progress, ...]
    watch: bytes


class SlidingCounts:
    """One shard's windows."""

    def __init__(
        self,
        options: TrendOptions,
        table: TagTable,
        watch: TrendWatch | None = None,
        resume: SlidingState | None = None,
    ) -> None:
        self._options = options
        self._seconds = options.pane
        self._size = options.window_panes
        self._slide = options.slide_panes
        self._recent = options.recent_panes
        self._table = table
        self._watch = watch
        kept = (table, options.horizon_panes, options.max_live_tags, options.max_live_tags // self._size)
        self._panes = KeptPanes(*kept, watch.make_room) if watch is not None else KeptPanes(*kept)
        self._top = TopTags(table, options.top)
        self._live = 0
        #: The end of the window that the totals stand for, in panes, and the furthest that it has been.
        self._position: int | None = None
        self._furthest: int | None = None
        self._mass = 0
        self._error = 0
        self._chunks: dict[int, int] = {}
        self._arrived: dict[tuple[int, int], Chunk] = {}
        self._pending: deque[Progress] = deque()
        self._reported: int | None = None
        self._awaited: SlidingState | None = None
        if resume is not None:
            self._awaited = resume
            self._pending.extend(resume.pending)
            for chunk in map(Chunk.decode, resume.arrived):
                self._arrived[chunk.pane, chunk.number] = chunk

    def state(self) -> SlidingState:
        """As recovery keeps it. The chunks themselves come by again after a resume."""
        pending = tuple(progress._replace(events=()) for progress in self._pending)
        arrived = tuple(chunk.encode() for chunk in self._arrived.values())
        if self._awaited is not None:
            return self._awaited._replace(arrived=arrived, pending=pending)
        chunks = tuple((pane, number) for pane, count in self._chunks.items() for number in range(count))
        watch = self._watch.state() if self._watch is not None else b""
        return SlidingState(self._position, self._furthest, chunks, arrived, pending, watch)

    def take(self, values: Sequence[Chunk | Progress], shard: str) -> list[ShardReport]:
        """What these lead to. Chunks may come in any order, before or after the progress that speaks of them."""
        for value in values:
            if isinstance(value, Chunk):
                if value.number >= self._chunks.get(value.pane, 0):
                    self._arrived[value.pane, value.number] = value
            else:
                self._pending.append(value)
        if self._awaited is not None and not self._restore(self._awaited):
            return []
        reports = []
        while self._pending and all(chunk in self._arrived for chunk in self._pending[0].chunks):
            report = self._advance(self._pending.popleft(), shard)
            if report is not None:
                reports.append(report)
        return reports

    def _restore(self, awaited: SlidingState) -> bool:
        """Build the totals anew once all chunks have come by; whether they have."""
        if not all(chunk in self._arrived for chunk in awaited.chunks):
            return False
        for pane, number in sorted(awaited.chunks):
            self._panes.add(self._arrived.pop((pane, number)))
            self._chunks[pane] = number + 1
        self._position, self._furthest = awaited.position, awaited.furthest
        if self._position is not None:
            for number in range(self._position - self._size, self._position):
                self._enter(number)
            for number in range(self._position - self._recent, self._position):
                self._change_recent(number, 1)
        self._awaited = None
        return True

    def _advance(self, progress: Progress, shard: str) -> ShardReport | None:
        watch = self._watch
        if watch is not None:
            watch.arrived(progress.events)
            watch.stream(progress.stream)
        self._include([self._arrived.pop(chunk) for chunk in progress.chunks])
        target = None if progress.due == NEVER else int(progress.due) // self._options.slide * self._slide
        windows: list[ShardWindow] = []
        if target is not None and self._position is not None:
            if target < self._position and progress.chunks and not progress.flushed:
                # What an ended input showed ahead of the watermark is to be reached anew.
                self._back_to(target)
            windows = self._forward(target)
        if target is not None and watch is not None:
            watch.passed(target)
        self._forget(progress)
        metrics.LIVE_TAGS.inc(len(self._table) - self._live)
        self._live = len(self._table)
        background = watch.take_background() if watch is not None else ()
        reached = END if progress.flushed else None if target is None else target * self._seconds
        if not windows and not background and reached == self._reported:
            return None
        self._reported = reached
        return ShardReport(shard, reached, progress.settled, tuple(windows), background)

    def _include(self, chunks: list[Chunk]) -> None:
        """Take chunks in; for one that the window has gone past, move it back first."""
        for chunk in sorted(chunks, key=lambda each: (each.pane, each.number)):
            if self._position is None:
                self._position = chunk.pane // self._slide * self._slide
                self._furthest = self._position
            if chunk.pane < self._position:
                self._back_to(chunk.pane // self._slide * self._slide)
            self._panes.add(chunk)
            self._chunks[chunk.pane] = chunk.number + 1

    def _back_to(self, position: int) -> None:
        """Move the window back."""
        while self._position is not None and self._position > position:
            end = self._position
            for number in range(end - self._slide, end):
                self._leave(number)
                self._change_recent(number, -1)
            for number in range(end - self._slide - self._size, end - self._size):
                self._enter(number)
            for number in range(end - self._slide - self._recent, end - self._recent):
                self._change_recent(number, 1)
            self._position = end - self._slide

    def _forward(self, target: int) -> list[ShardWindow]:
        """Move the window on to ``target``, and say what it holds at every stop."""
        windows: list[ShardWindow] = []
        while self._position is not None and self._position < target:
            again = self._furthest is not None and self._position < self._furthest
            if not self._mass and not again:
                # Pass over windows in which there is nothing.
                following = self._panes.first_from(self._position)
                stop = target if following is None else min(target, following // self._slide * self._slide)
                if stop > self._position:
                    self._position = self._furthest = stop
                    continue
            quiet = self._nothing_moves()
            if quiet:
                self._position += self._slide
            else:
                self._step()
            if not again:
                self._furthest = self._position
            if self._mass or again:
                windows.append(self._window(first_time=not again, quiet=quiet))
        return windows

    def _nothing_moves(self) -> bool:
        """Whether no pane comes or goes with the next slide: most are like that where posts are rare."""
        start, panes = self._position or 0, self._panes
        return not any(
            number in panes or number - self._size in panes or number - self._recent in panes
            for number in range(start, start + self._slide)
        )

    def _step(self) -> None:
        """One slide forward."""
        start = self._position or 0
        end = start + self._slide
        first_time = self._furthest is None or start >= self._furthest
        for number in range(start, end):
            self._enter(number)
            self._change_recent(number, 1)
        for number in range(start - self._recent, end - self._recent):
            self._change_recent(number, -1)
        for number in range(start - self._size, end - self._size):
            pane = self._leave(number)
            if first_time and pane is not None and self._watch is not None:
                self._watch.left(pane, end * self._seconds)
        self._position = end

    def _enter(self, number: int) -> None:
        pane = self._panes.get(number)
        if pane is not None:
            self._table.total[pane.tags] += pane.counts
            self._mass += len(pane.pairs)
            self._error += pane.error
            self._top.raised(pane.tags)
            if self._watch is not None:
                self._watch.add_window(pane, 1)

    def _leave(self, number: int) -> KeptPane | None:
        pane = self._panes.get(number)
        if pane is not None:
            self._table.total[pane.tags] -= pane.counts
            self._mass -= len(pane.pairs)
            self._error -= pane.error
            self._top.lowered()
            if self._watch is not None:
                self._watch.add_window(pane, -1)
        return pane

    def _change_recent(self, number: int, sign: int) -> None:
        pane = self._panes.get(number) if self._watch is not None else None
        if pane is not None and self._watch is not None:
            self._watch.add_recent(pane, sign)

    def _window(self, *, first_time: bool, quiet: bool) -> ShardWindow:
        position = self._position or 0
        end = position * self._seconds
        candidates: tuple[Candidate, ...] = ()
        if first_time and self._watch is not None and (self._watch.watching or not quiet):
            entered = [self._panes.get(number) for number in range(position - self._slide, position)]
            candidates = self._watch.candidates(end, _tags_of(entered), self._panes)
        return ShardWindow(end, self._top.best(), self._error, candidates)

    def _forget(self, progress: Progress) -> None:
        """Drop the panes that no window, correction or duplicate needs any more, and the tags only they held."""
        watermark = progress.settled + self._options.lateness
        if watermark == NEVER:
            return
        first = int((watermark - self._options.retained) // self._seconds)
        gone = self._panes.before(first)
        for number in gone:
            del self._chunks[number]
            tags = self._panes.drop(number)
            self._table.forget(tags[self._table.history[tags] == 0].tolist())


_NO_TAGS = np.empty(0, np.int64)


def _tags_of(panes: Sequence[KeptPane | None]) -> Ints:
    parts = [pane.tags for pane in panes if pane is not None]
    if not parts:
        return _NO_TAGS
    return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))


class _Logic(StatefulBatchLogic[Any, Any, SlidingState]):
    def __init__(self, options: TrendOptions, resume: SlidingState | None) -> None:
        self._counts = make_sliding_counts(options, resume)

    def on_batch(self, values: list[tuple[str, Chunk | Progress]]) -> tuple[Iterable[Any], bool]:
        shard = values[0][0]
        return self._counts.take([value for _, value in values], shard), StatefulBatchLogic.RETAIN

    def snapshot(self) -> SlidingState:
        return self._counts.state()


def make_sliding_counts(options: TrendOptions, resume: SlidingState | None = None) -> SlidingCounts:
    """The windows of one shard, with their watch where trends are looked for."""
    table = TagTable()
    watch = None
    if options.detection is not None:
        watch = TrendWatch(options, table, resume.watch if resume is not None else b"")
    return SlidingCounts(options, table, watch, resume)


def sliding_counts_step(
    step_id: str, stream: KeyedStream[Chunk | Progress], options: TrendOptions
) -> KeyedStream[ShardReport]:
    """Carry the sliding counts into a flow, a shard a key."""
    named = op.map(f"{step_id}-named", stream, lambda item: (item[0], item))
    return op.stateful_batch(step_id, named, lambda resume: _Logic(options, resume))
