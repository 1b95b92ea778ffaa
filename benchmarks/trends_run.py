"""One run of the job's trends operators over :mod:`benchmarks.tag_stream`, in a process of its own.

``python -m benchmarks.trends_run '{"live": 100000, "everything": true}'`` (any field of :class:`Plan`)
prints a JSON object (:class:`Figures`). Decoded posts lie ready in memory; what runs is the very
branch of the flow (:func:`dataflows.trends.build_trends`) in Bytewax, on one worker of each process.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import pickle
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import bytewax.operators as op
import msgspec
import psutil
from bytewax._bytewax import cluster_main
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from benchmarks.tag_stream import SLIDE, START, TOP, WINDOW, TagStream
from connectors.recovery import open_recovery
from connectors.trend_sink import PARTITION
from dataflows.trends import TrendsBranch, build_trends
from groundswell import step_ids
from groundswell.records import Batch
from groundswell.trends import TrendEvent, Window
from operators.trend_options import DetectionOptions, TrendOptions

_EPOCH = timedelta(seconds=1)
_RECOVERY_PARTITIONS = 4
#: Event time for what is still on its way when the window is full.
_WARM = 60
#: Event time that is left for after a resume.
_RESUMED = 60


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is run.

    ``live`` tags, measured over ``seconds`` of event time once the window is full; the first
    partition lies ``behind`` seconds. ``everything`` adds bursts, authors and samples to the
    counting. ``snapshots`` are taken every second into a recovery store, or never.
    With ``from_disk`` the posts are read back one batch at a time, so that the memory that grows
    is the job's own. ``resume`` also stops the job and measures how long it takes to go on.
    Of several processes, each with its address in ``addresses``, every one reads its share.
    """

    live: int
    seconds: int = 600
    behind: int = 0
    everything: bool = False
    snapshots: bool = True
    from_disk: bool = False
    resume: bool = False
    addresses: tuple[str, ...] = ()
    process: int = 0


class Figures(msgspec.Struct, frozen=True):
    """What was measured: hashtags a second of wall time and of processor time, bytes, seconds."""

    rate: float = 0.0
    processor_rate: float = 0.0
    grown: int = 0
    hot: float = 0.0
    cold: float = 0.0
    resumed_after: float = 0.0


class _Prepared(FixedPartitionedSource[Batch, int]):
    """The partitions of this process; a snapshot is how many batches were delivered, ``until`` how many there are."""

    def __init__(self, batches: dict[str, Sequence[Batch] | Path], until: int) -> None:
        self._batches = batches
        self._until = until

    def list_parts(self) -> list[str]:
        return list(self._batches)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Partition:  # noqa: ARG002
        delivered = resume_state or 0
        batches = self._batches[for_part]
        every = _unpickled(batches) if isinstance(batches, Path) else batches
        return _Partition(islice(every, delivered, self._until), delivered)


def _unpickled(path: Path) -> Iterator[Batch]:
    with path.open("rb") as file, contextlib.suppress(EOFError):
        while True:
            yield pickle.load(file)  # noqa: S301 (written by this very run)


def _pickle(stream: TagStream, number: int, path: Path) -> None:
    with path.open("wb") as file:
        for batch in stream.batches(number):
            pickle.dump(batch, file)


def _prepare(plan: Plan, stream: TagStream, folder: Path) -> dict[str, Sequence[Batch] | Path]:
    """What each partition of this process delivers."""
    share = max(1, len(plan.addresses))
    numbers = [number for number in range(stream.partitions) if number % share == plan.process]
    if not plan.from_disk:
        return {stream.parts[number]: list(stream.batches(number)) for number in numbers}
    paths = {number: folder / f"batches-{number}" for number in numbers}
    for number, path in paths.items():
        # Elsewhere, so that this process does not grow by it.
        maker = multiprocessing.get_context("spawn").Process(target=_pickle, args=(stream, number, path))
        maker.start()
        maker.join()
        assert maker.exitcode == 0
    return {stream.parts[number]: path for number, path in paths.items()}


class _Partition(StatefulSourcePartition[Batch, int]):
    def __init__(self, batches: Iterator[Batch], delivered: int) -> None:
        self._batches = batches
        self._delivered = delivered

    def next_batch(self) -> list[Batch]:
        batch = next(self._batches, None)
        if batch is None:
            raise StopIteration
        self._delivered += 1
        return [batch]

    def snapshot(self) -> int:
        return self._delivered


class _Moment(msgspec.Struct, frozen=True):
    """When a window came: wall and processor time in seconds, resident bytes."""

    wall: float
    processor: float
    resident: int


