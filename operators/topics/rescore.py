"""One key a tag: a trend that begins gets its topic, and the documents are re-read in its light.

::

    trend events ──▶ describe ─ declare ─ announce ─ step ─ step ─ ··· ──▶ score batches
                     (topic)    (field)   (to those   └── a step at a time, the tags in turn
                                           who index)
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import bytewax.operators as op
import msgspec
from bytewax.operators import KeyedStream, StatefulBatchLogic

from groundswell import metrics
from groundswell.candidates import ScoreBatch
from groundswell.topics import Progress, Topic, TopicsKnown
from groundswell.trends import TrendEvent
from operators.topics.judge import Judge
from operators.topics.rescoring import Documents, Rescoring
from operators.topics.rescoring_state import RescoringOptions, RescoringState

_LOG = logging.getLogger("groundswell.topics")

#: A topic is described anew when its trend has this many times the sample posts that it rests on.
GROWTH: Final = 2
#: Between two steps of one activation: a trend's first step must not wait for the wide ones of all others.
_TURN: Final = timedelta(milliseconds=2)
_state_encoder = msgspec.msgpack.Encoder()


class TopicServices(Protocol):
    """What a re-reading needs of the world. Everything waits an outage out, or raises ``Draining`` or ``StopJob``."""

    def describe(self, event: TrendEvent, known: Topic | None) -> Topic:
        """The topic of an event's trend, made now: later than the known one of its tag."""
        ...

    def declare(self, tag: str) -> tuple[bool, str]:
        """Give a tag its field: whether it is a new one, and why it gets none (empty where it has one)."""
        ...

    def announced(self, tag: str) -> Topic | None:
        """The topic of a tag that fresh posts are scored against."""
        ...

    def announce(self, topic: Topic) -> None:
        """Have fresh posts scored against a topic."""
        ...

    def withdraw(self, tag: str, until: datetime) -> None:
        """Score no more fresh posts against a topic that was made at ``until`` or before."""
        ...

    def is_active(self, trend_id: str) -> bool | None:
        """Whether a trend is followed still; ``None`` before that is known."""
        ...

    def reports(self) -> Mapping[str, TopicsKnown]:
        """What the processes that index fresh posts know."""
        ...

    def tell(self, tag: str, progress: Progress | None) -> None:
        """Say how far a tag's re-reading has come; ``None``: nothing is left to say."""
        ...


class Turns:
    """Lets one tag of a process make a wide step at a time, each in its turn. Not thread-safe."""

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._not_before = datetime.min.replace(tzinfo=UTC)

    def mine(self, tag: str, now: datetime) -> bool:
        """Whether the tag may make a step now."""
        if tag not in self._order:
            self._order.append(tag)
        return self._order[0] == tag and now >= self._not_before

    def done(self, tag: str, now: datetime) -> None:
        """The tag has made its step; the next one may after a moment in which news can come through."""
        self.leave(tag)
        self._not_before = now + _TURN

    def leave(self, tag: str) -> None:
        """The tag wants no turn."""
        if tag in self._order:
            self._order.remove(tag)


class Rescorer:
    """What all tags of a process share. ``on_step`` is called after each step, as a sign of life."""

    def __init__(
        self,
        services: TopicServices,
        documents: Documents,
        judge: Judge,
        options: RescoringOptions,
        clock: Callable[[], datetime],
        on_step: Callable[[], None] = lambda: None,
    ) -> None:
        self.services = services
        self.documents = documents
        self.judge = judge
        self.options = options
        self.clock = clock
        self.on_step = on_step
        self.turns = Turns()
        #: Tags with something left to do now.
        self.busy: set[str] = set()
        self._coming = 0

    @property
    def idle(self) -> bool:
        """Whether everything is as it should be, and stays so without news."""
        return not self.busy and not self._coming

    def coming(self, events: int) -> None:
        """So many events are on their way here; less than nothing: they came."""
        self._coming += events


