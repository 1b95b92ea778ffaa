"""Looks for bursts in one shard while its window moves, and collects evidence of the tags that burst.

Only tags that something happened to are scored at a slide, and only those that score
are watched: their authors are counted over the whole window, and their posts collected.
The posts of the last moments are at hand for a tag that is watched from now on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from groundswell.trends import Candidate
from operators.authors import distinct
from operators.bursts import decayed, trend_scores
from operators.evidence import EvidenceStore
from operators.kept_panes import KeptPane, KeptPanes
from operators.panes import split_tags
from operators.recent_posts import Occurrences, RecentPosts
from operators.stream_totals import StreamTotals, StreamTotalsState
from operators.tag_events import Hashes, TagEvents
from operators.tag_table import Ints, TagTable
from operators.trend_options import TrendOptions

Floats = npt.NDArray[np.float64]

#: Author-panes in the recent past below which a tag is not looked at.
_LEAST_RECENT: Final = 3
#: A history of less than this is forgotten when the tag has been away for half a window.
_LEAST_HISTORY: Final = 2.0
#: Slides between two sweeps of histories that have faded; by the clock of the windows, so that a restart changes none.
_SWEEP: Final = 64


class _Watched:
    """A tag under watch: since when it does not burst, and its author sketches by pane."""

    __slots__ = ("bursting_at", "sketches")

    def __init__(self, bursting_at: int) -> None:
        self.bursting_at = bursting_at
        self.sketches: dict[int, tuple[KeptPane, Hashes]] = {}


class _State(NamedTuple):
    watched: dict[str, int]
    stream: StreamTotalsState
    tags: str
    history: bytes
    history_at: bytes
    evidence: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_State).decode


class TrendWatch:
    """Bursts and evidence of one shard. Raises ``ValueError`` for options without detection."""

    def __init__(self, options: TrendOptions, table: TagTable, resume: bytes = b"") -> None:
        if options.detection is None:
            raise ValueError("without detection there is nothing to watch for")
        self._detection = options.detection
        self._table = table
        self._seconds = options.pane
        self._size = options.window_panes
        self._recent = options.recent_panes
        self._watched: dict[str, _Watched] = {}
        self._block = max(1.0, options.window / 6)
        self._evidence = EvidenceStore(options.detection.samples, options.detection.max_samples, self._block)
        self._posts = RecentPosts()
        self._background: list[str] = []
        self._stream = self._stream_totals(None)
        self._slide = options.slide_panes
        self._history_state: tuple[str, bytes, bytes] | None = None
        if resume:
            self._resume(_decode(resume))

    @property
    def watching(self) -> bool:
        """Whether any tag is watched: one whose score falls while nothing happens."""
        return bool(self._watched)

    def arrived(self, events: Sequence[TagEvents]) -> None:
        """Messages as they came; their posts may be evidence."""
        for message in events:
            self._background += message.background
            self._posts.arrive(message)
        self._collect(self._posts.beyond_room())

    def stream(self, posts: dict[int, int]) -> None:
        """Posts of the whole stream in panes that have closed."""
        self._stream.add(posts)

    def passed(self, position: int) -> None:
        """The windows that end before or at this pane are behind, whether or not there was a tag in them."""
        self._stream.move(position)

    def make_room(self, tags: int) -> None:
        """Forget so many tags of which nothing but a history is left, the faintest first, or all: counts matter more.

        An eighth of them at least, since all tags are looked at.
        """
        table = self._table
        unheld = np.flatnonzero((table.history > 0.0) & (table.panes == 0))
        if not len(unheld):
            return
        strength = self._history(unheld, int(table.history_at[unheld].max()))
        faintest = unheld[np.argsort(strength, kind="stable")[: max(tags, len(unheld) // 8)]]
        table.history[faintest] = 0.0
        table.forget(faintest.tolist())
        self._history_state = None

    def add_recent(self, pane: KeptPane, sign: int) -> None:
        """A pane comes into the recent past (1) or leaves it (-1)."""
        self._table.recent[pane.tags] += sign * pane.authors

    def add_window(self, pane: KeptPane, sign: int) -> None:
        """A pane comes into the window (1) or leaves it (-1)."""
        self._table.window[pane.tags] += sign * pane.authors

    def left(self, pane: KeptPane, end: int) -> None:
        """A pane has left the window for good, at this window end: it is history."""
        table, tags = self._table, pane.tags
        table.history[tags] = self._history(tags, end) + pane.authors
        table.history_at[tags] = end
        self._history_state = None

    def candidates(self, end: int, entered: Ints, panes: KeptPanes) -> tuple[Candidate, ...]:
        """The tags that burst in the window that ends at ``end``; ``entered`` are those of its newest panes."""
        position = end // self._seconds
        self._sweep(end)
        self._stream.move(position)
        self._collect(self._posts.come(position))
        if not len(entered) and not self._watched:
            return ()
        found = self._bursting(end, entered, panes)
        if self._watched:
            patience = max(self._detection.hold, self._detection.recent)
            for tag in [tag for tag, watched in self._watched.items() if watched.bursting_at + patience < end]:
                del self._watched[tag]
                self._evidence.forget(tag)
            self._evidence.expire(end - self._size * self._seconds)
        return tuple(each for each in found if each.count >= self._detection.min_count)

    def take_background(self) -> tuple[str, ...]:
        """Texts of the stream since the last call."""
        taken, self._background = tuple(self._background), []
        return taken

    def state(self) -> bytes:
        """As recovery keeps it; cheap where little has changed."""
        if self._history_state is None:
            tags = np.flatnonzero(self._table.history)
            names = "\x00".join([self._table.names[tag] for tag in tags.tolist()])
            self._history_state = (
                names,
                self._table.history[tags].tobytes(),
                self._table.history_at[tags].tobytes(),
            )
        watched = {tag: watched.bursting_at for tag, watched in self._watched.items()}
        return _encode(
            _State(
                watched,
                self._stream.state(),
                *self._history_state,
                self._evidence.state(),
            )
        )

    def _resume(self, state: _State) -> None:
        self._watched = {tag: _Watched(at) for tag, at in state.watched.items()}
        self._stream = self._stream_totals(state.stream)
        tags = self._table.numbers(split_tags(state.tags))
        self._table.history[tags] = np.frombuffer(state.history, np.float64)
        self._table.history_at[tags] = np.frombuffer(state.history_at, np.float64)
        self._evidence = EvidenceStore.restored(
            state.evidence, self._detection.samples, self._detection.max_samples, self._block
        )

    def _stream_totals(self, state: StreamTotalsState | None) -> StreamTotals:
        return StreamTotals(self._size, self._recent, self._detection.half_life / self._seconds, state)

    def _bursting(self, end: int, entered: Ints, panes: KeptPanes) -> list[Candidate]:
        """The tags whose score is high, of those that came now and those that are watched."""
        table, stream, detection = self._table, self._stream, self._detection
        tags = entered[table.recent[entered] >= _LEAST_RECENT]
        # In a long tail, something is always a little up: what is not watched must be half way to a trend.
        least: Floats | float = max(detection.stop_score, detection.start_score / 2)
        if self._watched:
            numbers = [number for tag in self._watched if (number := table.get(tag)) is not None]
            known = np.array(sorted(numbers), dtype=np.int64)
            if len(tags):
                tags = np.union1d(tags, known)
                least = np.where(np.isin(tags, known), detection.stop_score, least)
            else:
                tags, least = known, detection.stop_score
        if not len(tags):
            return []
        scores = trend_scores(
            table.recent[tags],
            table.window[tags],
            self._history(tags, end),
            stream.recent,
            stream.window,
            stream.history,
            detection.tolerated_growth,
        )
        high = scores >= least
        return [
            self._candidate(number, score, end, panes)
            for number, score in zip(tags[high].tolist(), scores[high].tolist(), strict=True)
        ]

    def _candidate(self, number: int, score: float, end: int, panes: KeptPanes) -> Candidate:
        tag = self._table.names[number]
        watched = self._watched.get(tag)
        if watched is None:
            watched = self._watched[tag] = _Watched(end)
            for key, post in self._posts.of(tag):
                self._evidence.add(tag, key, post.created_at.timestamp(), post)
        watched.bursting_at = end
        # Sums of the same numbers in another order differ in their last digits.
        score = round(score, 6)
        count = int(self._table.total[number])
        if count < self._detection.min_count:
            return Candidate(tag, score, count, 0)
        authors, unattributed = distinct(self._sketches(watched, number, end, panes))
        evidence = self._evidence.evidence(tag) if score >= self._detection.start_score else None
        return Candidate(tag, score, count, authors, unattributed, evidence)

    def _sketches(self, watched: _Watched, number: int, end: int, panes: KeptPanes) -> list[Hashes]:
        """The author sketches of a tag in every pane of the window."""
        position = end // self._seconds
        kept: dict[int, tuple[KeptPane, Hashes]] = {}
        for place in range(position - self._size, position):
            pane = panes.get(place)
            if pane is None:
                continue
            known = watched.sketches.get(place)
            if known is None or known[0] is not pane:
                known = pane, pane.sketch[pane.sketch_tag == number]
            kept[place] = known
        watched.sketches = kept
        return [sketch for _, sketch in kept.values() if len(sketch)]

    def _collect(self, came: list[Occurrences]) -> None:
        """The posts of watched tags are evidence."""
        for tags, posts_of, posts in came:
            if self._watched and not self._watched.keys().isdisjoint(tags):
                for row, tag in enumerate(tags):
                    if tag in self._watched:
                        post = posts[row]
                        self._evidence.add(tag, int(posts_of[row]), post.created_at.timestamp(), post)

    def _history(self, tags: Ints, end: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        table = self._table
        return decayed(table.history[tags], end - table.history_at[tags], self._detection.half_life)

    def _sweep(self, end: int) -> None:
        """Forget histories that have faded, and the tags of which nothing else is left."""
        if end // self._seconds % (_SWEEP * self._slide):
            return
        table = self._table
        tags = np.flatnonzero(table.history)
        away = end - table.history_at[tags] >= self._size * self._seconds / 2
        faded = tags[away & (self._history(tags, end) < _LEAST_HISTORY)]
        table.history[faded] = 0.0
        table.forget(faded[table.panes[faded] == 0].tolist())
        self._history_state = None
