"""Which tags trend: one decision per window end, from the tags that burst in it.

A trend begins with a high score and enough support, stays while its score does not
stay low, and ends once. Everything is a function of the candidates of each window,
in order; where no window came (the stream was silent) no tag had a score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from groundswell.trends import Candidate, EventKind, TagCount, Trend, TrendEvent
from operators.crowd import is_crowd
from operators.trend_options import DetectionOptions

#: Words that set a candidate's posts apart, with their weights.
Describe = Callable[[Candidate], tuple[tuple[str, float], ...]]

#: An active trend is told anew as soon as its count is this many times what was told last.
GROWN = 1.5
#: A tag that is the beginning of a trending one, with less than this share of its posts, is that tag cut off.
CUT_SHARE = 1 / 3
#: The shortest beginning that is taken for a cut tag.
_SHORTEST_CUT = 4
#: A habit of less than this is forgotten.
_LEAST_HABIT = 0.1
#: Most companions of a tag that a trend names.
_COTAGS = 10
_STATE = 1


class _Active(msgspec.Struct):
    """A trend and what is needed to go on with it. Samples are not kept."""

    trend: Trend
    told_at: int
    told_count: int
    told_authors: int
    cool_since: int | None = None
    """The first window end since which the score has been low."""


class _Habit(msgspec.Struct, frozen=True):
    """How often a tag has begun to trend up to ``end``, each time decayed by its age."""

    times: float
    end: int


class _State(msgspec.Struct):
    version: int
    end: int | None
    active: list[_Active]
    displaced: list[str]
    habits: dict[str, _Habit]


class TrendBoard:
    """What trends now.

    ``generation`` goes into every event; window ends are multiples of ``slide`` seconds.
    """

    def __init__(self, generation: int, slide: int, options: DetectionOptions) -> None:
        self._generation = generation
        self._slide = slide
        self._options = options
        self._end: int | None = None
        self._active: dict[str, _Active] = {}
        # Tags that had to leave for stronger ones and have not cooled since: they
        # wait for a free place, so that no two tags push each other out in turns.
        self._displaced: set[str] = set()
        self._habits: dict[str, _Habit] = {}

    @property
    def end(self) -> int | None:
        """The window end that was decided on last."""
        return self._end

    @property
    def active(self) -> tuple[Trend, ...]:
        """The trends that have begun and not ended, by tag."""
        return tuple(self._active[tag].trend for tag in sorted(self._active))

    def decide(self, end: int, candidates: Sequence[Candidate], describe: Describe) -> list[TrendEvent]:
        """What changes at window end ``end``, given the tags whose score is at least the stop score there.

        - **ended**: the score stayed below the stop score, or the share of distinct authors below
          the least, for ``hold`` seconds; also in a gap before ``end``, at the moment it happened.
        - **began**: the start score and the support are reached; a tag that has trended before needs
          as much again for each time, less as time goes by (a half after ``half_life`` seconds), so
          that what comes every hour soon is no news. When ``max_active`` trends
          are active, the weakest of them ends for a stronger one, which must not itself
          have been displaced while its score stayed up.
        - **changed**: the count is half as much again as what was told last, or what was told
          last is ``refresh`` seconds old and count or authors are others now.

        In this order; the result does not depend on the order of ``candidates``. ``describe`` is asked
        only about tags that begin or change. Raises ``ValueError`` for an ``end`` that is not later
        than the one before.
        """
        if self._end is not None and end <= self._end:
            raise ValueError(f"window end {end} after {self._end}")
        events = self._silence(end)
        self._end = end
        hot = {candidate.tag: candidate for candidate in candidates if self._holds(candidate)}
        self._displaced &= hot.keys()
        events += self._cool(end, hot)
        started, begun = self._start(end, hot, describe)
        events += started
        for tag in sorted(self._active.keys() & hot.keys() - begun):
            events += self._follow(end, hot[tag], describe)
        return events

    def finish(self, end: int) -> list[TrendEvent]:
        """End everything that is active, at a window end that is later than the one before."""
        self._end = end
        return [self._end_trend(tag, end) for tag in sorted(self._active)]

    def state(self) -> bytes:
        """Everything that the next decision depends on."""
        active = [self._active[tag] for tag in sorted(self._active)]
        habits = {tag: self._habits[tag] for tag in sorted(self._habits)}
        return msgspec.msgpack.encode(_State(_STATE, self._end, active, sorted(self._displaced), habits))

    def restore(self, state: bytes) -> None:
        """Go on where :meth:`state` was taken; raises ``ValueError`` for what this version does not know."""
        try:
            restored = msgspec.msgpack.decode(state, type=_State)
        except msgspec.DecodeError as error:
            raise ValueError(f"not the state of a trend board: {error}") from error
        if restored.version != _STATE:
            raise ValueError(f"the state of a trend board has version {restored.version}, not {_STATE}")
        self._end = restored.end
        self._active = {active.trend.tag: active for active in restored.active}
        self._displaced = set(restored.displaced)
        self._habits = restored.habits

    def _holds(self, candidate: Candidate) -> bool:
        options = self._options
        return candidate.score >= options.stop_score and candidate.authors >= options.min_author_share * candidate.count

    def _silence(self, end: int) -> list[TrendEvent]:
        """The window ends between the last one and ``end``, in which no tag had a score."""
        if self._end is None or self._end + self._slide >= end:
            return []
        self._displaced.clear()
        first, last = self._end + self._slide, end - self._slide
        due = []
        for tag, active in self._active.items():
            if active.cool_since is None:
                active.cool_since = first
            if (over := self._over(active.cool_since)) <= last:
                due.append((over, tag))
        return [self._end_trend(tag, at) for at, tag in sorted(due)]

    def _over(self, cool_since: int) -> int:
        """The window end at which a trend is over that has been cool since another."""
        return cool_since - -self._options.hold // self._slide * self._slide

    def _cool(self, end: int, hot: dict[str, Candidate]) -> list[TrendEvent]:
        over = []
        for tag, active in self._active.items():
            if tag in hot:
                active.cool_since = None
                continue
            if active.cool_since is None:
                active.cool_since = end
            if self._over(active.cool_since) <= end:
                over.append(tag)
        return [self._end_trend(tag, end) for tag in sorted(over)]

    def _start(self, end: int, hot: dict[str, Candidate], describe: Describe) -> tuple[list[TrendEvent], set[str]]:
        events = []
        begun: set[str] = set()
        strength = {tag: hot[tag].score if tag in hot else 0.0 for tag in self._active}
        while len(self._active) > self._options.max_active:  # fewer are allowed than before a restart
            weakest = min(strength, key=lambda tag: (strength[tag], tag))
            del strength[weakest]
            self._displaced.add(weakest)
            events.append(self._end_trend(weakest, end))
        for new in sorted(hot.values(), key=lambda candidate: (-candidate.score, candidate.tag)):
            if new.tag in self._active or not self._may_begin(new, end) or self._is_cut(new, hot):
                continue
            if len(self._active) >= self._options.max_active:
                weakest = min(strength, key=lambda tag: (strength[tag], tag))
                if new.tag in self._displaced or new.score <= strength[weakest]:
                    continue
                del strength[weakest]
                self._displaced.add(weakest)
                events.append(self._end_trend(weakest, end))
            strength[new.tag] = new.score
            begun.add(new.tag)
            events.append(self._begin(end, new, describe))
        self._displaced &= hot.keys()
        return events, begun

    def _may_begin(self, candidate: Candidate, end: int) -> bool:
        options = self._options
        return (
            candidate.score >= options.start_score * (1.0 + self._habit(candidate.tag, end))
            and candidate.count >= options.min_count
            and candidate.authors >= options.min_authors
            # Where no post names its author there is nothing to tell a crowd from.
            and (
                candidate.unattributed >= candidate.authors
                or is_crowd(candidate.count, candidate.authors, options.ring)
            )
        )

    def _habit(self, tag: str, end: int) -> float:
        habit = self._habits.get(tag)
        return 0.0 if habit is None else habit.times * 2.0 ** ((habit.end - end) / self._options.half_life)

    def _is_cut(self, new: Candidate, hot: dict[str, Candidate]) -> bool:
        """Whether the tag is a trending one whose end was cut off (``bosto`` of ``boston``)."""
        if len(new.tag) < _SHORTEST_CUT:
            return False
        return any(
            tag.startswith(new.tag) and new.count < CUT_SHARE * (hot[tag].count if tag in hot else active.trend.count)
            for tag, active in self._active.items()
        )

    def _begin(self, end: int, new: Candidate, describe: Describe) -> TrendEvent:
        since = _moment(end)
        trend = Trend(
            id=f"{new.tag}@{since:%Y-%m-%dT%H:%M:%SZ}",
            tag=new.tag,
            label=new.tag,
            since=since,
            score=new.score,
            count=new.count,
            peak=new.count,
            authors=new.authors,
        )
        self._habits[new.tag] = _Habit(self._habit(new.tag, end) + 1.0, end)
        for tag in [tag for tag in self._habits if self._habit(tag, end) < _LEAST_HABIT]:
            del self._habits[tag]
        active = self._active[new.tag] = _Active(trend, end, new.count, new.authors)
        return self._tell("began", end, active, _described(trend, new, describe))

    def _follow(self, end: int, now: Candidate, describe: Describe) -> Iterable[TrendEvent]:
        active = self._active[now.tag]
        before = active.trend
        active.trend = trend = msgspec.structs.replace(
            before,
            score=now.score,
            count=now.count,
            peak=max(before.peak, now.count),
            authors=now.authors,
            unattributed=now.unattributed,
        )
        grown = now.count >= GROWN * active.told_count
        if not grown and end - active.told_at < self._options.refresh:
            return ()
        # Words alone are no reason to tell: they depend on which part of the stream was read first.
        if (now.count, now.authors) == (active.told_count, active.told_authors):
            return ()
        return (self._tell("changed", end, active, _described(trend, now, describe)),)

    def _tell(self, event: EventKind, end: int, active: _Active, described: Trend) -> TrendEvent:
        active.told_at = end
        active.told_count = described.count
        active.told_authors = described.authors
        active.trend = msgspec.structs.replace(described, samples=())
        return TrendEvent(self._generation, event, _moment(end), 0, described)

    def _end_trend(self, tag: str, at: int) -> TrendEvent:
        trend = msgspec.structs.replace(self._active.pop(tag).trend, until=_moment(at))
        return TrendEvent(self._generation, "ended", _moment(at), 0, trend)


def _moment(end: int) -> datetime:
    return datetime.fromtimestamp(end, UTC)


def _described(trend: Trend, candidate: Candidate, describe: Describe) -> Trend:
    """The trend with what was collected about it; as it was where nothing was."""
    evidence = candidate.evidence
    if evidence is None:
        return msgspec.structs.replace(trend, unattributed=candidate.unattributed)
    cotags = sorted(evidence.cotags.items(), key=lambda pair: (-pair[1], pair[0]))[:_COTAGS]
    return msgspec.structs.replace(
        trend,
        unattributed=candidate.unattributed,
        label=label(trend.label, evidence.forms),
        words=describe(candidate),
        cotags=tuple(TagCount(tag, count) for tag, count in cotags),
        samples=evidence.samples,
    )


def label(otherwise: str, forms: dict[str, int]) -> str:
    """The spelling that most people use, the first in code point order of several.

    >>> label("ows", {"OWS": 3, "Ows": 3, "ows": 1}), label("ows", {})
    ('OWS', 'ows')
    """
    return min(forms, key=lambda form: (-forms[form], form), default=otherwise)
