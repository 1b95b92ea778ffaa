"""A re-reading that a person starts: the job's own operators, in the command's process.

::

    documents with the tag ─┬─ describe ─ declare ─ announce ─ step ─ put ─ step ─ put ··· best documents
    a label ────────────────┘                       (board)    └─ kept in a file between steps

With a board (Redis answers), fresh posts are scored as well, and stay so after the end, until
the topic is taken off. Without one, only what is in the store is scored.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

import msgspec

from connectors.document_query import Query
from connectors.document_store import DocumentStore, Hit
from connectors.document_topics import Found, Selection
from connectors.patience import insist
from connectors.patient_documents import PatientDocuments
from connectors.redis_topics import TopicBoard
from connectors.score_sink import PARTITION, ScoreSink
from connectors.trend_feed import Roster
from dataflows import assembly
from dataflows.host import now
from dataflows.models import ServedModel
from dataflows.topics import Describer, Services, open_judge, rescoring_options
from dataflows.unfinished import Unfinished, UnfinishedFile
from groundswell import step_ids
from groundswell.candidates import ScoreBatch
from groundswell.errors import Draining, StopJob, Unavailable
from groundswell.settings import Settings
from groundswell.topics import Progress, Topic
from groundswell.waits import Waits
from operators.topics.by_hand import named, trend_of_documents
from operators.topics.rescoring import Rescoring
from operators.topics.rescoring_state import RescoringState

#: Documents with the tag that its sample is drawn from, the newest; and those beside that it is set apart from.
TAGGED: Final = 3_000
BESIDE: Final = 1_000
#: Best documents that are shown.
BEST: Final = 5
#: What people read of one that was stopped.
STOPPED: Final = "stopped"
#: How often the board is told of progress, and looked at, in seconds.
_TELLING: Final = 0.5


class Ended(msgspec.Struct, frozen=True):
    """What a run has done, together with the runs that it went on with.

    ``ended`` is ``done``, ``stopped`` by the caller, or ``taken off`` the board (or given a newer topic) by somebody
    else meanwhile. ``fresh`` says whether posts that come in are scored as well.
    """

    tag: str
    field: str
    label: str
    steps: tuple[str, ...]
    ended: str
    fresh: bool
    examined: int
    scored: int
    members: int
    judged: int


class Board(NamedTuple):
    """The board of topics, or why there is none."""

    topics: TopicBoard | None
    reason: str = ""


@contextmanager
def open_board(settings: Settings) -> Iterator[Board]:
    """The board of topics as far as Redis answers. Raises ``StopJob`` where it refuses."""
    try:
        url = assembly.redis_address(settings)
    except Unavailable as error:
        yield Board(None, error.reason)
        return
    if not url:
        yield Board(None, "redis.url is empty")
        return
    with assembly.open_redis(settings, url) as client:
        board = TopicBoard(client, settings.redis.prefix)
        try:
            board.stamp()
        except Unavailable as error:
            yield Board(None, f"Redis does not answer: {error.reason}")
            return
        yield Board(board)


class ByHand:
    """One run over ``store`` for ``tag``, which is normalised, with a person's ``label`` or none.

    ``on_topic`` is told the topic and whether an unfinished run is gone on with, ``on_progress`` how far it is.
    """

    def __init__(
        self,
        settings: Settings,
        store: DocumentStore,
        board: TopicBoard | None,
        model: ServedModel | None,
        tag: str,
        label: str | None,
        waits: Waits,
        stop: threading.Event,
        on_topic: Callable[[Topic, bool], None] = lambda _topic, _again: None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._tag = tag
        self._label = label
        self._waits = waits
        self._stop = stop
        self._on_topic = on_topic
        self._on_progress = on_progress
        self._describer = Describer(settings, model)
        self._judge = open_judge(settings, model)
        self._documents = PatientDocuments(store, waits, self._keep_waiting)
        self._services = (
            None if board is None else Services(settings, store, board, Roster(), model, waits, self._keep_waiting)
        )
        self._sink = ScoreSink(store, waits, self._keep_waiting, self._declare)

    def run(self) -> Ended:
        """Describe, score until nothing is left to do, and say what was done.

        Raises:
            StopJob: there is nothing to describe the tag by, it can have no field, or the store cannot be used.
            Draining: told to stop before there was a topic.
        """
        tag = self._tag
        file = UnfinishedFile(self._settings, self._place(), tag)
        state = self._unfinished(file)
        again = state is not None
        if state is None:
            state = RescoringState(self._topic(), now(), anew=False)
        refused = self._declare(tag)
        if refused:
            raise StopJob(f"documents cannot be scored by #{tag}: {refused}")
        if self._services is not None:
            self._services.announce(state.topic)
        self._on_topic(state.topic, again)
        rescoring = Rescoring(state, self._documents, self._judge, rescoring_options(self._settings))

        def keep() -> None:
            given = self._settings.reclassify
            file.keep(Unfinished(self._place(), tag, self._label, given.coverage, self._judge.model, rescoring.state))

        keep()
        ended = self._go_on(rescoring, keep)
        if ended == "done":
            file.forget()
            self._tell(rescoring.progress(now()))
        elif ended == STOPPED:
            keep()
            # Where Redis is silent now, nobody is told.
            with suppress(Draining):
                self._tell(msgspec.structs.replace(rescoring.progress(now()), phase=STOPPED))
        return Ended(
            tag,
            state.topic.field,
            state.topic.label,
            state.topic.steps,
            ended,
            self._services is not None and ended != "taken off",
            state.examined,
            state.scored,
            state.members,
            state.judged,
        )

    def _go_on(self, rescoring: Rescoring, keep: Callable[[], None]) -> str:
        """Step after step; how it ended."""
        state = rescoring.state
        put = self._sink.build_part(step_ids.SCORES, PARTITION, None)
        told = 0.0
        try:
            while state.phase not in ("settled", "over"):
                if self._stop.is_set():
                    return STOPPED
                phase = state.phase
                reports = {} if self._services is None else self._services.reports()
                step = rescoring.step(now(), reports)
                if step.scores:
                    put.write_batch([ScoreBatch(state.topic.tag, step.scores, step.refresh)])
                if state.phase != phase:
                    keep()
                progress = rescoring.progress(now())
                self._on_progress(progress)
                if state.phase != phase or time.monotonic() - told > _TELLING:
                    if self._taken_off(state.topic):
                        return "taken off"
                    self._tell(progress)
                    told = time.monotonic()
                if step.rest:
                    self._stop.wait(step.rest)
            self._documents.refresh()
        except Draining:
            return STOPPED
        return "done"

    def _unfinished(self, file: UnfinishedFile) -> RescoringState | None:
        """What is to be gone on with: it was asked for likewise, and nobody has given the tag a newer topic."""
        kept = file.load()
        given = self._settings.reclassify
        asked = (self._place(), self._tag, self._label, given.coverage, self._judge.model)
        if kept is None or (kept.store, kept.tag, kept.label, kept.coverage, kept.scored_by) != asked:
            return None
        if kept.state.topic.model != self._describer.evidence.name:
            return None
        known = self._known()
        return None if known is not None and known.at > kept.state.topic.at else kept.state

    def _topic(self) -> Topic:
        tag, label, known = self._tag, self._label, self._known()
        found = self._sample(tag)
        if label is None and not any(tag in each.hashtags for each in found):
            raise StopJob(
                f"no document carries #{tag}, so nothing says what it means: say what it is about with --label"
            )
        topic = self._describer.of_trend(trend_of_documents(tag, found), known)
        if label is not None:
            topic = named(topic, self._describer.of_label(tag, label, known))
        return insist(lambda: self._describer.refined(topic, self._store), self._waits, self._keep_waiting)

    def _sample(self, tag: str) -> list[Found]:
        """The newest documents with the tag, and the newest of all."""
        found: dict[str, Found] = {}
        for selection, most in ((Selection(tag=tag, kind="tagged"), TAGGED), (Selection(tag=tag), BESIDE)):
            after, left = None, most
            while left > 0:
                page = self._documents.candidates(selection, min(left, BESIDE), after)
                found |= {each.id: each for each in page.documents}
                after, left = page.after, left - len(page.documents)
                if after is None:
                    break
        return list(found.values())

    def _known(self) -> Topic | None:
        return None if self._services is None else self._services.announced(self._tag)

    def _taken_off(self, topic: Topic) -> bool:
        """Whether somebody has taken the topic off the board, or put a newer one in its place."""
        if self._services is None:
            return False
        known = self._known()
        return known is None or known.at > topic.at

    def _declare(self, tag: str) -> str:
        """Give the tag its field; why it gets none, or nothing."""
        if self._services is not None:
            return self._services.declare(tag)[1]
        most = self._settings.reclassify.max_labels
        # Which topics are active nobody knows here: what is live stays.
        found = insist(lambda: self._store.declare([tag], keep=None, max_labels=most), self._waits, self._keep_waiting)
        return next((each.detail for each in found.refused if each.tag == tag), "")

    def _tell(self, progress: Progress) -> None:
        if self._services is not None:
            self._services.tell(self._tag, progress)

    def _place(self) -> str:
        return f"{assembly.documents_url(self._settings)} {self._settings.documents.alias}"

    def _keep_waiting(self) -> bool:
        return not self._stop.is_set()


def take_off(board: TopicBoard, tag: str) -> Topic | None:
    """Have fresh posts scored by a tag no more; the topic that was on the board, if any.

    Raises ``StopJob`` for a topic that the job has put there: it goes with its trend.
    """
    topic = board.topics()[1].get(tag)
    if topic is None:
        return None
    if topic.trend_id != tag:
        raise StopJob(f"#{tag} trends by itself: the job scores posts by it until the trend has ended")
    board.remove(tag, topic.at)
    board.forget_progress(tag)
    return topic


def best(store: DocumentStore, tag: str, field: str, limit: int = BEST) -> list[Hit]:
    """The documents that are most probably about a tag."""
    hits = store.search(Query(sort=field, limit=limit))
    return [hit for hit in hits if tag in hit.document.classification]
