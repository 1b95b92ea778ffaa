"""Fresh posts are scored against every active topic while they are indexed.

::

    topics:active ──▶ follow (a thread) ──▶ Scoring, swapped as a whole ──▶ score (the worker)

A worker takes the time of its documents first and the scoring after it. So whatever
carries a time at or after the moment at which a topic was taken up (``since``) was scored
against it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import numpy as np

from groundswell.candidates import Found
from groundswell.errors import StopJob, Unavailable
from groundswell.in_flight import InFlight
from groundswell.metrics import SCORES_INLINE, TOPICS_ACTIVE
from groundswell.records import Document
from groundswell.topics import Classification, Topic, TopicsKnown
from operators.topics.judge import Judge, Weigh

_LOG = logging.getLogger("groundswell.topics")
#: A fresh post stands in no store yet.
_NOWHERE: Final = (0, 0)


class Board(Protocol):
    """Where the active topics are; see :class:`connectors.redis_topics.TopicBoard`."""

    def stamp(self) -> str: ...

    def topics(self) -> tuple[str, dict[str, Topic]]: ...

    def report(self, reader: str, known: TopicsKnown) -> None: ...

    def leave(self, reader: str) -> None: ...


class _Known(NamedTuple):
    stamp: str | None
    topics: tuple[Topic, ...]
    weigh: Weigh
    since: Mapping[str, datetime]


class InlineTopics:
    """Follows the topics and scores documents against them. ``reader`` names this process on the board.

    A document is given a probability by the rule of a re-reading
    (:class:`~operators.topics.rescoring_state.RescoringOptions`): ``least_score``, ``threshold``.
    The board is looked at every ``refresh`` seconds. Without an answer the topics that are known go on.
    """

    def __init__(
        self,
        board: Board,
        reader: str,
        judge: Judge,
        in_flight: InFlight,
        clock: Callable[[], datetime],
        *,
        threshold: float,
        least_score: float,
        refresh: float = 0.25,
    ) -> None:
        self._board = board
        self._reader = reader
        self._judge = judge
        self._in_flight = in_flight
        self._clock = clock
        self._threshold = threshold
        self._least_score = least_score
        self._refresh = refresh
        self._known = _Known(None, (), judge.against(()), {})
        self._silent = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="topics", daemon=True)

    def start(self) -> None:
        """Take up the topics that there are, and follow them from now on."""
        self._look()
        self._thread.start()

    def close(self) -> None:
        """Follow no more; the others need not wait for this process."""
        self._stop.set()
        self._thread.join()
        try:
            self._board.leave(self._reader)
        except (Unavailable, StopJob) as error:
            _LOG.info("the topics' readers still name %s: %s", self._reader, error)

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Those that documents are scored against now."""
        return self._known.topics

    def score(self, documents: Sequence[Document], now: datetime) -> None:
        """Give documents that were analysed at ``now`` or before their probabilities."""
        known = self._known
        if not known.topics or not documents:
            return
        found = [_as_found(document) for document in documents]
        evidence = known.weigh(found)
        for column, topic in enumerate(known.topics):
            tagged = np.array([topic.tag in each.hashtags for each in found])
            chosen = np.flatnonzero((evidence[:, column] >= self._least_score) | tagged)
            if not len(chosen):
                continue
            weighed = evidence[chosen, column]
            scores = np.array(self._judge.alone(weighed))
            undecided = np.flatnonzero(self._judge.undecided(topic, weighed))
            if len(undecided):
                read = [found[chosen[place]] for place in undecided]
                scores[undecided] = self._judge.verdicts(topic, read, weighed[undecided])
            SCORES_INLINE.inc(len(chosen))
            for place, score in zip(chosen.tolist(), scores.tolist(), strict=True):
                member = score >= self._threshold
                document = documents[place]
                if not document.classification:
                    document.classification = {}
                document.classification[topic.tag] = Classification(
                    score, topic.trend_id, topic.at, self._judge.model, now, member
                )
                if member:
                    document.topics = (*document.topics, topic.tag)

    def _follow(self) -> None:
        while not self._stop.wait(self._refresh):
            self._look()

    def _look(self) -> None:
        try:
            if self._known.stamp is None or self._board.stamp() != self._known.stamp:
                stamp, topics = self._board.topics()
                self._take_up(stamp, topics)
            known = self._known
            made = {topic.tag: topic.at for topic in known.topics}
            self._board.report(self._reader, TopicsKnown(made, dict(known.since), self._in_flight.clear_before()))
        except (Unavailable, StopJob) as error:
            if not self._silent:
                _LOG.warning("cannot ask for topics, the %d known go on: %s", len(self._known.topics), error)
            self._silent = True
        else:
            self._silent = False

    def _take_up(self, stamp: str, topics: Mapping[str, Topic]) -> None:
        before = {topic.tag: topic for topic in self._known.topics}
        taken = tuple(topics[tag] for tag in sorted(topics))
        weigh = self._judge.against(taken)
        self._known = _Known(stamp, taken, weigh, self._known.since)
        TOPICS_ACTIVE.set(len(taken))
        # After the swap: a worker that still had the old ones has taken its time before this.
        now = self._clock()
        since = {
            topic.tag: self._known.since[topic.tag] if topic.tag in before and before[topic.tag].at == topic.at else now
            for topic in taken
        }
        self._known = _Known(stamp, taken, weigh, since)


def _as_found(document: Document) -> Found:
    return Found(
        "",
        "",
        _NOWHERE,
        document.text,
        document.created_at,
        document.indexed_at,
        document.hashtags,
        document.repost_of is not None,
        None if document.embedding is None else bytes.fromhex(document.embedding),
        document.embedding_space,
    )
