"""From settings to what re-reading and inline scoring need: models, the board of topics, the store's fields."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from connectors.document_store import DocumentStore
from connectors.patience import insist
from connectors.redis_topics import TopicBoard
from connectors.trend_feed import Roster
from dataflows.host import now
from dataflows.models import ServedModel, model_repository
from groundswell.candidates import Selection
from groundswell.errors import ModelError
from groundswell.in_flight import InFlight
from groundswell.metrics import DOCUMENTS_JUDGED
from groundswell.settings import Settings
from groundswell.topics import Progress, Topic, TopicsKnown
from groundswell.trends import Trend, TrendEvent
from groundswell.waits import Waits
from inference.evidence_model import EvidenceModel
from inference.limits import Lane
from inference.names import parse
from operators.topics.description import Embed, Segments, describe, describe_label
from operators.topics.inline import InlineTopics
from operators.topics.judge import Judge
from operators.topics.judging import EvidenceJudge, LabelJudge, Read
from operators.topics.refinement import NEAR, Documents, refine
from operators.topics.rescoring_state import RescoringOptions
from operators.topics.segmentation import WORD_MODEL, Segmenter

_LOG = logging.getLogger("groundswell.topics")

T = TypeVar("T")

#: How long the reports of processes are believed before they are asked for again, in seconds.
_REPORTS_SECONDS = 0.1


def rescoring_options(settings: Settings) -> RescoringOptions:
    """How far a re-reading goes."""
    given = settings.reclassify
    return RescoringOptions(
        coverage=given.coverage,
        threshold=given.threshold,
        least_score=given.least_score,
        first=given.first,
        first_nearest=4 * given.first,
        # Where nothing but reading tells, what is not read has no score.
        most_judged=given.most_judged if given.scorer == "evidence" else sys.maxsize,
        tolerated_loss=given.tolerated_loss,
    )


def open_evidence(settings: Settings) -> EvidenceModel:
    """The evidence model of the settings. Raises ``ModelError`` where there is none, or it is damaged."""
    return EvidenceModel.load(model_repository(settings).open(settings.reclassify.evidence))


def can_reclassify(settings: Settings) -> bool:
    """Whether the repository holds what documents are re-read with; says so where it does not."""
    missing = _missing(settings)
    if missing:
        _LOG.warning(
            "documents are not scored by what trends: the repository holds no model %s (groundswell models list)",
            " and no model ".join(missing),
        )
    return not missing


def _missing(settings: Settings) -> list[str]:
    there = model_repository(settings).models()
    return [name for name in (parse(settings.reclassify.evidence)[0], WORD_MODEL) if name not in there]


def reads_pairs(settings: Settings) -> bool:
    """Whether a cross-encoder has a say in what documents are scored, so that it must be loaded."""
    given = settings.reclassify
    if not given.cross_encoder or _missing(settings):
        return False
    return given.scorer == "nli" or parse(given.cross_encoder)[0] in open_evidence(settings).readings


def open_judge(settings: Settings, model: ServedModel | None, lane: Lane = Lane.BACKFILL) -> Judge:
    """What scores documents. Raises ``ModelError`` where the settings name no model for it."""
    given = settings.reclassify
    read = None if model is None or model.cross_encoder is None else label_reader(model, given.template, lane)
    if given.scorer == "nli":
        if read is None or model is None or model.cross_encoder is None:
            raise ModelError("reclassify.scorer = 'nli' needs a cross-encoder: set reclassify.cross_encoder")
        return LabelJudge(read, model.cross_encoder)
    reader = "" if model is None or model.cross_encoder is None else model.cross_encoder.partition("@")[0]
    return EvidenceJudge(open_evidence(settings), read, reader, given.threshold)


def open_inline(
    settings: Settings, board: TopicBoard, reader: str, model: ServedModel | None, in_flight: InFlight
) -> InlineTopics | None:
    """What scores fresh posts against the topics on the board; ``None`` where the repository holds no model for it."""
    given = settings.reclassify
    if not can_reclassify(settings):
        return None
    return InlineTopics(
        board,
        reader,
        open_judge(settings, model, Lane.LIVE),
        in_flight,
        now,
        threshold=given.threshold,
        least_score=given.least_score,
        refresh=given.refresh,
    )


def label_reader(model: ServedModel, template: str, lane: Lane) -> Read:
    """How probably texts are about a label, which ``template`` makes a sentence of; ``model`` has a cross-encoder."""

    def read(label: str, texts: Sequence[str]) -> Sequence[float | None]:
        DOCUMENTS_JUDGED.labels(lane.name.lower()).inc(len(texts))
        return model.entailed(texts, template.format(label), lane)

    return read


class Describer:
    """Makes topics, with the models of the settings. Raises ``ModelError`` where the repository lacks one."""

    def __init__(self, settings: Settings, model: ServedModel | None) -> None:
        self.evidence: Final = open_evidence(settings)
        self._segmenter: Segments = Segmenter.open(model_repository(settings))
        self._model = model

    def of_trend(self, trend: Trend, known: Topic | None) -> Topic:
        """The topic of a trend, made now: later than the ``known`` one of its tag."""
        embed, space = self._vectors()
        return describe(trend, self._segmenter, embed, space, _after(known), self.evidence)

    def of_label(self, tag: str, label: str, known: Topic | None) -> Topic:
        """The topic that a person names, likewise."""
        embed, space = self._vectors()
        return describe_label(tag, label, embed, space, _after(known), self.evidence)

    def refined(self, topic: Topic, store: DocumentStore) -> Topic:
        """The topic as the documents nearest to it show it: how frequent it is, and what sets it apart from them."""
        vector = topic.centre or topic.label_vector
        if vector is None or topic.space is None:
            return topic
        near = store.nearest_candidates(bytes.fromhex(vector), NEAR, Selection(tag=topic.tag, space=topic.space))
        if not near:
            return topic
        found = Documents(
            [each.text for each in near],
            [each.vector for each in near],
            [each.hashtags for each in near],
            store.count(),
        )
        return refine(topic, found, self.evidence, topic.at)

    def _vectors(self) -> tuple[Embed | None, str | None]:
        space = None if self._model is None else self._model.embedding_space()
        return (None, None) if self._model is None or space is None else (self._model.vectors, space)


def _after(known: Topic | None) -> datetime:
    # A clock that was set back must not make the newer topic look older.
    return now() if known is None else max(now(), known.at + timedelta(microseconds=1))


class Services:
    """What a re-reading asks of the world; see :class:`operators.topics.rescore.TopicServices`.

    Every call waits an outage out.
    """

    def __init__(
        self,
        settings: Settings,
        store: DocumentStore,
        board: TopicBoard,
        roster: Roster,
        model: ServedModel | None,
        waits: Waits,
        keep_waiting: Callable[[], bool],
    ) -> None:
        self._given = settings.reclassify
        self._store = store
        self._board = board
        self._roster = roster
        self._describer = Describer(settings, model)
        self._waits = waits
        self._keep_waiting = keep_waiting
        self._reports: dict[str, TopicsKnown] = {}
        self._asked = 0.0

    def describe(self, event: TrendEvent, known: Topic | None) -> Topic:
        topic = self._describer.of_trend(event.trend, known)
        return self._insist(lambda: self._describer.refined(topic, self._store))

    def declare(self, tag: str) -> tuple[bool, str]:
        before = self._insist(self._store.labels)
        active = self._insist(self._board.topics)[1]
        keep = self._recent_tags()
        # Those that are active come before it: a cap that is reached refuses the newcomer.
        found = self._insist(lambda: self._store.declare([*active, tag], keep=keep, max_labels=self._given.max_labels))
        refused = next((each.detail for each in found.refused if each.tag == tag), "")
        return tag not in before.fields, refused

    def announced(self, tag: str) -> Topic | None:
        return self._insist(self._board.topics)[1].get(tag)

    def announce(self, topic: Topic) -> None:
        self._insist(lambda: self._board.put(topic))

    def withdraw(self, tag: str, until: datetime) -> None:
        self._insist(lambda: self._board.remove(tag, until))

    def is_active(self, trend_id: str) -> bool | None:
        return self._roster.is_active(trend_id)

    def reports(self) -> Mapping[str, TopicsKnown]:
        if time.monotonic() - self._asked > _REPORTS_SECONDS:
            self._reports = self._insist(self._board.reports)
            self._asked = time.monotonic()
        return self._reports

    def tell(self, tag: str, progress: Progress | None) -> None:
        if progress is None:
            self._insist(lambda: self._board.forget_progress(tag))
        else:
            self._insist(lambda: self._board.put_progress({tag: progress}))

    def _recent_tags(self) -> set[str]:
        """Tags of trends that are active, or were a short while ago."""
        since = now() - timedelta(seconds=self._given.keep_label)
        trends = self._insist(self._store.trends)
        return {trend.tag for trend in trends if trend.active or (trend.until is not None and trend.until > since)}

    def _insist(self, ask: Callable[[], T]) -> T:
        return insist(ask, self._waits, self._keep_waiting)
