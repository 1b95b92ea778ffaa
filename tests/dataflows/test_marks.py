"""Marks go through the posts flow and change nothing in it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import cluster_main

from connectors.breadcrumbs import Breadcrumbs
from connectors.credits import Credits
from connectors.dead_letter_sink import DeadLetterSink
from connectors.document_sink import DocumentSink
from connectors.idleness import Emptiness
from connectors.source import BatchGate, CompositeSource, EndOfInput, PostPartition
from connectors.sqlite_dead_letters import SqliteDeadLetters
from connectors.sqlite_store import SqliteStore
from dataflows import posts
from groundswell import metrics, step_ids
from groundswell.records import Batch, Mark, RawBatch
from groundswell.waits import Waits
from operators.analyse import Analyser
from operators.dead_share import DeadShare
from operators.decode import Decoder
from operators.in_hand import TracedAnalyser, TracedDecoder
from operators.isolate import Isolation, Span
from tests.connectors.partitions import Clock, never
from tests.dataflows.harness import sqlite_dead_letters
from tests.dataflows.planting import bad, post

NOW = datetime(2024, 6, 1, tzinfo=UTC)
_PARTS = ("posts/00000", "posts/00001", "posts/00002")
_COUNTED = ("records_in", "bytes_in", "posts_decoded", "documents_written", "dead_letters")


class _Part(PostPartition[int]):
    """Emits ten records, then nothing for five seconds, and so on up to ``count``."""

    def __init__(self, number: int, count: int, gate: BatchGate, clock: Clock) -> None:
        self._number, self._count, self._gate, self._clock = number, count, gate, clock
        self._offset = 0
        self._quiet_until = 0.0

    def next_batch(self) -> list[RawBatch]:
        if self._gate.closed():
            return []
        self._clock.now += 0.5
        if self._clock.now < self._quiet_until:
            return []
        if self._offset >= self._count:
            raise EndOfInput
        self._quiet_until = self._clock.now + 5.0
        offsets = list(range(self._offset, self._offset + 10))
        self._offset += 10
        values = [bad(each) if each % 20 == 7 else post(1000 * self._number + each) for each in offsets]
        return self._gate.emit(RawBatch("posts", self._number, offsets, values))

    def emptiness(self, now: float) -> Emptiness | None:
        return Emptiness(0.0, now)

    def snapshot(self) -> int:
        return self._offset


class _Source:
    """Three partitions; the last has no records at all."""

    name = "kafka"

    def __init__(self, allowance: Credits, clock: Clock) -> None:
        self._allowance, self._clock = allowance, clock

    def partitions(self) -> list[str]:
        return list(_PARTS)

    def open(self, partition: str, resume_state: Any | None) -> _Part:
        number = int(partition[-1])
        gate = BatchGate(self.name, self._allowance, never())
        return _Part(number, (200, 100, 0)[number], gate, self._clock)


class _Noting(Decoder):
    """A decoder that keeps what it passed on."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: NOW)
        self.decoded: list[Batch] = []

    def decode(self, batch: RawBatch) -> Batch:
        self.decoded.append(super().decode(batch))
        return self.decoded[-1]


def _totals() -> dict[tuple[str, ...], float]:
    names = {f"groundswell_{name}_total" for name in _COUNTED}
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in metrics.REGISTRY.collect()
        for sample in family.samples
        if sample.name in names or (sample.name == "groundswell_step_seconds_count" and "decode" in str(sample.labels))
    }


@contextlib.contextmanager
def _counted() -> Iterator[dict[tuple[str, ...], float]]:
    """What is counted while the block runs."""
    counts: dict[tuple[str, ...], float] = {}
    before = _totals()
    yield counts
    counts.update({key: value - before.get(key, 0.0) for key, value in _totals().items()})


def _run(folder: Path, isolation: Isolation, idle_timeout: float | None) -> tuple[Any, list[Batch]]:
    """Everything the flow left behind, and the batches behind its decode step."""
    folder.mkdir()
    store = SqliteStore(folder / "documents.db", Waits())
    letters = SqliteDeadLetters(folder / "documents.db", Waits())
    store.prepare()
    letters.prepare()
    allowance, clock, slots = Credits(40, 1 << 20), Clock(), step_ids.slots_of(0, 1)
    crumbs = Breadcrumbs(folder / "crumbs", 0)
    decoder = _Noting()
    work: list[None] = []
    analyser = TracedAnalyser(
        Analyser(None, lambda: NOW), crumbs, lambda: work.append(None), one_by_one=bool(isolation)
    )
    parts = posts.PostsFlow(
        source=CompositeSource([_Source(allowance, clock)], idle_timeout=idle_timeout, clock=clock),
        isolation=isolation,
        decoder=TracedDecoder(decoder, crumbs, DeadShare(0.5, 20)),
        analyser=analyser,
        documents=DocumentSink(store, letters, allowance, slots, lambda: True, DeadShare(0.5, 20)),
        dead_letters=DeadLetterSink(letters, slots, lambda: True),
        slots=slots,
        now=lambda: NOW,
    )
    with _counted() as counts:
        cluster_main(posts.build(parts), [], 0)
    letters.close()
    store.close()
    assert allowance.used == (0, 0)
    with contextlib.closing(sqlite3.connect(folder / "documents.db")) as connection:
        documents = sorted(
            json.dumps(json.loads(row[0])) for row in connection.execute("SELECT document FROM documents")
        )
    return (counts, documents, sorted(sqlite_dead_letters(folder / "documents.db"))), decoder.decoded


@pytest.mark.parametrize(
    "isolation", [Isolation(), Isolation(suspects=(Span("posts", 0, 40, 60),), guilty=(Span("posts", 1, 33, 33),))]
)
def test_marks_pass_and_no_total_changes(tmp_path: Path, isolation: Isolation) -> None:
    without, _ = _run(tmp_path / "without", isolation, None)
    made, decoded = _run(tmp_path / "with", isolation, 2.0)
    assert made == without
    assert len(without[1]) + len(without[2]) == 300
    marks = {f"kafka/{part}": [batch.mark for batch in decoded if batch.part == f"kafka/{part}"] for part in _PARTS}
    assert {batch.part for batch in decoded} == marks.keys()
    for part, found in marks.items():
        assert found.count(Mark(ended=True)) == 1, part
        assert found[-1] == Mark(ended=True)
    idle = [mark for mark in marks["kafka/posts/00000"] if mark is not None and not mark.ended]
    assert idle
    assert all(2.0 <= mark.idle_for <= 5.0 for mark in idle)
    assert marks["kafka/posts/00002"] == [Mark(ended=True)]
