"""Records that crashed the job: taken one by one until the guilty one is known, then set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream

from groundswell.metrics import DEAD_LETTERS
from groundswell.records import Batch, DeadLetter, Envelope, Origin, RawBatch

STEP = "crash"
CAUSE = "crash"


class Span(msgspec.Struct, frozen=True):
    """Records ``first`` to ``last`` (inclusive) of one partition."""

    stream: str
    partition: int
    first: int
    last: int

    def overlaps(self, other: Span) -> bool:
        """Whether both name at least one record in common."""
        same = (self.stream, self.partition) == (other.stream, other.partition)
        return same and self.first <= other.last and other.first <= self.last

    @property
    def single(self) -> bool:
        return self.first == self.last


def span_of(batch: RawBatch) -> Span:
    """The records that a raw batch holds; it holds at least one."""
    return Span(batch.stream, batch.partition, batch.offsets[0], batch.offsets[-1])


def decoded_span(batch: Batch) -> Span | None:
    """The records of a decoded batch, ``None`` when there is no post among them."""
    if batch.span is None or not any(isinstance(change, Envelope) for change in batch.changes):
        return None
    return Span(batch.stream, batch.partition, *batch.span)


class Isolation(msgspec.Struct, frozen=True):
    """What earlier crashes taught: records under suspicion, and records found guilty."""

    suspects: tuple[Span, ...] = ()
    guilty: tuple[Span, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.suspects or self.guilty)

    def split(self, batch: RawBatch, now: Callable[[], datetime]) -> Iterator[RawBatch | Batch]:
        """The batch unchanged when it is above suspicion, else one record at a time.

        A guilty record becomes a :class:`~groundswell.records.Batch` whose only
        content is its dead letter.
        """
        if not batch.offsets or not any(span.overlaps(span_of(batch)) for span in (*self.suspects, *self.guilty)):
            yield batch
            return
        for position, (offset, value) in enumerate(zip(batch.offsets, batch.values, strict=True)):
            here = Span(batch.stream, batch.partition, offset, offset)
            replayed = (batch.replayed or {}).get(position)
            if any(span.overlaps(here) for span in self.guilty):
                origin = replayed or Origin(batch.stream, batch.partition, offset)
                letter = DeadLetter(origin, STEP, CAUSE, "the job crashed on this record", now(), value)
                DEAD_LETTERS.labels(STEP, CAUSE).inc()
                yield Batch(batch.stream, batch.partition, 1, len(value), [], [letter], Counter(), part=batch.part)
            else:
                again = {0: replayed} if replayed else None
                yield RawBatch(batch.stream, batch.partition, [offset], [value], batch.shape, again, batch.part)


def isolate_step(
    step_id: str, stream: Stream[RawBatch], isolation: Isolation, now: Callable[[], datetime]
) -> Stream[RawBatch | Batch]:
    """Carry :meth:`Isolation.split` into a flow."""

    def split(batches: list[RawBatch]) -> list[RawBatch | Batch]:
        if not isolation:
            return list(batches)
        return [part for batch in batches for part in isolation.split(batch, now)]

    return op.flat_map_batch(step_id, stream, split)
