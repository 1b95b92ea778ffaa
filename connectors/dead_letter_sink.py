"""The sink that puts dead letters where they can be found."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.dead_letters import DeadLetterStore, KeepWaiting
from connectors.document_sink import slot_name
from groundswell import metrics
from groundswell.records import Batch

STEP = "dead-letters"


class DeadLetterSink(FixedPartitionedSink[Batch, None]):
    """Items are ``(slot, batch)`` with the slot's number as text; ``slots`` are this process's.

    A batch's letters are durable when ``write_batch`` returns.
    """

    def __init__(self, store: DeadLetterStore, slots: Sequence[int], keep_waiting: KeepWaiting) -> None:
        self._store = store
        self._slots = slots
        self._keep_waiting = keep_waiting

    def list_parts(self) -> list[str]:
        return [slot_name(slot) for slot in self._slots]

    def part_fn(self, item_key: str) -> int:
        return int(item_key)

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 (the engine passes it)
        for_part: str,  # noqa: ARG002
        resume_state: None,  # noqa: ARG002
    ) -> StatefulSinkPartition[Batch, None]:
        return _DeadLetterPartition(self._store, self._keep_waiting)


class _DeadLetterPartition(StatefulSinkPartition[Batch, None]):
    def __init__(self, store: DeadLetterStore, keep_waiting: KeepWaiting) -> None:
        self._store = store
        self._keep_waiting = keep_waiting
        self._seconds = metrics.STEP_SECONDS.labels(STEP)

    def write_batch(self, values: list[Batch]) -> None:
        letters = [letter for batch in values for letter in batch.dead]
        if letters:
            began = time.perf_counter()
            self._store.put(letters, self._keep_waiting)
            self._seconds.observe(time.perf_counter() - began)

    def snapshot(self) -> None:
        """Nothing is left to confirm."""
