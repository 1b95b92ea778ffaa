"""The sink that writes what documents were scored, and has it durable before an epoch closes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.document_store import DocumentStore, KeepWaiting
from connectors.patience import Patience
from groundswell import metrics, step_ids
from groundswell.candidates import ScoreBatch
from groundswell.errors import Unavailable
from groundswell.waits import Waits

_LOG = logging.getLogger("groundswell.topics")

PARTITION = "00"


class ScoreSink(FixedPartitionedSink[ScoreBatch, None]):
    """Items are ``(tag, batch)``. ``declare`` gives a tag its field where an index turns out to lack it."""

    def __init__(
        self, store: DocumentStore, waits: Waits, keep_waiting: KeepWaiting, declare: Callable[[str], object]
    ) -> None:
        self._store = store
        self._waits = waits
        self._keep_waiting = keep_waiting
        self._declare = declare

    def list_parts(self) -> list[str]:
        return [PARTITION]

    def part_fn(self, item_key: str) -> int:  # noqa: ARG002 (there is one)
        return 0

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 (the engine passes it)
        for_part: str,  # noqa: ARG002
        resume_state: None,  # noqa: ARG002
    ) -> StatefulSinkPartition[ScoreBatch, None]:
        return _ScorePartition(self._store, self._waits, self._keep_waiting, self._declare)


class _ScorePartition(StatefulSinkPartition[ScoreBatch, None]):
    """Holds nothing back: what was written is durable, so a snapshot has nothing to wait for."""

    def __init__(
        self, store: DocumentStore, waits: Waits, keep_waiting: KeepWaiting, declare: Callable[[str], object]
    ) -> None:
        self._store = store
        self._waits = waits
        self._keep_waiting = keep_waiting
        self._declare = declare
        self._seconds = metrics.STEP_SECONDS.labels(step_ids.SCORES)

    def write_batch(self, values: list[ScoreBatch]) -> None:
        for batch in values:
            began = time.perf_counter()
            self._put(batch)
            self._seconds.observe(time.perf_counter() - began)
            if batch.began is not None:
                metrics.FIRST_SCORES_SECONDS.observe((datetime.now(UTC) - batch.began).total_seconds())

    def snapshot(self) -> None:
        return None

    def _put(self, batch: ScoreBatch) -> None:
        scores, declared = list(batch.scores), False
        patience = Patience("documents", self._waits, self._keep_waiting)
        while scores:
            try:
                result = self._store.put_scores(scores, refresh=batch.refresh)
            except Unavailable as error:
                patience.pause(error.reason)
                continue
            if result.written or not result.again:
                patience.succeeded()
            metrics.SCORES_WRITTEN.inc(result.written)
            metrics.SCORES_PASSED.inc(result.passed)
            scores = list(result.again)
            if scores:
                patience.pause("it takes only some of the scores now")
            if result.refused and not declared:
                # An index was made meanwhile by somebody else, without the field.
                self._declare(batch.tag)
                declared = True
                scores += [each.score for each in result.refused]
            elif result.refused:
                _LOG.error("%d scores by %s are lost: %s", len(result.refused), batch.tag, result.refused[0].detail)
                metrics.SCORES_REFUSED.inc(len(result.refused))
