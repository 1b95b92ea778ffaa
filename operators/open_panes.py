"""Open panes: what the watermark has not passed, and what comes late but not too late.

::

    event time   ──┬──pane 6──┬──pane 7──┬──pane 8──┬──pane 9──▶
                   │ closed,  │ closed,  │  open    │  open
                   │ too late │ late ok  ▲ watermark
                              └─lateness─┘

A closed pane leaves as a :class:`~operators.panes.Chunk`; what comes late follows as
further chunks of it. Whether an occurrence is too late is decided once, by the pane and
the watermark at its arrival: it is then in no window, and counted as late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import bytewax.operators as op
import numpy as np
import numpy.typing as npt
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic

from groundswell import metrics
from operators.panes import Chunk, make_chunk, split_tags
from operators.tag_events import Hashes, Keys, TagEvents, by_pane
from operators.trend_options import TrendOptions
from operators.watermarks import NEVER, Watermarks

Partitions = Callable[[], Iterable[str]]


class Progress(NamedTuple):
    """What a shard's open panes say to its sliding counts, behind the chunks that it speaks of.

    ``chunks`` are the (pane, number) of every chunk since the last progress, ``stream`` the
    posts of the whole stream by closed pane. Windows are due up to ``due`` (seconds); what
    lies before ``settled`` will not be corrected any more. ``flushed`` says that the input
    has ended and ``due`` lies ahead of the watermark. ``events`` are the messages as they
    came, for what is collected of candidates; no chunk is missing that they led to.
    """

    chunks: tuple[tuple[int, int], ...]
    stream: dict[int, int]
    due: float
    settled: float
    flushed: bool
    events: tuple[TagEvents, ...]


class Drop(NamedTuple):
    """A closed pane is of no use any more."""

    pane: int


class _Pane:
    """Occurrences in order of arrival."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self._posts_of: list[Keys] = []
        self._authors: list[Hashes] = []

    def add(self, tags: list[str], posts_of: Keys, authors: Hashes) -> None:
        self.tags += tags
        self._posts_of.append(posts_of)
        self._authors.append(authors)

    def columns(self) -> tuple[Keys, Hashes]:
        if len(self._posts_of) > 1:
            self._posts_of = [np.concatenate(self._posts_of)]
            self._authors = [np.concatenate(self._authors)]
        return self._posts_of[0], self._authors[0]

    def state(self) -> tuple[str, bytes, bytes]:
        posts_of, authors = self.columns()
        return "\x00".join(self.tags), posts_of.tobytes(), authors.tobytes()

    @classmethod
    def restored(cls, tags: str, posts_of: bytes, authors: bytes) -> _Pane:
        pane = cls()
        pane.add(split_tags(tags), np.frombuffer(posts_of, np.uint64), np.frombuffer(authors, np.uint32))
        return pane


class OpenPanesState(NamedTuple):
    """What recovery keeps of a shard's open panes; plain values."""

    panes: dict[int, tuple[str, bytes, bytes]]
    stream: dict[int, int]
    watermark: tuple[dict[str, float], float]
    closed: int | None
    numbers: dict[int, int]
    shape: tuple[int, int, int, int]


