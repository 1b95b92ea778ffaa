"""The joined input: its partitions, its marks, and what every source must do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, cluster_main
from confluent_kafka import Producer

from connectors.credits import Credits
from connectors.dead_letter_source import DeadLetterSource
from connectors.dead_letters import Selection
from connectors.file_source import FileSource
from connectors.generator import GeneratorSource, GeneratorSpec
from connectors.idleness import Emptiness
from connectors.kafka_source import KafkaSource
from connectors.source import LONGEST_PAUSE, BatchGate, CompositeSource, PostPartition, PostSource
from connectors.sqlite_dead_letters import SqliteDeadLetters
from groundswell import metrics
from groundswell.records import DeadLetter, Mark, Origin, RawBatch
from groundswell.waits import Waits
from tests.connectors.partitions import Clock, Driver, ample_credits, never

#: Makes the same finite source again and again, with a stop flag and credits.
Finite = Callable[[threading.Event, Credits], PostSource]


class _Part(PostPartition[Any]):
    """A partition that emits what it is told to."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.waiting: list[RawBatch] = []
        self.empty: Emptiness | None = None

    def next_batch(self) -> list[RawBatch]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def emptiness(self, now: float) -> Emptiness | None:
        return self.empty

    def snapshot(self) -> Any:
        return self.state


class _Source:
    def __init__(self, name: str, parts: list[str]) -> None:
        self.name, self._parts = name, parts
        self.listed = 0
        self.opened: dict[str, _Part] = {}

    def partitions(self) -> list[str]:
        self.listed += 1
        return self._parts

    def open(self, partition: str, resume_state: Any | None) -> _Part:
        self.opened[partition] = _Part(resume_state)
        return self.opened[partition]


def test_sources_are_joined_under_their_names() -> None:
    kafka, files = _Source("kafka", ["posts/00000", "posts/00001"]), _Source("files", ["00"])
    composite = CompositeSource([kafka, files])
    keys = ["kafka/posts/00000", "kafka/posts/00001", "files/00"]
    assert composite.partition_keys() == keys
    assert not composite.idle
    assert composite.list_parts() == keys
    assert (kafka.listed, files.listed) == (1, 1)
    part = composite.build_part("in", "kafka/posts/00001", 17)
    assert [list(source.opened) for source in (kafka, files)] == [["posts/00001"], []]
    assert part.snapshot() == 17


#  records    ●                                ●
#  confirmed       +    +    +   (trouble)          +
#  seconds    0    1    2    3       4         5    6
def test_a_partition_says_its_key_and_for_how_long_it_is_empty() -> None:
    clock, source = Clock(0.0), _Source("kafka", ["posts/00003"])
    part = CompositeSource([source], idle_timeout=2.0, clock=clock).build_part("in", "kafka/posts/00003", None)
    inner = source.opened["posts/00003"]

    def at(now: float, empty: Emptiness | None, *records: RawBatch) -> list[RawBatch]:
        clock.now, inner.empty, inner.waiting = now, empty, list(records)
        return list(part.next_batch())

    def idle(seconds: float) -> list[RawBatch]:
        return [RawBatch("kafka/posts/00003", 0, [], [], part="kafka/posts/00003", mark=Mark(idle_for=seconds))]

    assert at(0, None, RawBatch("posts", 3, [7], [b"a"])) == [
        RawBatch("posts", 3, [7], [b"a"], part="kafka/posts/00003")
    ]
    assert at(1, Emptiness(-9, 1)) == []
    assert at(2, Emptiness(-9, 2)) == []
    assert at(3, Emptiness(-9, 3)) == idle(2.0)
    assert at(4, None) == idle(0.0)
    assert at(5, Emptiness(5, 5), RawBatch("posts", 3, [8], [b"b"]))[0].offsets == [8]
    assert at(6, Emptiness(5, 6)) == []


# What every source must do


@pytest.fixture(params=["files", "generator", "dead letters", pytest.param("kafka", marks=pytest.mark.stack)])
def finite(request: pytest.FixtureRequest, tmp_path: Path) -> Finite:
    """A source of 700 records in all; where there are several partitions, some hold none."""
    values = [b'{"id": %d}' % number for number in range(700)]
    if request.param == "files":
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"\n".join(values))
        return lambda stop, budget: FileSource([str(path)], budget, stop, Waits(), until_end=True)
    if request.param == "generator":
        return lambda stop, budget: GeneratorSource(GeneratorSpec(count=700), budget, stop, until_end=True)
    if request.param == "dead letters":
        store = SqliteDeadLetters(tmp_path / "dead.db", Waits())
        store.prepare()
        request.addfinalizer(store.close)
        time = datetime(2026, 1, 1, tzinfo=UTC)
        letters = [DeadLetter(Origin("s", 0, n), "decode", "c", "d", time, value) for n, value in enumerate(values)]
        store.put(letters, lambda: True)
        store.replay(Selection())
        mark = store.replay_mark()
        return lambda stop, budget: DeadLetterSource(store, budget, stop, mark)
    server = request.getfixturevalue("kafka")
    topic = server.topic(partitions=3)
    producer = Producer({"bootstrap.servers": server.bootstrap_servers})
    for value in values:
        producer.produce(topic, value, partition=1)
    assert producer.flush(30) == 0
    return lambda stop, budget: KafkaSource(
        server.bootstrap_servers, [topic], "test", budget, stop, Waits(), until_end=True
    )


def test_every_partition_says_after_its_last_record_that_it_has_ended(finite: Finite) -> None:
    budget = ample_credits()
    driver = Driver(finite(never(), budget))
    driver.run()
    assert len(driver.values) == 700
    assert driver.marks == {name: [Mark(ended=True)] for name in driver.states}
    assert budget.used == (700, sum(map(len, driver.values)))
    again = Driver(finite(never(), budget), driver.states)
    again.run()
    assert (again.values, again.marks) == ([], driver.marks)


def test_a_drain_is_no_end(finite: Finite) -> None:
    stop, budget = never(), Credits(1, 10**9)
    driver = Driver(finite(stop, budget))
    driver.run(lambda: bool(driver.batches))
    budget.release(10**6, 0)
    driver.run(lambda: len(driver.values) == 700)
    # Everything has been read and nobody has said so yet.
    said = driver.ended
    assert said < driver.open.keys() | driver.states.keys()
    stop.set()
    driver.run()
    assert driver.ended == said
    last = Driver(finite(never(), ample_credits()), driver.states)
    last.run()
    assert last.values == []
    assert last.ended == set(last.states)


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
    assert {batch.part for batch in batches} == set(source.partition_keys())
    assert sorted(batch.part for batch in batches if batch.mark == Mark(ended=True)) == sorted(source.partition_keys())