class _Sink(FixedPartitionedSink["Window | TrendEvent", None]):
    """Notes when each window came first."""

    def __init__(self, *, owner: bool) -> None:
        self._owner = owner
        self.moments: dict[int, _Moment] = {}

    def list_parts(self) -> list[str]:
        return [PARTITION] if self._owner else []

    def part_fn(self, item_key: str) -> int:  # noqa: ARG002
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _SinkPartition:  # noqa: ARG002
        return _SinkPartition(self.moments)


class _SinkPartition(StatefulSinkPartition["Window | TrendEvent", None]):
    def __init__(self, moments: dict[int, _Moment]) -> None:
        self._moments = moments

    def write_batch(self, values: list[Window | TrendEvent]) -> None:
        now = _moment()
        for value in values:
            if isinstance(value, Window):
                self._moments.setdefault(value.end, now)

    def snapshot(self) -> None:
        return None


def _moment() -> _Moment:
    return _Moment(time.perf_counter(), time.process_time(), psutil.Process().memory_info().rss)


def measure(plan: Plan, folder: Path) -> Figures:
    """Run it; the recovery store lies in ``folder``."""
    seconds = WINDOW + plan.behind + _WARM + plan.seconds
    stream = TagStream(plan.live, seconds + (_RESUMED if plan.resume else 0), behind=plan.behind)
    per_second, parts = stream.per_second, stream.parts
    batches = _prepare(plan, stream, folder)
    del stream
    gc.collect()
    gc.freeze()  # what lies ready in memory is no part of the job
    before = _moment()
    sink = _Sink(owner=plan.process == 0)
    _run(plan, _Prepared(batches, seconds // len(parts)), sink, parts, folder)
    if plan.process != 0:
        return Figures()
    first, last = START + WINDOW + _WARM, max(sink.moments)
    start, end = sink.moments[first], sink.moments[last]
    hashtags = per_second * (last - first)
    hot, cold = _stored(folder) if plan.snapshots else (0.0, 0.0)
    resumed_after = 0.0
    if plan.resume:
        again = _Sink(owner=True)
        began = time.perf_counter()
        _run(plan, _Prepared(batches, sys.maxsize), again, parts, folder)
        resumed_after = min(moment.wall for end, moment in again.moments.items() if end > last) - began
    return Figures(
        rate=hashtags / (end.wall - start.wall),
        processor_rate=hashtags / (end.processor - start.processor),
        grown=end.resident - before.resident,
        hot=hot,
        cold=cold,
        resumed_after=resumed_after,
    )


def _run(plan: Plan, source: _Prepared, sink: _Sink, parts: Sequence[str], folder: Path) -> None:
    options = TrendOptions(
        window=WINDOW, slide=SLIDE, top=TOP, detection=DetectionOptions() if plan.everything else None
    )
    flow = Dataflow(step_ids.POSTS_FLOW)
    batches = op.input(step_ids.SOURCE, flow, source)
    build_trends(batches, TrendsBranch(options, lambda: parts, sink, lambda: datetime.now(UTC)))
    cluster_main(
        flow,
        list(plan.addresses),
        plan.process,
        epoch_interval=_EPOCH if plan.snapshots else timedelta(hours=1),
        recovery_config=open_recovery(folder / "recovery", _RECOVERY_PARTITIONS) if plan.snapshots else None,
    )


def _stored(folder: Path) -> tuple[float, float]:
    """Bytes in the recovery store: what is written anew in every epoch, and what is written once for a closed pane."""
    hot = cold = 0.0
    panes = 0
    for path in (folder / "recovery").glob("part-*.sqlite3"):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            for step, size, rows in connection.execute(
                "SELECT step_id, SUM(LENGTH(ser_change)), COUNT(*) FROM snaps GROUP BY step_id"
            ):
                if step.endswith(f".{step_ids.CLOSED_PANES}"):
                    cold, panes = cold + (size or 0), panes + rows
                else:
                    hot += size or 0
    return hot, cold / max(1, panes)


def main_of_process(arguments: Sequence[str]) -> None:
    """Print the figures of the plan that is given as JSON; a second argument names the folder to use."""
    plan = msgspec.json.decode(arguments[0], type=Plan)
    with tempfile.TemporaryDirectory(prefix="groundswell-bench-") as folder:
        figures = measure(plan, Path(arguments[1] if len(arguments) > 1 else folder))
    print(msgspec.json.encode(figures).decode())


if __name__ == "__main__":
    main_of_process(sys.argv[1:])
