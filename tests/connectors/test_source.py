from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import StatefulSourcePartition
from bytewax.testing import TestingSink, cluster_main

from connectors.credits import Credits
from connectors.file_source import FileSource
from connectors.generator import GeneratorSource, GeneratorSpec
from connectors.source import LONGEST_PAUSE, BatchGate, CompositeSource
from groundswell import metrics
from groundswell.records import RawBatch
from groundswell.waits import Waits


class _Part(StatefulSourcePartition[RawBatch, Any]):
    def __init__(self, key: str, state: Any) -> None:
        self.key, self.state = key, state

    def next_batch(self) -> list[RawBatch]:
        raise StopIteration

    def snapshot(self) -> Any:
        return self.state


class _Source:
    def __init__(self, name: str, parts: list[str]) -> None:
        self.name, self._parts = name, parts

    def partitions(self) -> list[str]:
        return self._parts

    def open(self, partition: str, resume_state: Any | None) -> _Part:
        return _Part(f"{self.name}:{partition}", resume_state)


def test_sources_are_joined_under_their_names() -> None:
    composite = CompositeSource([_Source("kafka", ["posts/00000", "posts/00001"]), _Source("files", ["00"])])
    assert composite.list_parts() == ["kafka/posts/00000", "kafka/posts/00001", "files/00"]
    part = composite.build_part("in", "kafka/posts/00001", 17)
    assert isinstance(part, _Part)
    assert (part.key, part.state) == ("kafka:posts/00001", 17)


def test_an_epoch_is_told_once_however_many_partitions_close_it() -> None:
    told: list[int] = []
    composite = CompositeSource([_Source("files", ["00", "01"])], lambda: told.append(len(told)))
    idle = [composite.idle]
    names = composite.list_parts()
    idle.append(composite.idle)
    parts = [composite.build_part("in", name, None) for name in names]
    idle.append(composite.idle)
    assert idle == [False, True, False]
    for _ in range(3):
        for part in parts:
            part.snapshot()
    assert told == [0, 1, 2]


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        CompositeSource([_Source("files", []), _Source("files", [])])


def test_the_gate_takes_credits_counts_and_holds_back() -> None:
    budget = Credits(2, 1000)
    gate = BatchGate("test-gate", budget, threading.Event())
    assert not gate.closed()
    assert gate.emit(None) == []
    assert gate.emit(RawBatch("s", 0, [], [])) == []
    batch = RawBatch("s", 0, [0, 1], [b"ab", b"c"])
    assert gate.emit(batch) == [batch]
    assert budget.used == (2, 3)
    assert metrics.REGISTRY.get_sample_value("groundswell_records_in_total", {"source": "test-gate"}) == 2
    assert metrics.REGISTRY.get_sample_value("groundswell_bytes_in_total", {"source": "test-gate"}) == 3
    pauses = [gate.awake]
    assert gate.closed()
    pauses.append(gate.awake)
    budget.release(2, 3)
    assert not gate.closed()
    pauses.append(gate.awake)
    assert [pause is None for pause in pauses] == [True, False, True]


def test_the_gate_ends_the_partition_when_the_job_drains() -> None:
    stop = threading.Event()
    gate = BatchGate("test-gate", Credits(1, 1), stop)
    stop.set()
    with pytest.raises(StopIteration):
        gate.closed()


def test_no_pause_delays_a_drain() -> None:
    gate = BatchGate("test-gate", Credits(1, 1), threading.Event())
    before = datetime.now(UTC)
    gate.pause(timedelta(hours=1))
    assert gate.awake is not None
    assert gate.awake - before < LONGEST_PAUSE + timedelta(seconds=5)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_engine_reads_several_sources_to_their_ends(tmp_path: Path, workers: int) -> None:
    for number in range(6):
        (tmp_path / f"{number}.jsonl").write_bytes(b"".join(b'{"id": %d}\n' % each for each in range(700)))
    budget, stop = Credits(10**9, 10**12), threading.Event()
    source = CompositeSource(
        [
            FileSource([str(tmp_path)], budget, stop, Waits(), until_end=True),
            GeneratorSource(GeneratorSpec(count=2000), budget, stop, until_end=True),
        ]
    )
    batches: list[RawBatch] = []
    flow = Dataflow("read")
    op.output("out", op.input("in", flow, source), TestingSink(batches))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)
    read = sorted((batch.stream, offset) for batch in batches for offset in batch.offsets)
    files = [(str(tmp_path / f"{number}.jsonl"), offset) for number in range(6) for offset in range(700)]
    assert read == sorted([*files, *(("generator", ordinal) for ordinal in range(2000))])
