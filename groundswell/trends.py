"""What the trends engine says: windows with their top tags, and trends that began, changed and ended.

Window ends are whole seconds since 1970 UTC. A later emission supersedes an earlier
one of the same window when its ``revision`` is higher.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

EventKind = Literal["began", "changed", "ended"]


class TagCount(msgspec.Struct, frozen=True, gc=False):
    """A hashtag and the posts that carry it."""

    tag: str
    count: int


class Window(msgspec.Struct, frozen=True, gc=False):
    """The top tags of the posts with ``end - size <= created_at < end``, by count, then by tag.

    ``generation`` is the Unix time in milliseconds at which the job that counts was
    started without any state. ``error`` bounds by how much a count may be too low (0: exact).
    An empty ``top`` says that no tag is left.
    """

    generation: int
    end: int
    revision: int
    size: int
    top: tuple[TagCount, ...]
    error: int = 0


class Sample(msgspec.Struct, frozen=True, gc=False):
    """A post that carries a trending tag."""

    source: str
    id: str
    text: str


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """What was collected about a tag that may trend.

    ``forms`` are its spellings without the sign (``Boston``), ``cotags`` the other tags of
    its posts, each with the sample posts that have them; ``samples`` are a uniform sample
    of its posts, reposts left out.
    """

    forms: dict[str, int] = {}
    cotags: dict[str, int] = {}
    samples: tuple[Sample, ...] = ()


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A tag that bursts in the window that ends at some moment.

    ``score`` is the burst score, ``count`` its posts in the window, ``authors`` its distinct
    authors there (posts without one count as one author each), ``unattributed`` the posts
    without author among them.
    """

    tag: str
    score: float
    count: int
    authors: int
    unattributed: int = 0
    evidence: Evidence | None = None


class Trend(msgspec.Struct, frozen=True):
    """A tag that trends, or did.

    ``id`` is the same for all events of one trend, whatever is replayed. ``label`` is how
    people write the tag; ``words`` are the distinctive words of its posts with their
    weights, ``cotags`` its companions with their posts. ``since`` and ``until`` are window
    ends; ``score``, ``count`` and ``authors`` are those of the latest window, ``peak`` the
    highest count.
    """

    id: str
    tag: str
    label: str
    since: datetime
    score: float
    count: int
    peak: int
    authors: int
    unattributed: int = 0
    until: datetime | None = None
    words: tuple[tuple[str, float], ...] = ()
    cotags: tuple[TagCount, ...] = ()
    samples: tuple[Sample, ...] = ()


class TrendEvent(msgspec.Struct, frozen=True):
    """A change of a trend, decided for the window that ends at ``at``.

    Of two events with the same trend and ``at``, the higher ``revision`` holds.
    """

    generation: int
    event: EventKind
    at: datetime
    revision: int
    trend: Trend

    @property
    def fence(self) -> tuple[int, datetime, int]:
        """What orders the events of one trend: of two, the one with the higher fence holds."""
        return self.generation, self.at, self.revision


class TrendDocument(msgspec.Struct, frozen=True):
    """A trend as the document store keeps it, for people who search and sort; without its samples.

    ``words`` are the distinctive words and ``cotags`` the companions, the strongest first;
    ``weights`` are the words' weights. ``updated_at`` is the window end for which the trend
    was last decided on; with ``generation`` and ``revision`` it fences: a document never
    replaces one with a higher :attr:`fence`.
    """

    trend_id: str
    tag: str
    label: str
    since: datetime
    updated_at: datetime
    active: bool
    score: float
    count: int
    peak: int
    authors: int
    generation: int
    revision: int
    unattributed: int = 0
    until: datetime | None = None
    words: tuple[str, ...] = ()
    weights: dict[str, float] = {}
    cotags: tuple[str, ...] = ()

    @property
    def fence(self) -> tuple[int, datetime, int]:
        """What orders the states of one trend; that of the event it was made from."""
        return self.generation, self.updated_at, self.revision


def trend_document(event: TrendEvent) -> TrendDocument:
    """The document that an event leaves behind."""
    trend = event.trend
    return TrendDocument(
        trend_id=trend.id,
        tag=trend.tag,
        label=trend.label,
        since=trend.since,
        updated_at=event.at,
        active=event.event != "ended",
        score=trend.score,
        count=trend.count,
        peak=trend.peak,
        authors=trend.authors,
        generation=event.generation,
        revision=event.revision,
        unattributed=trend.unattributed,
        until=trend.until,
        words=tuple(word for word, _ in trend.words),
        weights=dict(trend.words),
        cotags=tuple(cotag.tag for cotag in trend.cotags),
    )


def newest_events(events: Iterable[TrendEvent]) -> dict[str, TrendEvent]:
    """Of each trend, by its id, the event with the highest fence, in whatever order they come."""
    newest: dict[str, TrendEvent] = {}
    for event in events:
        known = newest.get(event.trend.id)
        if known is None or event.fence > known.fence:
            newest[event.trend.id] = event
    return newest
