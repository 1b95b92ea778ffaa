"""The naive oracle of the trends engine: all events in a list, every window counted anew.

It is slow and holds everything, so that nothing in it can be subtle. Times are whole
microseconds since 1970 UTC.

Two questions are kept apart: which posts are accepted, which the order of arrival decides
(:class:`Clock`), and what the accepted posts amount to (:func:`count_windows`), which it must not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from groundswell.records import Mark, Post

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000

#: Window end in seconds -> its tags with their counts, best first.
Windows = dict[int, list[tuple[str, int]]]


@dataclass(frozen=True)
class Rules:
    """The settings that counts depend on, all but ``top`` in seconds; ``top`` 0 means all tags."""

    window: int = 1800
    slide: int = 10
    top: int = 20
    disorder: float = 10.0
    lateness: int = 60
    advance_when_idle: bool = True
    count_original: bool = True
    dedupe_horizon: int = 300

    @property
    def pane(self) -> int:
        """The largest time that divides window and slide."""
        return math.gcd(self.window, self.slide)

    def pane_of(self, time: int) -> int:
        """The number of the pane that holds a time."""
        return time // (self.pane * _SECOND)


class Arrival(NamedTuple):
    """What one partition delivers in one go: posts, or a mark."""

    part: str
    posts: tuple[Post, ...] = ()
    mark: Mark | None = None


class Occurrence(NamedTuple):
    """A post carries a tag."""

    time: int
    post: tuple[str, str]
    tag: str


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def tags_of(post: Post, rules: Rules) -> set[str]:
    """The tags that a post counts for: its own and, if the rules say so, those of what it repeats."""
    return set(post.hashtags) | (set(post.original_hashtags) if rules.count_original else set())


def occurrences(posts: Iterable[Post], rules: Rules) -> list[Occurrence]:
    """Every tag of every post."""
    return [
        Occurrence(microseconds(post.created_at), (post.source, post.id), tag)
        for post in posts
        for tag in tags_of(post, rules)
    ]


def without_repeats(found: Iterable[Occurrence], rules: Rules) -> list[Occurrence]:
    """Each occurrence once: not again in its pane, nor when a pane up to the horizon before holds it too."""
    panes = math.ceil(rules.dedupe_horizon / rules.pane)
    once = {(rules.pane_of(it.time), it.post, it.tag): it for it in found}
    return [
        it
        for (pane, post, tag), it in once.items()
        if not any((earlier, post, tag) in once for earlier in range(pane - panes, pane))
    ]


def count_windows(posts: Iterable[Post], rules: Rules) -> Windows:
    """Every window that holds a post with a tag.

    The window with end E, a multiple of the slide, holds what happened in E - size <= time < E.
    """
    counted = sorted(without_repeats(occurrences(posts, rules), rules))
    ends = sorted({end for it in counted for end in _ends(it.time, rules)})
    windows: Windows = {}
    first = last = 0
    for end in ends:
        # Both ends only ever move on, so that a long stream is walked through once.
        while last < len(counted) and counted[last].time < end * _SECOND:
            last += 1
        while counted[first].time < (end - rules.window) * _SECOND:
            first += 1
        windows[end] = ranked(Counter(it.tag for it in counted[first:last]), rules.top)
    return windows


def _ends(time: int, rules: Rules) -> Iterator[int]:
    """The ends of all windows that hold a time."""
    end = (time // (rules.slide * _SECOND) + 1) * rules.slide
    while (end - rules.window) * _SECOND <= time:
        yield end
        end += rules.slide


def ranked(counts: Counter[str], top: int) -> list[tuple[str, int]]:
    """The best tags by count, then in code point order."""
    ranking = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ranking[:top] if top else ranking


class Clock:
    """The watermark: the least of the partitions that are neither idle nor ended, and never less than it was.

    A partition that has delivered nothing yet holds it at minus infinity. When all that have not
    ended are idle, it goes on from where it was with the time for which even the last to fall idle
    has had nothing.
    """

    def __init__(self, parts: Sequence[str], rules: Rules) -> None:
        self._rules = rules
        self._newest: dict[str, float] = dict.fromkeys(parts, -math.inf)
        self._idle: dict[str, float] = {}
        self._ended: set[str] = set()
        self._stood_at: float | None = None
        self.watermark = -math.inf

    def accepts(self, post: Post) -> bool:
        """Whether the watermark leaves the post's pane open."""
        end = (self._rules.pane_of(microseconds(post.created_at)) + 1) * self._rules.pane
        return self.watermark < (end + self._rules.lateness) * _SECOND

    def saw(self, part: str, post: Post) -> None:
        """A partition delivered a post."""
        self._idle.pop(part, None)
        self._ended.discard(part)
        self._newest[part] = max(self._newest[part], microseconds(post.created_at))
        self._move()

    def marked(self, part: str, mark: Mark) -> None:
        """A partition said that it has nothing, for now or for good; no time at all takes that back."""
        self._idle.pop(part, None)
        self._ended.discard(part)
        if mark.ended:
            self._ended.add(part)
        elif mark.idle_for:
            self._idle[part] = mark.idle_for
        self._move()

    def _move(self) -> None:
        waiting = self._newest.keys() - self._ended
        active = waiting - self._idle.keys()
        if active:
            self._stood_at = None
            least = min(self._newest[part] for part in active) - self._rules.disorder * _SECOND
            self.watermark = max(self.watermark, least)
        elif waiting and self._rules.advance_when_idle:
            if self._stood_at is None:
                self._stood_at = self.watermark
            passed = min(self._idle[part] for part in waiting) * _SECOND
            self.watermark = max(self.watermark, self._stood_at + passed)


def accept(arrivals: Iterable[Arrival], parts: Sequence[str], rules: Rules) -> tuple[list[Post], list[Post]]:
    """Which posts are accepted and which are late, each judged by what arrived before it."""
    clock = Clock(parts, rules)
    accepted: list[Post] = []
    late: list[Post] = []
    for arrival in arrivals:
        for post in arrival.posts:
            (accepted if clock.accepts(post) else late).append(post)
            clock.saw(arrival.part, post)
        if arrival.mark is not None:
            clock.marked(arrival.part, arrival.mark)
    return accepted, late
