"""Raw records into posts: every record becomes posts, deletions, skips or dead letters, and nothing else.

The shape of a record is configured, or found by looking (``auto``): the shape that
fitted last is tried first, and what it does not recognise is looked at key by key.
A record that wraps posts is unfolded, and its posts are numbered from 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Protocol

import bytewax.operators as op
from bytewax.dataflow import Stream

from groundswell import metrics
from groundswell.errors import DecodeError
from groundswell.input_settings import Mapping
from groundswell.records import Batch, DeadLetter, Deletion, Envelope, Origin, Post, RawBatch
from operators.shapes.reader import AUTO, MOST_PARTS, Reader
from operators.shapes.shape import Outcome, Part, Skip

STEP = "decode"
#: Longest ``detail`` of a dead letter, in code points.
_LONGEST_DETAIL = 300


def _now() -> datetime:
    return datetime.now(UTC)


class Decodes(Protocol):
    """What the step needs of a decoder."""

    def decode(self, batch: RawBatch) -> Batch: ...


class Decoder:
    """Decodes raw batches; keeps no state but the shape that fitted last.

    ``mapping`` is for the generic shape. Posts dated more than ``max_future`` ahead
    of ``clock`` or before ``floor`` (both aware) are refused, as are records of more
    than ``max_record_bytes``. Raises ``ValueError`` for an unknown shape.
    """

    def __init__(
        self,
        shape: str = AUTO,
        mapping: Mapping | None = None,
        max_future: timedelta = timedelta(days=1),
        floor: datetime = datetime(2006, 1, 1, tzinfo=UTC),
        clock: Callable[[], datetime] = _now,
        *,
        max_record_bytes: int = 8 * 1024 * 1024,
    ) -> None:
        self._reader = Reader(mapping or Mapping(), max_record_bytes)
        self._fixed = self._reader.named(shape)
        self._max_future = max_future
        self._floor = floor
        self._clock = clock

    def decode(self, batch: RawBatch) -> Batch:
        """What becomes of each record of a batch, in their order. Bad records are dead letters, never errors."""
        fixed = self._fixed if batch.shape is None else self._reader.named(batch.shape)
        now = self._clock()
        latest = now + self._max_future
        result = Batch(batch.stream, batch.partition, len(batch.values), batch.size, [], [], Counter())
        result.part, result.mark = batch.part, batch.mark
        if batch.offsets:
            result.span = batch.offsets[0], batch.offsets[-1]
        replayed = batch.replayed or {}
        for position, (offset, value) in enumerate(zip(batch.offsets, batch.values, strict=True)):
            origin = replayed.get(position) or Origin(batch.stream, batch.partition, offset)
            try:
                outcome = self._reader.read(value, fixed)
            except DecodeError as error:
                result.dead.append(_dead_letter(origin, error, now, value))
                continue
            if isinstance(outcome, list):
                for number, part in enumerate(outcome, start=1):
                    self._take(result, _part_origin(origin, number), part.raw, part.outcome, now, latest)
            else:
                self._take(result, origin, value, outcome, now, latest)
        return result

    def _take(
        self, result: Batch, origin: Origin, raw: bytes, outcome: Outcome | DecodeError, now: datetime, latest: datetime
    ) -> None:
        """Put one outcome where it belongs."""
        if isinstance(outcome, Post):
            if self._floor <= outcome.created_at <= latest:
                result.changes.append(Envelope(origin, raw, outcome))
                return
            outcome = self._misdated(outcome.created_at, latest)
        if isinstance(outcome, DecodeError):
            result.dead.append(_dead_letter(origin, outcome, now, raw))
        elif isinstance(outcome, Skip):
            result.skipped[outcome.reason] += 1
        else:
            result.changes.append(outcome)

    def _misdated(self, time: datetime, latest: datetime) -> DecodeError:
        if time > latest:
            return DecodeError("future", f"dated {time.isoformat()}, later than {latest.isoformat()}")
        return DecodeError("before_floor", f"dated {time.isoformat()}, before {self._floor.isoformat()}")

    def decode_record(self, value: bytes, shape: str | None = None) -> Outcome | list[Part]:
        """What one record holds; a list when it wraps posts, whose errors are then values in it.

        Raises :class:`~groundswell.errors.DecodeError` and nothing else.
        """
        outcome = self._reader.read(value, self._fixed if shape is None else self._reader.named(shape))
        latest = self._clock() + self._max_future
        if isinstance(outcome, list):
            return [part._replace(outcome=self._dated(part.outcome, latest)) for part in outcome]
        dated = self._dated(outcome, latest)
        if isinstance(dated, DecodeError):
            raise dated
        return dated

    def _dated(self, outcome: Outcome | DecodeError, latest: datetime) -> Outcome | DecodeError:
        if isinstance(outcome, Post) and not self._floor <= outcome.created_at <= latest:
            return self._misdated(outcome.created_at, latest)
        return outcome


def _part_origin(origin: Origin, number: int) -> Origin:
    """The origin of the nth post of a record.

    Only a replayed dead letter can have an index of its own; should it come to hold
    several posts, they must not take the origins of its former neighbours.
    """
    index = number if not origin.index else origin.index * (MOST_PARTS + 1) + number
    return Origin(origin.stream, origin.partition, origin.offset, index)


def _dead_letter(origin: Origin, error: DecodeError, now: datetime, raw: bytes) -> DeadLetter:
    return DeadLetter(origin, STEP, error.cause, error.detail[:_LONGEST_DETAIL], now, raw)


def decode_step(step_id: str, stream: Stream[RawBatch | Batch], decoder: Decodes) -> Stream[Batch]:
    """Carry a decoder into a flow; what is decoded already passes through."""
    seconds = metrics.STEP_SECONDS.labels(STEP)

    def decode(batches: list[RawBatch | Batch]) -> Iterable[Batch]:
        for batch in batches:
            if isinstance(batch, Batch):
                yield batch
                continue
            if batch.mark is not None:
                yield decoder.decode(batch)
                continue
            start = perf_counter()
            decoded = decoder.decode(batch)
            seconds.observe(perf_counter() - start)
            _count(decoded)
            yield decoded

    return op.flat_map_batch(step_id, stream, decode)


def _count(batch: Batch) -> None:
    metrics.POSTS_DECODED.inc(sum(not isinstance(change, Deletion) for change in batch.changes))
    for reason, count in batch.skipped.items():
        metrics.RECORDS_SKIPPED.labels(reason).inc(count)
    for cause, count in Counter(letter.cause for letter in batch.dead).items():
        metrics.DEAD_LETTERS.labels(STEP, cause).inc(count)