class TagLogic(StatefulBatchLogic[TrendEvent, ScoreBatch, bytes]):
    """The re-reading by one tag; its state is that of :class:`~operators.topics.rescoring.Rescoring`."""

    def __init__(self, shared: Rescorer, resume: bytes | None) -> None:
        self._shared = shared
        self._rescoring: Rescoring | None = None
        self._came: datetime | None = None
        self._next: datetime | None = None
        if resume is not None:
            self._go_on(msgspec.msgpack.decode(resume, type=RescoringState))

    def on_batch(self, values: list[TrendEvent]) -> tuple[Iterable[ScoreBatch], bool]:
        self._shared.coming(-len(values))
        for event in _newest(values):
            self._take(event)
        if self._rescoring is None:
            return (), StatefulBatchLogic.DISCARD
        if self._rescoring.state.phase == "first":
            return self._step()
        return (), StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[Iterable[ScoreBatch], bool]:
        shared, rescoring, now = self._shared, self._rescoring, self._shared.clock()
        assert rescoring is not None  # noqa: S101 - only then is there a notification
        state = rescoring.state
        active = shared.services.is_active(state.topic.trend_id)
        if active is None:
            self._next = now + timedelta(milliseconds=100)
            return (), StatefulBatchLogic.RETAIN
        if not active and not state.ended:
            self._end()
        if state.phase != "first" and not shared.turns.mine(state.topic.tag, now):
            self._next = now + _TURN
            return (), StatefulBatchLogic.RETAIN
        return self._step()

    def notify_at(self) -> datetime | None:
        return self._next

    def snapshot(self) -> bytes:
        assert self._rescoring is not None  # noqa: S101 - without one it is discarded
        return _state_encoder.encode(self._rescoring.state)

    def _take(self, event: TrendEvent) -> None:
        """What an event means for what is being done."""
        shared, trend = self._shared, event.trend
        rescoring = self._rescoring
        if rescoring is not None and rescoring.state.topic.trend_id == trend.id:
            if event.event == "ended":
                self._end()
                return
            if len(trend.samples) < GROWTH * max(1, rescoring.state.topic.posts):
                return
        elif event.event == "ended":
            return
        known = rescoring.state.topic if rescoring is not None else shared.services.announced(trend.tag)
        anew, refused = shared.services.declare(trend.tag)
        if refused:
            self._refuse(event, refused)
            return
        came = shared.clock()
        if rescoring is None and known is not None and known.trend_id == trend.id:
            # Begun by a run that left no state.
            self._go_on(RescoringState(known, came, anew=False, phase="nearest"))
            return
        topic = shared.services.describe(event, known)
        shared.services.announce(topic)
        metrics.TOPICS_DESCRIBED.inc()
        for step in topic.steps:
            _LOG.info("#%s: %s", topic.tag, step)
        if rescoring is not None:
            rescoring.supersede(topic)
            self._go_on(rescoring.state)
        else:
            self._came = came
            self._go_on(RescoringState(topic, came, anew=anew))

    def _go_on(self, state: RescoringState) -> None:
        shared = self._shared
        self._rescoring = Rescoring(state, shared.documents, shared.judge, shared.options)
        self._next = shared.clock()
        shared.busy.add(state.topic.tag)

    def _end(self) -> None:
        assert self._rescoring is not None  # noqa: S101 - asked before
        state = self._rescoring.state
        if not state.ended:
            self._rescoring.end()
            self._shared.services.withdraw(state.topic.tag, state.topic.at)
            self._shared.busy.add(state.topic.tag)

    def _refuse(self, event: TrendEvent, reason: str) -> None:
        now = self._shared.clock()
        _LOG.warning("#%s trends, and documents are not scored by it: %s", event.trend.tag, reason)
        metrics.TOPICS_REFUSED.inc()
        self._shared.services.tell(event.trend.tag, Progress(event.trend.id, "refused", now, now, refused=reason))

    def _step(self) -> tuple[Iterable[ScoreBatch], bool]:
        shared, rescoring = self._shared, self._rescoring
        assert rescoring is not None  # noqa: S101 - asked before
        tag = rescoring.state.topic.tag
        before = rescoring.state.phase
        step = rescoring.step(shared.clock(), shared.services.reports())
        now = shared.clock()
        shared.on_step()
        shared.turns.done(tag, now)
        if rescoring.over or (rescoring.state.phase == "settled" and not rescoring.state.ended):
            shared.busy.discard(tag)
        else:
            shared.busy.add(tag)
        came, self._came = (self._came, None) if step.refresh else (None, self._came)
        batches = [ScoreBatch(tag, step.scores, step.refresh, came)] if step.scores else []
        if rescoring.over:
            shared.services.tell(tag, None)
            return batches, StatefulBatchLogic.DISCARD
        if step.scores or before != rescoring.state.phase:
            shared.services.tell(tag, rescoring.progress(now))
        self._next = now + timedelta(seconds=step.rest)
        return batches, StatefulBatchLogic.RETAIN


def _newest(events: Sequence[TrendEvent]) -> list[TrendEvent]:
    """Of each trend of a tag the event that tells the most of it, and its end; the trends in their order.

    A trend that has ended already when it is heard of is read up on all the same; by its last
    event, its sample posts may have left the window.
    """
    found: list[TrendEvent] = []
    for event in sorted(events, key=lambda each: each.fence):
        last = found[-1] if found else None
        if last is None or last.trend.id != event.trend.id or "ended" in (last.event, event.event):
            found.append(event)
        elif len(event.trend.samples) >= len(last.trend.samples):
            found[-1] = event
    return found


def rescore_step(step_id: str, stream: KeyedStream[TrendEvent], rescorer: Rescorer) -> KeyedStream[ScoreBatch]:
    """Carry the re-reading into a flow: events keyed by tag, score batches by tag."""
    return op.stateful_batch(step_id, stream, lambda resume: TagLogic(rescorer, resume))
