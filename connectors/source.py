"""The contract of every source of posts, and how several become one Bytewax input.

Every source emits :class:`~groundswell.records.RawBatch` items: consecutive records
of one partition, at most :data:`BATCH_RECORDS` of them and about :data:`BATCH_BYTES`.
A partition's snapshot is the position of its next record, so a resumed partition
goes on with exactly the record after the last one that it emitted.

Beside records, a partition of the joined input says what event time must know of it:
that it idles, and that it has been read whole (:class:`~groundswell.records.Mark`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.credits import Credits
from connectors.idleness import Emptiness, IdleClock
from groundswell import metrics
from groundswell.records import Mark, RawBatch

S = TypeVar("S")

#: Most records in one batch.
BATCH_RECORDS = 500
#: A batch is closed once its values hold this many bytes.
BATCH_BYTES = 1024 * 1024
#: Pause of a source that has nothing to read; also the longest that it delays a drain.
IDLE_PAUSE = timedelta(milliseconds=25)
#: Pause of a source that found the credits exhausted.
CREDIT_PAUSE = timedelta(milliseconds=2)
#: No source sleeps longer than this, whatever it waits for.
LONGEST_PAUSE = timedelta(milliseconds=200)


class StopFlag(Protocol):
    """Set once, when the job is told to drain; a :class:`threading.Event` is one."""

    def is_set(self) -> bool: ...


class EndOfInput(StopIteration):
    """A finite partition has been read whole; a drain raises a plain :class:`StopIteration`."""


class PostPartition(StatefulSourcePartition[RawBatch, S]):
    """One partition of a :class:`PostSource`; its ``next_batch`` raises :class:`EndOfInput` after its last record."""

    def emptiness(self, now: float) -> Emptiness | None:  # noqa: ARG002 (for those that know)
        """What is known of the end of the partition at the moment ``now``; ``None`` when nothing is.

        Asked after ``next_batch`` returned nothing. Known is only what the input has said:
        never while it does not answer, nor while something is left to read.
        """
        return None


class PostSource(Protocol):
    """A kind of input with a fixed set of partitions."""

    #: First part of the partition keys, for example ``kafka``.
    name: str

    def partitions(self) -> list[str]:
        """The partitions, the same on every worker and after every restart.

        May block while a dependency does not answer; raises
        :class:`~groundswell.errors.StopJob` or :class:`~groundswell.errors.SettingsError`
        when it never will, and :class:`~groundswell.errors.Draining` when the job is
        told to stop meanwhile.
        """
        ...

    def open(self, partition: str, resume_state: Any | None) -> PostPartition[Any]:
        """One partition from its start or from what its ``snapshot`` returned; never blocks for long."""
        ...


class CompositeSource(FixedPartitionedSource[RawBatch, Any]):
    """Several sources as one input, with partition keys such as ``kafka/posts/00003``.

    ``sources`` must have distinct names without a slash. ``on_epoch`` is called at the
    close of every epoch, once however many partitions are snapshotted at it.

    Every batch carries the key of its partition. A partition that has been read up to its
    end, and is known to have had nothing new for ``idle_timeout`` seconds of ``clock``
    (monotonic), emits an empty batch with a mark that says for how long, and again with
    every later confirmation, at most once a second; a mark of zero takes it back when it
    is no longer known. ``None`` turns that off. A finite partition emits the mark of its
    end after its last record, and only then raises ``StopIteration``; at a drain it
    raises without a mark. Marks take no credits and are no records.
    """

    def __init__(
        self,
        sources: Sequence[PostSource],
        on_epoch: Callable[[], None] | None = None,
        *,
        idle_timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = {source.name: source for source in sources}
        self._epochs = _Epochs(on_epoch)
        self._idle_timeout = idle_timeout
        self._clock = clock
        self._keys: list[str] | None = None
        self._listed = False
        self._opened = False
        if len(self._sources) != len(sources):
            raise ValueError("two sources have the same name")

    @property
    def idle(self) -> bool:
        """Whether the partitions are known and none of them has fallen to this process: it sees no epoch close."""
        return self._listed and not self._opened

    def partition_keys(self) -> list[str]:
        """All partitions of the configured input: the same on every process, and as long as the job runs.

        Looks, and may block, only the first time (as :meth:`PostSource.partitions` does).
        Partitions that a topic gets later end the job with
        :class:`~connectors.kafka_offsets.InputChanged`: started again, it knows them.
        """
        if self._keys is None:
            self._keys = [f"{name}/{part}" for name, source in self._sources.items() for part in source.partitions()]
        return list(self._keys)

    def list_parts(self) -> list[str]:
        found = self.partition_keys()
        self._listed = True
        return found

    def build_part(
        self,
        step_id: str,  # noqa: ARG002 (the engine passes it by position and name)
        for_part: str,
        resume_state: Any | None,
    ) -> StatefulSourcePartition[RawBatch, Any]:
        name, _, partition = for_part.partition("/")
        opened = self._sources[name].open(partition, resume_state)
        self._opened = True
        idle = None if self._idle_timeout is None else IdleClock(self._idle_timeout)
        return _Marked(for_part, opened, self._epochs, idle, self._clock)


class _Epochs:
    """Every partition is snapshotted at the close of an epoch: the one that is ahead tells of it."""

    def __init__(self, on_epoch: Callable[[], None] | None) -> None:
        self._on_epoch = on_epoch
        self._lock = threading.Lock()
        self._closed = 0

    def closed(self, count: int) -> None:
        with self._lock:
            news = count > self._closed
            self._closed = max(self._closed, count)
        if news and self._on_epoch is not None:
            self._on_epoch()


class _Marked(StatefulSourcePartition[RawBatch, Any]):
    """A partition that names itself in its batches, marks its idleness and its end, and says when its epoch closes."""

    def __init__(
        self,
        key: str,
        inner: PostPartition[Any],
        epochs: _Epochs,
        idle: IdleClock | None,
        clock: Callable[[], float],
    ) -> None:
        self._key = key
        self._inner = inner
        self._epochs = epochs
        self._idle = idle
        self._clock = clock
        self._ended = False
        self._closed = 0

    def next_batch(self) -> Iterable[RawBatch]:
        if self._ended:
            raise StopIteration
        try:
            batches = list(self._inner.next_batch())
        except EndOfInput:
            self._ended = True
            return [self._mark(Mark(ended=True))]
        for batch in batches:
            batch.part = self._key
        if self._idle is None:
            return batches
        now = self._clock()
        if batches:
            self._idle.records(now)
            return batches
        idle_for = self._idle.look(self._inner.emptiness(now), now)
        return [] if idle_for is None else [self._mark(Mark(idle_for=idle_for))]

    def next_awake(self) -> datetime | None:
        return None if self._ended else self._inner.next_awake()

    def _mark(self, mark: Mark) -> RawBatch:
        return RawBatch(self._key, 0, [], [], part=self._key, mark=mark)

    def snapshot(self) -> Any:
        self._closed += 1
        self._epochs.closed(self._closed)
        return self._inner.snapshot()

    def close(self) -> None:
        self._inner.close()


class BatchGate:
    """What every partition does around its batches: drain, hold back, count.

    A partition asks :meth:`closed` first, then passes what it read to :meth:`emit`.
    """

    def __init__(self, source: str, credits: Credits, stop: StopFlag) -> None:  # noqa: A002 (their proper name)
        self._credits = credits
        self._stop = stop
        self._records_in = metrics.RECORDS_IN.labels(source)
        self._bytes_in = metrics.BYTES_IN.labels(source)
        self._awake: datetime | None = None

    def closed(self) -> bool:
        """Whether nothing may be emitted now for want of credits.

        Raises :class:`StopIteration` when the job drains.
        """
        if self._stop.is_set():
            raise StopIteration
        self._awake = None
        if self._credits.exhausted:
            self.pause(CREDIT_PAUSE)
            return True
        return False

    def emit(self, batch: RawBatch | None) -> list[RawBatch]:
        """The batch as the engine wants it, counted; ``None`` or an empty one is nothing to emit."""
        if batch is None or not batch.values:
            return []
        size = batch.size
        self._credits.acquire(len(batch.values), size)
        self._records_in.inc(len(batch.values))
        self._bytes_in.inc(size)
        return [batch]

    def pause(self, pause: timedelta = IDLE_PAUSE) -> None:
        """Ask not to be called again before ``pause`` is over."""
        self._awake = datetime.now(UTC) + min(pause, LONGEST_PAUSE)

    @property
    def awake(self) -> datetime | None:
        """For ``next_awake``: ``None`` means at once."""
        return self._awake