class OpenPanes:
    """One shard's open panes. ``parts`` are all partitions that the job reads.

    Raises :class:`~groundswell.errors.StopJob` for a state that was kept with windows that are not these.
    """

    def __init__(self, options: TrendOptions, parts: Iterable[str], resume: OpenPanesState | None = None) -> None:
        self._options = options
        self._seconds = options.pane
        self._with_authors = options.detection is not None
        self._panes: dict[int, _Pane] = {}
        self._stream: dict[int, int] = {}
        #: Panes before this one have been closed; ``None`` until one has.
        self._closed: int | None = None
        #: Chunks that each closed pane has led to, as long as it is kept.
        self._numbers: dict[int, int] = {}
        #: The panes before this one are not kept any more.
        self._kept_from: int | None = None
        watermark = None
        if resume is not None:
            options.check(resume.shape)
            self._panes = {pane: _Pane.restored(*stored) for pane, stored in resume.panes.items()}
            self._stream = dict(resume.stream)
            self._closed = resume.closed
            self._numbers = dict(resume.numbers)
            watermark = resume.watermark
        self.watermarks = Watermarks(
            parts, options.disorder, advance_when_idle=options.advance_when_idle, resume=watermark
        )
        self._said: tuple[float, bool] | None = None

    def state(self) -> OpenPanesState:
        return OpenPanesState(
            {pane: held.state() for pane, held in self._panes.items()},
            dict(self._stream),
            self.watermarks.state(),
            self._closed,
            dict(self._numbers),
            self._options.shape,
        )

    def take(self, events: Sequence[TagEvents]) -> list[Chunk | Drop | Progress]:
        """What these messages lead to, a :class:`Progress` last if at all."""
        late: dict[int, _Pane] = {}
        for message in events:
            self._add(message, late)
        chunks: list[Chunk] = [self._chunk(pane, held) for pane, held in sorted(late.items())]
        flush = self.watermarks.ended
        closing = sorted(self._panes) if flush else sorted(pane for pane in self._panes if self._passed(pane))
        chunks += [self._chunk(pane, self._panes.pop(pane)) for pane in closing]
        drops = self._drops()
        due = self._due()
        last = max(self._numbers, default=None)
        if flush and last is not None:
            due = max(due, float((last + self._options.window_panes) * self._seconds))
        self._close(closing)
        detect = self._with_authors
        if not chunks and not drops and (due, flush) == self._said and not (detect and any(m.tags for m in events)):
            return []
        self._said = (due, flush)
        stream = {pane: self._stream.pop(pane) for pane in sorted(self._stream) if flush or self._passed(pane)}
        progress = Progress(
            tuple((chunk.pane, chunk.number) for chunk in chunks),
            stream,
            due,
            self._settled(),
            flush,
            tuple(events) if detect else (),
        )
        return [*chunks, *drops, progress]

    def _add(self, message: TagEvents, late: dict[int, _Pane]) -> None:
        for pane, posts in message.stream.items():
            if not self._passed(pane):
                self._stream[pane] = self._stream.get(pane, 0) + posts
        accepted = self._accepted(message)
        if accepted is not None:
            metrics.HASHTAGS_LATE.inc(int(np.count_nonzero(~accepted)))
        for pane, rows in by_pane(message.panes, accepted):
            if rows is None:
                self._put(pane, message.tags, message.posts_of, message.authors, late)
            else:
                tags = list(map(message.tags.__getitem__, rows.tolist()))
                self._put(pane, tags, message.posts_of[rows], message.authors[rows], late)

    def _put(self, pane: int, tags: list[str], posts_of: Keys, authors: Hashes, late: dict[int, _Pane]) -> None:
        closed = self._closed is not None and pane < self._closed
        into = late if closed else self._panes
        held = into.get(pane)
        if held is None:
            held = into[pane] = _Pane()
        held.add(tags, posts_of, authors)

    def _accepted(self, message: TagEvents) -> npt.NDArray[np.bool_] | None:
        """Which occurrences come in time; ``None`` when all do. Moves the watermark on."""
        before = self.watermarks.value
        ends = (message.panes + 1) * self._seconds + self._options.lateness
        # A partition that wakes up lets its own newest rule again, which may lie beyond what it brings now.
        reach = max((self.watermarks.newest(each.part, each.newest) for each in message.segments), default=NEVER)
        # A mark may let partitions rule that are far beyond what this message brings.
        marked = any(segment.mark is not None for segment in message.segments)
        doubtful = bool(len(ends)) and (marked or float(ends.min()) <= max(before, reach - self._options.disorder))
        accepted = np.ones(len(ends), dtype=bool) if doubtful else None
        for number, segment in enumerate(message.segments):
            if accepted is not None:
                mine = message.segment == number
                watermark = self.watermarks.before(segment.part, message.before[mine])
                accepted[mine] = watermark < ends[mine]
            if segment.mark is not None:
                self.watermarks.mark(segment.part, segment.mark)
            else:
                self.watermarks.observe(segment.part, segment.newest)
        return None if accepted is None or bool(accepted.all()) else accepted

    def _chunk(self, pane: int, held: _Pane) -> Chunk:
        number = self._numbers.get(pane, 0)
        self._numbers[pane] = number + 1
        posts_of, authors = held.columns()
        metrics.HASHTAGS_COUNTED.inc(len(posts_of))
        return make_chunk(pane, number, held.tags, posts_of, authors, with_authors=self._with_authors)

    def _passed(self, pane: int) -> bool:
        return (pane + 1) * self._seconds <= self.watermarks.value

    def _close(self, closing: list[int]) -> None:
        """The panes up to the watermark are closed, and those that left."""
        ends = [pane + 1 for pane in closing[-1:]]
        if self.watermarks.value != NEVER:
            ends.append(int(self.watermarks.value // self._seconds))
        if self._closed is not None:
            ends.append(self._closed)
        self._closed = max(ends, default=None)

    def _due(self) -> float:
        """The last window end that the watermark has passed."""
        slide = self._options.slide
        return self.watermarks.value // slide * slide if self.watermarks.value != NEVER else NEVER

    def _settled(self) -> float:
        return self.watermarks.value - self._options.lateness

    def _drops(self) -> list[Drop]:
        if self.watermarks.value == NEVER:
            return []
        first = int((self.watermarks.value - self._options.retained) // self._seconds)
        if self._kept_from is not None and first <= self._kept_from:
            return []
        self._kept_from = first
        gone = [pane for pane in self._numbers if pane < first]
        for pane in gone:
            del self._numbers[pane]
        return [Drop(pane) for pane in gone]


class _Logic(StatefulBatchLogic[TagEvents, Any, OpenPanesState]):
    def __init__(self, panes: OpenPanes) -> None:
        self._panes = panes

    def on_batch(self, values: list[TagEvents]) -> tuple[Iterable[Any], bool]:
        return self._panes.take(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> OpenPanesState:
        return self._panes.state()


def open_panes_step(
    step_id: str, stream: Stream[Any], options: TrendOptions, parts: Partitions
) -> KeyedStream[Chunk | Drop | Progress]:
    """Carry the open panes into a flow, a shard a key."""

    def build(resume: OpenPanesState | None) -> _Logic:
        return _Logic(OpenPanes(options, parts(), resume))

    return op.stateful_batch(step_id, stream, build)
