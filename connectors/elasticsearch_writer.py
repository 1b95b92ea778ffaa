"""Writes documents to Elasticsearch: bulks in flight, retried item by item, in order for each document.

Two operations on one document are never in flight together. A change whose document
has one under way is held back until that has settled, so neither the several bulks in
flight nor the retry of some items of a bulk can reorder what happens to a document.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from connectors.bulk_answer import FILTER_PATH, UNDECLARED, ItemError, Outcome, decode_answer
from connectors.classification_json import without_labels
from connectors.document_store import Change, KeepWaiting, Refusal, WriteResult
from connectors.elasticsearch_bulk import ActionLines, Bulk
from connectors.elasticsearch_client import ELASTICSEARCH, ElasticsearchClient, Rejected, TooLarge
from connectors.elasticsearch_deletes import locate
from connectors.patience import Patience
from groundswell.errors import Draining, StopJob, Unavailable
from groundswell.records import Deletion, Envelope, document_id
from groundswell.topics import field_of
from groundswell.waits import Waits

#: Deletions that wait to be resolved together.
_DELETIONS = 1000
#: Seconds without an answer after which the wait is named, and may be given up.
_SILENCE = 5.0

Judged = tuple[Outcome, ItemError | None]


class BulkLimits(msgspec.Struct, frozen=True):
    """Bounds of a bulk (uncompressed bytes) and of the bulks in flight; ``backoff`` is (first, longest) in seconds."""

    documents: int = 2_000
    size: int = 4 * 1024 * 1024
    in_flight: int = 2
    compress: bool = True
    backoff: tuple[float, float] = (0.1, 3.0)


class _Settled:
    """What became of one bulk."""

    def __init__(self, bulk: Bulk) -> None:
        self.bulk = bulk
        self.result = WriteResult(refused=[])
        self.refused_ids: set[str] = set()

    def refuse(self, bulk: Bulk, position: int, cause: str, detail: str) -> None:
        envelope = bulk.envelopes[position]
        if envelope is None:
            raise StopJob(f"Elasticsearch refuses to delete a document: {detail}")
        self.result.refused.append(Refusal(envelope, cause, detail))
        self.refused_ids.add(bulk.ids[position])


class ElasticsearchWriter:
    """A :class:`~connectors.document_store.DocumentWriter`.

    Holds about ``limits.in_flight + 1`` bulks, whatever happens.
    """

    def __init__(
        self,
        client: ElasticsearchClient,
        alias: str,
        actions: ActionLines,
        limits: BulkLimits,
        waits: Waits,
        on_result: Callable[[WriteResult], None],
        keep_waiting: KeepWaiting,
    ) -> None:
        self._client = client
        self._alias = alias
        self._actions = actions
        self._limits = limits
        self._waits = waits
        self._on_result = on_result
        self._may_wait = keep_waiting
        self._closed = False
        self._lock = threading.RLock()
        self._pool = ThreadPoolExecutor(limits.in_flight, thread_name_prefix="bulk")
        self._filling = Bulk()
        #: Ids of what fills or is in flight.
        self._pending: set[str] = set()
        self._held: dict[str, deque[Change]] = {}
        self._held_count = 0
        self._deletions: dict[str, Deletion] = {}
        self._news = threading.Condition()
        self._in_flight = 0
        self._settled: list[_Settled] = []
        self._failure: BaseException | None = None

    def add(self, changes: Sequence[Change]) -> None:
        with self._lock:
            self._raise_failure()
            for change in changes:
                self._take(change)
            if len(self._deletions) >= _DELETIONS or self._held_count >= self._limits.documents:
                self.flush()
            else:
                self._harvest()

    def flush(self) -> None:
        with self._lock:
            self._raise_failure()
            while self._filling or self._pending or self._deletions or self._held:
                self._submit()
                self._wait_for(lambda: self._in_flight == 0)
                if self._deletions:
                    self._delete()

    def close(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    # -- taking changes, on the caller's thread ---------------------------------

    def _take(self, change: Change) -> None:
        if isinstance(change, Deletion):
            self._take_deletion(change)
        else:
            self._take_post(change)

    def _take_deletion(self, deletion: Deletion) -> None:
        identity = document_id(deletion.source, deletion.id)
        if identity in self._pending or identity in self._held:
            self._hold(identity, deletion)
        else:
            self._deletions[identity] = deletion

    def _take_post(self, change: Envelope) -> None:
        document = change.document
        if document is None:
            raise ValueError(f"the post from {change.origin.key} has no document")
        identity = document_id(document.source, document.id)
        if identity in self._pending or identity in self._held or identity in self._deletions:
            self._hold(identity, change)
            return
        bulk = self._filling
        try:
            bulk.create(self._actions.before_id(document.created_at), identity, change, document)
        except UnicodeEncodeError as error:
            self._on_result(WriteResult(refused=[Refusal(change, "not_unicode", str(error))]))
            return
        self._pending.add(identity)
        if len(bulk.body) > self._limits.size and len(bulk) > 1:
            self._filling = bulk.take_last()
            self._send_off(bulk)
        if len(self._filling) >= self._limits.documents or len(self._filling.body) >= self._limits.size:
            self._submit()

    def _hold(self, identity: str, change: Change) -> None:
        self._held.setdefault(identity, deque()).append(change)
        self._held_count += 1

    def _release(self, identity: str, exists: bool) -> None:
        """Go on with what was held back for a document that has now settled."""
        held = self._held.pop(identity, None)
        if held is None:
            return
        self._held_count -= len(held)
        duplicates = 0
        while exists and held and not isinstance(held[0], Deletion):
            held.popleft()
            duplicates += 1
        if duplicates:
            self._on_result(WriteResult(duplicates=duplicates, refused=[]))
        for change in held:
            self._take(change)

    # -- bulks in flight --------------------------------------------------------

    def _submit(self) -> None:
        if self._filling:
            bulk, self._filling = self._filling, Bulk()
            self._send_off(bulk)

    def _send_off(self, bulk: Bulk) -> None:
        """Carry a bulk that fills no more; what is released meanwhile goes into the next one."""
        try:
            # Again after each wait: what it released may have filled a bulk that took the free place.
            while self._in_flight >= self._limits.in_flight:
                self._wait_for(lambda: self._in_flight < self._limits.in_flight)
        except BaseException as error:
            # The bulk is in nobody's hands now: no later flush may pass without it.
            self._failure = self._failure or error
            raise
        with self._news:
            self._in_flight += 1
        self._pool.submit(self._carry, bulk)
        self._harvest()

    def _carry(self, bulk: Bulk) -> None:
        """Runs on the pool: settle a bulk, or note why the writer has failed."""
        settled = None
        failure: BaseException | None = None
        try:
            settled = self._send(bulk)
        except BaseException as error:  # noqa: BLE001 - the boundary: raised again on the caller's thread
            failure = error
        with self._news:
            self._in_flight -= 1
            if settled is not None:
                self._settled.append(settled)
            self._failure = self._failure or failure
            self._news.notify_all()

    def _wait_for(self, reached: Callable[[], bool]) -> None:
        """Wait for the bulks in flight; a long silence is named, and given up when the job may not wait."""
        silence = self._patience()
        began = time.monotonic()
        named = False
        try:
            with self._news:
                while not reached() and self._failure is None:
                    self._news.wait(0.1)
                    waited = time.monotonic() - began
                    if waited > _SILENCE:
                        named = True
                        silence.name(f"no answer to a bulk for {waited:.0f} s")
                        if not self._keep_waiting():
                            raise Draining("gave up waiting for elasticsearch: no answer to a bulk")
        finally:
            if named:
                silence.succeeded()
        self._raise_failure()
        self._harvest()

    def _harvest(self) -> None:
        with self._news:
            settled, self._settled = self._settled, []
        for one in settled:
            self._pending.difference_update(one.bulk.ids)
            self._on_result(one.result)
            if self._held:
                for identity in one.bulk.ids:
                    self._release(identity, identity not in one.refused_ids)

    def _send(self, bulk: Bulk) -> _Settled:
        settled = _Settled(bulk)
        patience = self._patience()
        todo = [bulk]
        while todo:
            part = todo.pop()
            body = gzip.compress(part.body, 1, mtime=0) if self._limits.compress else bytes(part.body)
            try:
                answer = self._client.bulk(body, FILTER_PATH, gzipped=self._limits.compress)
                outcomes = decode_answer(answer, len(part))
            except (Unavailable, ValueError) as error:
                todo.append(part)
                settled.result.retried += len(part)
                patience.pause(error.reason if isinstance(error, Unavailable) else str(error))
                continue
            except TooLarge as error:
                if len(part) == 1:
                    settled.refuse(part, 0, "too_large", str(error))
                else:
                    todo.extend(reversed(part.halves()))
                continue
            except Rejected as error:
                raise StopJob(f"Elasticsearch does not take bulks: {error}") from None
            bare, outcomes = self._without_labels(settled, part, outcomes)
            if bare:
                todo.append(bare)
            again, reason = _settle(settled, part, outcomes)
            if again:
                todo.append(part.only(again))
                settled.result.retried += len(again)
                patience.pause(reason)
            else:
                patience.succeeded()
        return settled

    def _without_labels(self, settled: _Settled, bulk: Bulk, outcomes: list[Judged]) -> tuple[Bulk, list[Judged]]:
        """The creates that were refused for a label that their index does not have, without it; and what is left.

        A post outlives its classifications: they can be made again, and a label that no
        index takes any more belongs to a trend that is over.
        """
        bare = Bulk()
        others = list(outcomes)
        for position, (outcome, error) in enumerate(outcomes):
            envelope = bulk.envelopes[position]
            if outcome is not Outcome.REFUSED or error is None or error.type != UNDECLARED or envelope is None:
                continue
            document = envelope.document
            if document is None or not document.classification:
                continue
            named = [tag for tag in document.classification if f"[{field_of(tag)}]" in (error.reason or "")]
            kept = without_labels(document, named or document.classification)
            settled.result.unlabelled += len(document.classification) - len(kept.classification)
            bare.create(
                self._actions.before_id(kept.created_at),
                bulk.ids[position],
                msgspec.structs.replace(envelope, document=kept),
                kept,
            )
            others[position] = (Outcome.ABSENT, None)
        return bare, others

    # -- deletions, on the caller's thread --------------------------------------

    def _delete(self) -> None:
        """Resolve and delete; every earlier create of these documents has settled."""
        deletions, self._deletions = self._deletions, {}
        try:
            found = self._persist(lambda: locate(self._client, self._alias, list(deletions)))
            bulk = Bulk()
            for index, identity in found:
                bulk.delete(index, identity)
            if bulk:
                self._on_result(self._send(bulk).result)
        except BaseException as error:
            self._failure = error
            raise
        for identity in deletions:
            self._release(identity, exists=False)

    def _persist(self, ask: Callable[[], Any]) -> Any:
        patience = self._patience()
        while True:
            try:
                answer = ask()
            except (Unavailable, ValueError) as error:
                patience.pause(str(error))
            except (Rejected, TooLarge) as error:
                raise StopJob(f"Elasticsearch cannot find documents that are to be deleted: {error}") from None
            else:
                patience.succeeded()
                return answer

    def _patience(self) -> Patience:
        base, cap = self._limits.backoff
        return Patience(ELASTICSEARCH, self._waits, self._keep_waiting, base=base, cap=cap)

    def _keep_waiting(self) -> bool:
        return not self._closed and self._may_wait()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _settle(settled: _Settled, bulk: Bulk, outcomes: list[Judged]) -> tuple[list[int], str]:
    """Count the outcomes; the positions to send again, and why."""
    result = settled.result
    again: list[int] = []
    reason = ""
    for position, (outcome, error) in enumerate(outcomes):
        if outcome is Outcome.CREATED:
            result.created += 1
            envelope = bulk.envelopes[position]
            if envelope is not None and not result.sample_time:
                result.sample_time = envelope.post.created_at.timestamp()
        elif outcome is Outcome.DUPLICATE:
            result.duplicates += 1
        elif outcome is Outcome.DELETED:
            result.deleted += 1
        elif outcome is Outcome.REFUSED:
            kind = error.type if error else "unknown"
            settled.refuse(bulk, position, kind.removesuffix("_exception"), str(error))
        elif outcome is Outcome.RETRY:
            again.append(position)
            reason = reason or str(error)
        elif outcome is Outcome.STOP:
            raise StopJob(f"Elasticsearch does not let the job write: {error}; check the user's rights and the indices")
    return again, reason
