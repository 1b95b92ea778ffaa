"""The re-reading of all documents in the light of one topic, in short steps that may stop anywhere.

::

    first ─ nearest ─┬─ slices ─┬─ tagged ─ scored ─ closing ─┬─ settled ──▶ over
     (100 best,      └──────────┘     (coverage = "candidates")│    │        (the trend
      at once)         whole ─────────────────────────────────┘    │         has ended)
                         (coverage = "all")        ▲───────────────┘
                                                a process that has begun anew

What was scored carries the topic's time, so whatever is done twice changes nothing. A
document is given a probability when the evidence puts it at ``least_score`` or above, when
it carries the tag, or when it had one before; with ``coverage = "all"`` always.

Fresh posts are scored by the processes that index them, once they know the topic. The
closing pass reads what they indexed before: from what was findable for certain when the
reading began (``covered``) up to the moment at which all of them knew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

import numpy as np

from groundswell.candidates import Cursor, Found, NewScore, Page, Selection, Slice, Span
from groundswell.topics import Classification, Progress, Topic, TopicsKnown
from operators.topics.judge import Judge
from operators.topics.rescoring_state import PHASES, RescoringOptions, RescoringState
from operators.topics.stopping import hopeless

#: Neighbours that are asked for, one after the other, until the last of them are hopeless.
NEAREST: Final = (1_000, 4_000, 10_000)
#: Documents of a stretch of time, when that was not enough.
SLICE: Final = 50_000
#: Documents of a page, and of one step.
PAGE: Final = 1_000
#: Clocks of machines differ by less.
SKEW: Final = timedelta(seconds=2)


class Documents(Protocol):
    """What is read of a document store; see :class:`connectors.document_store.DocumentStore`."""

    def refresh(self) -> None: ...

    def nearest_candidates(self, vector: bytes, k: int, selection: Selection) -> list[Found]: ...

    def candidates(self, selection: Selection, limit: int = ..., after: Cursor | None = ...) -> Page: ...

    def slices(self, selection: Selection, most: int = ...) -> list[Slice]: ...


class Step(NamedTuple):
    """What came of one step: scores to write, whether they are to be searchable at once, and when to go on.

    ``rest`` is in seconds.
    """

    scores: list[NewScore]
    refresh: bool = False
    rest: float = 0.0


class Rescoring:
    """One topic's re-reading. ``anew`` says that no document can have been scored by its tag before."""

    def __init__(
        self,
        state: RescoringState,
        documents: Documents,
        judge: Judge,
        options: RescoringOptions,
    ) -> None:
        self.state = state
        self._documents = documents
        self._judge = judge
        self._weigh = judge.against((state.topic,))
        self._options = options
        #: What was read and is not scored yet, the most promising last.
        self._waiting: list[tuple[Found, float]] | None = None
        #: Where the page after it begins: the state names the page in hand, which is read again after a crash.
        self._after: Cursor | None = None
        #: Whether its last ones were hopeless.
        self._enough = False

    @property
    def over(self) -> bool:
        """Whether nothing is left to do, now or later."""
        return self.state.phase == "over"

    def supersede(self, topic: Topic) -> None:
        """Go on with a newer topic of the same tag: what was scored against the old one is scored again."""
        was = self.state
        self.state = RescoringState(topic, topic.at, anew=False, phase="nearest", ended=was.ended)
        self._weigh = self._judge.against((topic,))
        self._waiting = None

    def end(self) -> None:
        """The trend has ended: finish, and then be over."""
        self.state.ended = True

    def step(self, now: datetime, reports: Mapping[str, TopicsKnown]) -> Step:
        """Read some documents and score some of what was read. Raises what the store raises.

        ``reports`` say what the processes that index fresh posts know of topics now.
        """
        state = self.state
        if state.phase == "over":
            return Step([], rest=60.0)
        if state.phase == "settled" and not self._reopened(reports):
            return Step([], rest=1.0)
        if self._waiting is None:
            if state.phase in ("nearest", "whole") and state.covered is None:
                state.covered = min((known.durable for known in reports.values()), default=now)
                self._documents.refresh()
            if state.phase == "closing" and state.closing_until is None:
                state.closing_until = self._known_by_all(now, reports)
                if state.closing_until is None:
                    return Step([], rest=0.2)
                self._documents.refresh()
            self._waiting = self._read()
        refresh = state.phase == "first"
        scores = self._score(now)
        if not self._waiting:
            self._waiting = None
            self._next()
        return Step(scores, refresh)

    def progress(self, now: datetime) -> Progress:
        """What to tell people."""
        state = self.state
        left = None if state.expected is None else max(0, state.expected - state.examined)
        return Progress(
            state.topic.trend_id,
            PHASES[state.phase],
            state.began,
            now,
            state.examined,
            state.scored,
            state.members,
            state.judged,
            left,
        )

    def _reopened(self, reports: Mapping[str, TopicsKnown]) -> bool:
        """Whether a process began to score after what is covered; goes back to closing then, or is over."""
        state = self.state
        tag = state.topic.tag
        covered = state.covered
        if covered is not None and any(known.since.get(tag, covered) > covered for known in reports.values()):
            state.phase = "closing"
            return True
        if state.ended:
            state.phase = "over"
        return False

    def _known_by_all(self, now: datetime, reports: Mapping[str, TopicsKnown]) -> datetime | None:
        """The time up to which documents may lack a score that nobody will give them, once all of them are findable."""
        topic = self.state.topic
        if self.state.ended:
            # Nobody is told of it any more: what is there now is what is scored.
            known = [each for each in reports.values() if each.made.get(topic.tag) == topic.at]
            until = max((each.since[topic.tag] for each in known), default=now)
            return max(until, self.state.covered or until)
        if any(known.made.get(topic.tag, _NEVER) < topic.at for known in reports.values()):
            return None
        until = max((known.since[topic.tag] for known in reports.values()), default=now)
        if any(known.durable < until for known in reports.values()):
            return None
        return until

    def _read(self) -> list[tuple[Found, float]]:
        """Some documents that are to be scored, the most promising last."""
        state, options, topic = self.state, self._options, self.state.topic
        selection = Selection(tag=topic.tag)
        always = False
        if state.phase in ("first", "nearest", "slices") and (vector := _vector(topic)) is not None:
            near = Selection(tag=topic.tag, space=topic.space, created=state.spans[0] if state.spans else Span())
            k = options.first_nearest if state.phase == "first" else NEAREST[state.round]
            found = self._documents.nearest_candidates(vector, k, near)
        elif state.phase in ("first", "nearest", "slices"):
            found = []
        else:
            if state.phase in ("tagged", "scored"):
                selection = Selection(tag=topic.tag, kind="tagged" if state.phase == "tagged" else "scored")
                always = True
            elif state.phase == "closing":
                selection = Selection(tag=topic.tag, indexed=self._closing_span())
            else:
                always = True
            page = self._documents.candidates(selection, PAGE, state.cursor)
            found, self._after = list(page.documents), page.after
        return self._chosen(found, always=always)

    def _chosen(self, found: list[Found], *, always: bool) -> list[tuple[Found, float]]:
        """Those of the found documents that get a probability by this step."""
        state, options, topic = self.state, self._options, self.state.topic
        evidence = self._weigh(found)[:, 0]
        if state.phase in ("nearest", "slices"):
            self._enough = len(found) < NEAREST[state.round] or hopeless(
                evidence, state.members, options.threshold, options.tolerated_loss
            )
        fresh = [
            (document, float(score))
            for document, score in zip(found, evidence, strict=True)
            if _unscored(document, topic)
            and (always or score >= options.least_score or topic.tag in document.hashtags or document.classification)
        ]
        state.examined += len(found)
        fresh.sort(key=lambda each: each[1])
        return fresh[-options.first :] if state.phase == "first" else fresh

    def _score(self, now: datetime) -> list[NewScore]:
        """Scores of the most promising of what waits: no more than the cross-encoder reads quickly."""
        state, options, topic = self.state, self._options, self.state.topic
        assert self._waiting is not None  # noqa: S101 - read just before
        evidence = np.array([score for _, score in self._waiting[-PAGE:]])
        undecided = self._judge.undecided(topic, evidence)
        allowed = min(options.judged_at_once, options.most_judged - state.judged)
        # From the end on, the most promising first; what the cross-encoder may not read any more keeps its evidence.
        ranks = np.cumsum(undecided[::-1])[::-1]
        taken = ranks <= allowed if state.judged + allowed < options.most_judged else np.ones(len(evidence), bool)
        judged = undecided & (ranks <= allowed)
        count = int(taken.sum())
        if not count:
            return []
        documents = [document for document, _ in self._waiting[len(self._waiting) - count :]]
        evidence, judged = evidence[-count:], judged[-count:]
        scores = np.array(self._judge.alone(evidence))
        if judged.any():
            read = [document for document, each in zip(documents, judged, strict=True) if each]
            scores[judged] = self._judge.verdicts(topic, read, evidence[judged])
            state.judged += len(read)
        del self._waiting[len(self._waiting) - count :]
        state.scored += count
        state.members += int((scores >= options.threshold).sum())
        model = self._judge.model
        return [
            NewScore(
                document,
                topic.tag,
                Classification(float(score), topic.trend_id, topic.at, model, now, bool(score >= options.threshold)),
            )
            for document, score in zip(documents, scores, strict=True)
        ]

    def _next(self) -> None:
        """What comes after a batch that is scored."""
        state, options = self.state, self._options
        if state.phase == "first":
            state.phase = "whole" if options.coverage == "all" else "nearest"
            if state.phase == "whole":
                counted = self._documents.slices(Selection(tag=state.topic.tag), SLICE)
                state.expected = sum(each.documents for each in counted)
        elif state.phase == "nearest":
            if self._enough:
                state.phase, state.round = "tagged", 0
            elif state.round + 1 < len(NEAREST):
                state.round += 1
            else:
                selection = Selection(tag=state.topic.tag, space=state.topic.space)
                state.spans = [each.span for each in self._documents.slices(selection, SLICE)]
                state.phase, state.round = ("slices", 0) if state.spans else ("tagged", 0)
        elif state.phase == "slices":
            if not self._enough and state.round + 1 < len(NEAREST):
                state.round += 1
            else:
                state.spans, state.round = state.spans[1:], 0
                if not state.spans:
                    state.phase = "tagged"
        else:
            state.cursor = self._after
            if state.cursor is None:
                self._next_after_pages()

    def _next_after_pages(self) -> None:
        state = self.state
        if state.phase == "tagged" and not state.anew:
            state.phase = "scored"
        elif state.phase in ("tagged", "scored", "whole"):
            state.phase = "closing"
        else:
            state.covered, state.closing_until, state.phase = state.closing_until, None, "settled"

    def _closing_span(self) -> Span:
        covered, until = self.state.covered, self.state.closing_until
        assert covered is not None and until is not None  # noqa: S101 - set before the phase began
        return Span(covered - SKEW, until + SKEW)


_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def _unscored(document: Found, topic: Topic) -> bool:
    """Whether the document has no score against this topic or a newer one."""
    known = document.classification
    return known is None or known.topic_at < topic.at


def _vector(topic: Topic) -> bytes | None:
    """Where the topic lies among the embeddings."""
    found = topic.centre or topic.label_vector
    return None if found is None or topic.space is None else bytes.fromhex(found)
