"""The counts behind burst scores, made from a list of posts the plain way, without the engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.burst_streams import Tweet
from groundswell.trends import Candidate, TrendEvent
from operators.bursts import trend_scores
from operators.trend_board import TrendBoard
from operators.trend_options import TrendOptions

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Spans(NamedTuple):
    """Sums at some window ends: the recent past, the window with it, and what lies behind, decayed."""

    recent: Floats
    window: Floats
    history: Floats


@dataclass
class Series:
    """What a tag, or the whole stream, has in each of its panes, in order."""

    panes: Ints
    weights: Floats

    def between(self, first: Ints, end: Ints) -> Floats:
        """The sum over the panes from ``first`` to before ``end``."""
        sums = np.concatenate(([0.0], np.cumsum(self.weights)))
        return np.asarray(sums[np.searchsorted(self.panes, end)] - sums[np.searchsorted(self.panes, first)])

    def spans(self, ends: Ints, options: TrendOptions) -> Spans:
        """The sums for windows that end before the panes ``ends``."""
        detection = options.detection
        assert detection is not None
        recent = ends - detection.recent // options.pane
        window = ends - options.window_panes
        # Each pane joins the history when it leaves the window.
        behind = np.zeros(len(self.panes) + 1)
        value = 0.0
        for index, (pane, weight) in enumerate(zip(self.panes, self.weights, strict=True)):
            if index:
                value *= 2.0 ** (-float(pane - self.panes[index - 1]) * options.pane / detection.half_life)
            value += weight
            behind[index + 1] = value
        left = np.searchsorted(self.panes, window)
        newest = np.concatenate(([0], self.panes))[left]
        decay = np.exp2(-(window - 1 - newest) * options.pane / detection.half_life)
        history = np.where(left > 0, behind[left] * decay, 0.0)
        return Spans(self.between(recent, ends), self.between(window, ends), history)


@dataclass
class TagSeries:
    """A tag: author-panes, posts, and the authors of each pane (a post without one is its own)."""

    voices: Series
    posts: Series
    authors: list[frozenset[str | int]]

    def authors_in(self, first: int, end: int) -> set[str | int]:
        start, stop = np.searchsorted(self.voices.panes, (first, end))
        return set().union(*self.authors[start:stop])


def count(tweets: Sequence[Tweet], pane: int) -> tuple[dict[str, TagSeries], Series]:
    """The series of each tag and of the stream, in panes of ``pane`` seconds since 1970."""
    stream: defaultdict[int, int] = defaultdict(int)
    tags: defaultdict[str, defaultdict[int, list[str | int]]] = defaultdict(lambda: defaultdict(list))
    for index, tweet in enumerate(tweets):
        at = int(tweet.time // pane)
        stream[at] += 1
        for tag in tweet.tags:
            tags[tag][at].append(index if tweet.author is None else tweet.author)
    counted = {}
    for tag, by_pane in tags.items():
        panes = sorted(by_pane)
        authors = [frozenset(by_pane[at]) for at in panes]
        posts = [len(by_pane[at]) for at in panes]
        counted[tag] = TagSeries(_series(panes, [len(each) for each in authors]), _series(panes, posts), authors)
    panes = sorted(stream)
    return counted, _series(panes, [stream[at] for at in panes])


def _series(panes: Sequence[int], weights: Sequence[int]) -> Series:
    return Series(np.array(panes, np.int64), np.array(weights, np.float64))


def candidates(
    tags: Mapping[str, TagSeries], stream: Series, options: TrendOptions
) -> Iterator[tuple[int, list[Candidate]]]:
    """Each window end (Unix time) with a tag whose burst score reaches the stop score, and those tags."""
    detection = options.detection
    assert detection is not None
    recent_panes, slide = detection.recent // options.pane, options.slide_panes
    found: defaultdict[int, list[Candidate]] = defaultdict(list)
    for tag, series in tags.items():
        if series.posts.weights.sum() < detection.min_count:
            continue
        ends = series.voices.panes[:, None] + np.arange(1, recent_panes + 1)
        ends = np.unique(ends[ends % slide == 0])
        own, whole = series.voices.spans(ends, options), stream.spans(ends, options)
        scores = trend_scores(*own, *whole, detection.tolerated_growth)
        hot = np.flatnonzero(scores >= detection.stop_score)
        posts = series.posts.between(ends - options.window_panes, ends)
        for i in hot.tolist():
            end = int(ends[i])
            authors = series.authors_in(end - options.window_panes, end)
            without = sum(isinstance(author, int) for author in authors)
            found[end * options.pane].append(Candidate(tag, float(scores[i]), int(posts[i]), len(authors), without))
    yield from sorted(found.items())


def decisions(tags: Mapping[str, TagSeries], stream: Series, options: TrendOptions) -> list[TrendEvent]:
    """What begins, changes and ends in these series, up to when nothing of them is left."""
    assert options.detection is not None
    board = TrendBoard(0, options.slide, options.detection)
    events: list[TrendEvent] = []
    end = 0
    for end, found in candidates(tags, stream, options):
        events += board.decide(end, found, lambda _: ())
    silence = options.window + options.detection.hold + options.slide
    return events + board.decide(end + silence // options.slide * options.slide, [], lambda _: ())
