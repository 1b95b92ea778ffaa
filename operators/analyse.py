"""Analyse: each post becomes a document, with what the models say of its text.

A post that the model cannot score is a document all the same, without an analysis;
the engine counts it. Deletions keep their place among the posts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

import bytewax.operators as op
from bytewax.dataflow import Stream

from groundswell.in_flight import InFlight
from groundswell.metrics import STEP_SECONDS
from groundswell.records import Analysis, Batch, Document, Envelope, Post
from inference.rows import RowError
from inference.tasks import EMOTION, SENTIMENT

STEP: Final = "analyse"

#: Texts handed over at once: enough to fill the device, little enough to be no burden.
CHUNK: Final = 4096


#: The engine as this step sees it: one answer a text, in order.
Submit = Callable[[Sequence[str]], Sequence[Analysis | RowError]]


class Analyses(Protocol):
    """What the step needs of an analyser."""

    def analyse_all(self, batches: Sequence[Batch]) -> None: ...


class ScoresTopics(Protocol):
    """Scores fresh documents against what trends; see :class:`operators.topics.inline.InlineTopics`."""

    def score(self, documents: Sequence[Document], now: datetime) -> None: ...


class Analyser:
    """Makes documents of posts. ``submit`` is ``None`` where no model is to score them; ``clock`` gives UTC.

    ``in_flight`` is told when the documents of a batch were made, ``topics`` scores them
    against what trends.
    """

    def __init__(
        self,
        submit: Submit | None,
        clock: Callable[[], datetime],
        chunk: int = CHUNK,
        *,
        in_flight: InFlight | None = None,
        topics: ScoresTopics | None = None,
    ) -> None:
        self._submit = submit
        self._clock = clock
        self._chunk = chunk
        self._in_flight = in_flight
        self._topics = topics

    def analyse(self, batch: Batch) -> Batch:
        """The batch, each of its envelopes with its document."""
        self.analyse_all([batch])
        return batch

    def analyse_all(self, batches: Sequence[Batch]) -> None:
        """Give every envelope of the batches its document; the texts of all share the device calls."""
        now = self._clock()
        if self._in_flight is not None:
            for batch in batches:
                if any(type(change) is Envelope for change in batch.changes):
                    self._in_flight.begin(now)
        envelopes = [change for batch in batches for change in batch.changes if type(change) is Envelope]
        for start in range(0, len(envelopes), self._chunk):
            self._analyse(envelopes[start : start + self._chunk], now)

    def _analyse(self, envelopes: Sequence[Envelope], now: datetime) -> None:
        made = []
        answers: Sequence[Analysis | RowError | None] = [None] * len(envelopes)
        if self._submit is not None:
            answers = self._submit([envelope.post.text for envelope in envelopes])
        for envelope, answer in zip(envelopes, answers, strict=True):
            analysis = answer if isinstance(answer, Analysis) else None
            envelope.document = document(envelope.post, now, analysis)
            made.append(envelope.document)
        if self._topics is not None:
            self._topics.score(made, now)


def document(post: Post, indexed_at: datetime, analysis: Analysis | None = None) -> Document:
    """The document of a post; positional, for this runs once a post and names cost twice the time."""
    if analysis is None:
        return Document(
            post.id,
            post.source,
            post.text,
            post.created_at,
            indexed_at,
            post.author,
            post.lang,
            post.hashtags,
            post.url,
            post.reply_to,
            post.repost_of,
            post.geo,
        )
    scores, embedding = analysis.scores, analysis.embedding
    return Document(
        post.id,
        post.source,
        post.text,
        post.created_at,
        indexed_at,
        post.author,
        post.lang,
        post.hashtags,
        post.url,
        post.reply_to,
        post.repost_of,
        post.geo,
        scores.get(SENTIMENT),
        scores.get(EMOTION),
        None if embedding is None else embedding.hex(),
        analysis.embedding_space,
        analysis.model,
        analysis.truncated,
    )


def analyse_step(step_id: str, stream: Stream[Batch], analyser: Analyses) -> Stream[Batch]:
    """The step that carries an analyser; all batches of one activation are analysed together."""
    seconds = STEP_SECONDS.labels(STEP)

    def step(batches: list[Batch]) -> list[Batch]:
        began = time.perf_counter()
        analyser.analyse_all(batches)
        if any(batch.records for batch in batches):
            seconds.observe(time.perf_counter() - began)
        return batches

    return op.flat_map_batch(step_id, stream, step)
