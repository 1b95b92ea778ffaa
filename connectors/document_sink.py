"""The sink that writes documents, and confirms them before an epoch closes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.credits import Credits
from connectors.dead_letters import DeadLetterStore
from connectors.document_store import DocumentStore, DocumentWriter, KeepWaiting, Refusal, WriteResult
from groundswell import metrics
from groundswell.in_flight import InFlight
from groundswell.records import Batch, DeadLetter, analysed_at

STEP = "documents"


class DeadShareGuard(Protocol):
    """Stops the job when too many of its posts end as dead letters."""

    def count(self, posts: int, letters: Sequence[DeadLetter]) -> None: ...


def slot_name(slot: int) -> str:
    """The partition key of a slot.

    >>> slot_name(7)
    '07'
    """
    return f"{slot:02d}"


class DocumentSink(FixedPartitionedSink[Batch, None]):
    """Items are ``(slot, batch)`` with the slot's number as text; ``slots`` are this process's.

    All partitions of a process share one writer, so that bulks fill whatever the number
    of partitions. What a writer refuses is put into the dead letters before the
    snapshot of the epoch in which it was written returns. ``guard`` is told of every
    settled write and of the letters among it, ``in_flight`` of every document that was confirmed.
    """

    def __init__(
        self,
        store: DocumentStore,
        dead_letters: DeadLetterStore,
        credits: Credits,  # noqa: A002 (their proper name)
        slots: Sequence[int],
        keep_waiting: KeepWaiting,
        guard: DeadShareGuard | None = None,
        *,
        in_flight: InFlight | None = None,
    ) -> None:
        self._slots = slots
        self._credits = credits
        self._confirmed = _ConfirmedWriter(store, dead_letters, keep_waiting, guard, in_flight)

    def list_parts(self) -> list[str]:
        return [slot_name(slot) for slot in self._slots]

    def part_fn(self, item_key: str) -> int:
        return int(item_key)

    def raise_failure(self) -> None:
        """Raise what closing the partitions could not; to be called when the flow has ended."""
        if self._confirmed.failure is not None:
            raise self._confirmed.failure

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 (the engine passes it)
        for_part: str,  # noqa: ARG002
        resume_state: None,  # noqa: ARG002
    ) -> StatefulSinkPartition[Batch, None]:
        self._confirmed.open()
        return _DocumentPartition(self._confirmed, self._credits)


class _DocumentPartition(StatefulSinkPartition[Batch, None]):
    def __init__(self, confirmed: _ConfirmedWriter, credits: Credits) -> None:  # noqa: A002
        self._confirmed = confirmed
        self._credits = credits

    def write_batch(self, values: list[Batch]) -> None:
        for batch in values:
            self._confirmed.add(batch)
            self._credits.release(batch.records, batch.size)

    def snapshot(self) -> None:
        self._confirmed.confirm()

    def close(self) -> None:
        self._confirmed.close()


class _ConfirmedWriter:
    """One writer for all partitions of a process, opened at the first batch; thread-safe."""

    def __init__(
        self,
        store: DocumentStore,
        dead_letters: DeadLetterStore,
        keep_waiting: KeepWaiting,
        guard: DeadShareGuard | None,
        in_flight: InFlight | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self._keep_waiting = keep_waiting
        self._guard = guard
        self._in_flight = in_flight
        #: When the batches were analysed that are added and not confirmed.
        self._added: list[datetime] = []
        self._now = now
        self._lock = threading.Lock()
        self._users = 0
        self._writer: DocumentWriter | None = None
        #: Held while refusals go into the dead letters: a snapshot must not overtake them.
        self._putting = threading.Lock()
        self._refused: list[Refusal] = []
        self._settled = 0
        #: Why not everything that was added is confirmed, once the flow has ended.
        self.failure: Exception | None = None
        self._seconds = metrics.STEP_SECONDS.labels(STEP)

    def open(self) -> None:
        """One more partition uses the writer."""
        with self._lock:
            self._users += 1

    def add(self, batch: Batch) -> None:
        """Hand a batch to the writer."""
        if not batch.changes:
            return
        began = time.perf_counter()
        with self._lock:
            if self._writer is None:
                self._writer = self._store.writer(self._count, self._keep_waiting)
        try:
            self._writer.add(batch.changes)
            if (at := analysed_at(batch)) is not None:
                with self._lock:
                    self._added.append(at)
            self._seconds.observe(time.perf_counter() - began)
            if self._refused:
                self._put_refused()
        except Exception as error:
            self.failure = error
            raise

    def confirm(self) -> None:
        """Return once everything added is a document, gone, or a dead letter."""
        with self._lock:
            added, self._added = self._added, []
        try:
            if self._writer is not None:
                self._writer.flush()
            self._put_refused()
            if self._in_flight is not None:
                self._in_flight.finish(added)
        except Exception as error:
            self.failure = error
            raise

    def close(self) -> None:
        """One partition less; the last one closes the writer.

        Never raises, for the engine closes partitions while it unwinds and would abort
        the process: what went wrong is left in ``failure``.
        """
        with self._lock:
            self._users -= 1
            if self._users or self._writer is None:
                return
            writer, self._writer = self._writer, None
        try:
            if self.failure is None:
                writer.flush()
                self._put_refused()
        except Exception as error:  # noqa: BLE001 - the boundary: kept, and raised where it can be
            self.failure = error
        writer.close()

    def _count(self, result: WriteResult) -> None:
        metrics.DOCUMENTS_WRITTEN.inc(result.created)
        metrics.DOCUMENTS_DUPLICATE.inc(result.duplicates)
        metrics.DOCUMENTS_DELETED.inc(result.deleted)
        metrics.DOCUMENTS_UNLABELLED.inc(result.unlabelled)
        if result.sample_time:
            # One post a bulk stands for its neighbours.
            metrics.FRESHNESS_SECONDS.observe(max(0.0, time.time() - result.sample_time))
        with self._lock:
            self._settled += result.created + result.duplicates
            self._refused.extend(result.refused)

    def _put_refused(self) -> None:
        with self._putting:
            with self._lock:
                refused, self._refused = self._refused, []
                settled, self._settled = self._settled, 0
            letters = [_letter(refusal, self._now()) for refusal in refused]
            if letters:
                try:
                    self._dead_letters.put(letters, self._keep_waiting)
                except BaseException:
                    # Another worker's snapshot may still come by: it must not pass without them.
                    with self._lock:
                        self._refused[:0] = refused
                    raise
                for letter in letters:
                    metrics.DEAD_LETTERS.labels(STEP, letter.cause).inc()
            if self._guard is not None:
                self._guard.count(settled + len(letters), letters)


def _letter(refusal: Refusal, now: datetime) -> DeadLetter:
    envelope = refusal.envelope
    return DeadLetter(envelope.origin, STEP, refusal.cause, refusal.detail, now, envelope.raw)
