"""The branch of the flow that counts hashtags, fed from memory, in this process or in some of its own.

``python -m tests.trends.flow FOLDER ADDRESSES PROCESS WORKERS KILL_AFTER`` is one process of a cluster
that counts :func:`sample_stream`. It kills itself (SIGKILL) once its partitions have delivered
``KILL_AFTER`` batches; 0 lets it go on to the end.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bytewax.operators as op
import msgspec
from bytewax._bytewax import cluster_main
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.recovery import open_recovery
from dataflows.trends import TrendsBranch, build_trends
from groundswell.records import Batch, Mark, Post
from groundswell.trends import TrendEvent, Window
from operators.trend_options import TrendOptions
from tests.stack.ports import free_port
from tests.stack.process import spawn
from tests.trends.oracle import Arrival, Rules
from tests.trends.streams import batch_of, options_of, post
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
RULES = Rules(window=60, slide=10, top=3, disorder=10, lateness=60, dedupe_horizon=30)
_RECOVERY_PARTITIONS = 4
_SECONDS = 60.0


def sample_stream() -> dict[str, list[Arrival]]:
    """Five partitions: one ten minutes ahead, one two days, one without data.

    Within a partition a post is at most disorder and lateness older than the newest before it,
    so that nothing is late however the partitions are mixed.
    """
    pick = random.Random(4)
    found: dict[str, list[Arrival]] = {"memory/empty": [Arrival("memory/empty", mark=Mark(idle_for=60))]}
    for number, ahead in enumerate((0, 7, 600, 172_800)):
        part = f"memory/{number}"
        newest = float(ahead)
        found[part] = []
        for _ in range(60):
            delivered: list[Post] = []
            for _ in range(pick.randint(1, 8)):
                newest += pick.choice((0.0, 0.25, 1.0, 3.5))
                moment = max(newest - pick.choice((0, 0, 0, 4, 9, 40, 69)), 0.0)
                tags = [f"tag{min(int(pick.paretovariate(0.8)), 50)}" for _ in range(pick.randint(0, 3))]
                name = f"{part} {pick.randrange(150)}" if pick.random() < 0.3 else None
                delivered.append(post(moment, *tags, name=name))
            found[part].append(Arrival(part, tuple(delivered)))
    return found


def bursting_stream() -> dict[str, list[Arrival]]:
    """Two partitions, twelve minutes apart, with a burst of one tag and its own words in each; nothing is late."""
    pick = random.Random(5)
    found: dict[str, list[Arrival]] = {}
    for number, ahead in enumerate((0, 720)):
        part = f"memory/{number}"
        posts = []
        for place in range(1200):
            minute = place // 60
            tags = [f"tag{min(int(pick.paretovariate(0.7)), 100)}"]
            words = pick.choices(("market", "music", "train", "garden", "signal", "summer", "light"), k=6)
            if 8 <= minute < 12 and pick.random() < 0.6:
                tags.append("flood")
                words += pick.choices(("river", "bridge", "water"), k=2)
            each = post(ahead + max(0.0, place - pick.choice((0, 0, 2, 9))), *tags, name=f"{part} {place}")
            each.text, each.author = " ".join(words), f"author{pick.randrange(500)}"
            posts.append(each)
        found[part] = [Arrival(part, tuple(posts[at : at + 25])) for at in range(0, len(posts), 25)]
    return found


def posts_of(stream: dict[str, list[Arrival]]) -> list[Post]:
    """All posts of a stream."""
    return [each for arrivals in stream.values() for arrival in arrivals for each in arrival.posts]


class Memory(FixedPartitionedSource[Batch, int]):
    """Batches from memory, and a mark behind the last of each partition, again after every resume.

    A partition's snapshot is how many batches it has delivered. ``on_batch`` is told of each.
    """

    def __init__(self, stream: dict[str, list[Batch]], on_batch: Callable[[], None] = lambda: None) -> None:
        self._stream = stream
        self._on_batch = on_batch

    def list_parts(self) -> list[str]:
        return list(self._stream)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Partition:
        return _Partition(for_part, self._stream[for_part], resume_state or 0, self._on_batch)


class _Partition(StatefulSourcePartition[Batch, int]):
    def __init__(self, part: str, batches: Sequence[Batch], position: int, on_batch: Callable[[], None]) -> None:
        self._part = part
        self._batches = batches
        self._ended = False
        self._position = position
        self._on_batch = on_batch

    def next_batch(self) -> Iterable[Batch]:
        if self._ended:
            raise StopIteration
        self._on_batch()
        if self._position == len(self._batches):
            self._ended = True
            return [batch_of(Arrival(self._part, mark=Mark(ended=True)))]
        self._position += 1
        return [self._batches[self._position - 1]]

    def snapshot(self) -> int:
        return self._position


class Emissions(FixedPartitionedSink["Window | TrendEvent", None]):
    """Hands on what the branch says, in its one partition, which the ``owner`` has."""

    def __init__(self, write: Callable[[Window | TrendEvent], None], *, owner: bool = True) -> None:
        self._write = write
        self._owner = owner

    def list_parts(self) -> list[str]:
        return ["00"] if self._owner else []

    def part_fn(self, item_key: str) -> int:
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _EmissionPartition:
        return _EmissionPartition(self._write)


class _EmissionPartition(StatefulSinkPartition["Window | TrendEvent", None]):
    def __init__(self, write: Callable[[Window | TrendEvent], None]) -> None:
        self._write = write

    def write_batch(self, values: list[Window | TrendEvent]) -> None:
        for value in values:
            self._write(value)

    def snapshot(self) -> None:
        return None


def run_flow(
    source: Memory,
    sink: Emissions,
    options: TrendOptions,
    *,
    recovery: Path | None = None,
    workers: int = 1,
    addresses: Sequence[str] = (),
    process: int = 0,
    epoch: timedelta = timedelta(0),
) -> None:
    """Run the branch to the end of its source; a snapshot after each activation unless ``epoch`` says otherwise."""
    flow = Dataflow("trends")
    batches = op.input("source", flow, source)
    build_trends(batches, TrendsBranch(options, source.list_parts, sink, lambda: datetime.now(UTC)))
    cluster_main(
        flow,
        list(addresses),
        process,
        epoch_interval=epoch,
        recovery_config=open_recovery(recovery, _RECOVERY_PARTITIONS) if recovery else None,
        worker_count_per_proc=workers,
    )


def run_processes(folder: Path, processes: int, *, workers: int = 1, kill: int | None = None, after: int = 0) -> None:
    """Count :func:`sample_stream` in processes of their own, which add to what lies in ``folder``.

    Process ``kill`` ends abruptly once it has read ``after`` batches; the others are then killed too.
    """
    # Made once: processes that start at the same time must not race for it.
    open_recovery(folder / "recovery", _RECOVERY_PARTITIONS)
    addresses = ";".join(f"127.0.0.1:{free_port()}" for _ in range(processes))
    with (folder / "log").open("ab") as log:
        running = [
            spawn(
                [
                    *(sys.executable, "-m", "tests.trends.flow", str(folder), addresses, str(process), str(workers)),
                    str(after if process == kill else 0),
                ],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
            for process in range(processes)
        ]
    try:
        wait_until(lambda: _over(running, kill), _SECONDS, "the processes")
    finally:
        for each in running:
            each.kill()
            each.wait()


def _over(running: Sequence[subprocess.Popen[bytes]], kill: int | None) -> bool:
    codes = [process.poll() for process in running]
    if kill is not None:
        assert codes[kill] in (None, -signal.SIGKILL), f"process {kill} ended with {codes[kill]}"
        return codes[kill] is not None
    assert not any(codes), f"the processes ended with {codes}"
    return all(code == 0 for code in codes)


def emissions(folder: Path) -> list[Window]:
    """The windows that the processes have emitted, in order."""
    return [msgspec.json.decode(line, type=Window) for line in (folder / "windows").read_bytes().splitlines()]


def _main(arguments: Sequence[str]) -> None:
    folder, addresses, process, workers, kill_after = Path(arguments[0]), *arguments[1:]
    left = [int(kill_after)]

    def count_down() -> None:
        if left[0]:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    stream = {part: list(map(batch_of, arrivals)) for part, arrivals in sample_stream().items()}
    with (folder / "windows").open("ab", buffering=0) as file:

        def write(item: Window | TrendEvent) -> None:
            file.write(msgspec.json.encode(item) + b"\n")

        run_flow(
            Memory(stream, count_down),
            Emissions(write, owner=process == "0"),
            options_of(RULES),
            recovery=folder / "recovery",
            workers=int(workers),
            addresses=addresses.split(";") if ";" in addresses else [],
            process=int(process),
        )


if __name__ == "__main__":
    _main(sys.argv[1:])
