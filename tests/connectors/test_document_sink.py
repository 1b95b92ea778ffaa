"""The sinks: what is confirmed when a snapshot returns."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from connectors.credits import Credits
from connectors.dead_letter_sink import DeadLetterSink
from connectors.dead_letters import Selection
from connectors.document_sink import DocumentSink
from connectors.sqlite_dead_letters import SqliteDeadLetters
from connectors.sqlite_store import SqliteStore
from groundswell import metrics
from groundswell.errors import Draining, StopJob
from groundswell.records import Batch, DeadLetter, Deletion, Envelope
from groundswell.step_ids import SLOTS, slots_of
from groundswell.waits import Waits
from tests.connectors.documents import deletion, envelope
from tests.connectors.test_dead_letter_store import letter
from tests.connectors.topics import judged


class Stores:
    def __init__(self, folder: Path) -> None:
        self.documents = SqliteStore(folder / "documents.db", Waits())
        self.documents.prepare()
        self.dead = SqliteDeadLetters(folder / "dead.db", Waits())
        self.credits = Credits(1000, 1_000_000)

    def sink(self, guard: Guard | None = None) -> DocumentSink:
        return DocumentSink(self.documents, self.dead, self.credits, slots_of(0, 1), lambda: True, guard)


class Guard:
    """Notes what it is told, and stops at the first letter when asked to."""

    def __init__(self, *, strict: bool = False) -> None:
        self.seen: list[tuple[int, int]] = []
        self._strict = strict

    def count(self, posts: int, letters: Sequence[DeadLetter]) -> None:
        self.seen.append((posts, len(letters)))
        if letters and self._strict:
            raise StopJob("too many")


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    stores = Stores(tmp_path)
    yield stores
    stores.documents.close()
    stores.dead.close()


def batch(*changes: Envelope | Deletion, dead: Sequence[DeadLetter] = ()) -> Batch:
    return Batch("posts", 0, len(changes) + len(dead), 10 * len(changes), list(changes), list(dead), Counter())


def bad(number: int) -> Envelope:
    return envelope(number, embedding="00")


def test_documents_are_durable_when_the_snapshot_returns(stores: Stores) -> None:
    part = stores.sink().build_part("documents", "07", None)
    part.write_batch([batch(envelope(1), envelope(2)), batch(envelope(1), deletion(2))])
    assert part.snapshot() is None
    assert stores.documents.count() == 1
    part.close()


def test_what_the_store_refuses_is_a_dead_letter_when_the_snapshot_returns(stores: Stores) -> None:
    before = metrics.DEAD_LETTERS.labels("documents", "document_parsing")._value.get()
    part = stores.sink().build_part("documents", "07", None)
    part.write_batch([batch(envelope(1), bad(2))])
    part.snapshot()
    (found,) = stores.dead.list(Selection(), 10)
    refused = bad(2)
    assert (found.key, found.step, found.cause) == (refused.origin.key, "documents", "document_parsing")
    assert found.value == refused.raw
    assert "2 hexadecimal digits" in found.detail
    assert metrics.DEAD_LETTERS.labels("documents", "document_parsing")._value.get() == before + 1
    part.close()


def test_credits_come_back_when_a_batch_is_handed_over(stores: Stores) -> None:
    part = stores.sink().build_part("documents", "07", None)
    stores.credits.acquire(2, 20)
    part.write_batch([batch(envelope(1), bad(2))])
    assert stores.credits.used == (0, 0)
    part.close()


def test_counts_reach_the_metrics(stores: Stores) -> None:
    counters = (
        metrics.DOCUMENTS_WRITTEN,
        metrics.DOCUMENTS_DUPLICATE,
        metrics.DOCUMENTS_DELETED,
        metrics.DOCUMENTS_UNLABELLED,
    )
    before = [counter._value.get() for counter in counters]
    part = stores.sink().build_part("documents", "07", None)
    scored = envelope(1, classification={"undeclared": judged(0.9)})
    part.write_batch([batch(scored, envelope(2), envelope(1), deletion(2))])
    part.snapshot()
    assert [counter._value.get() - was for counter, was in zip(counters, before, strict=True)] == [2, 1, 1, 1]
    part.close()


def test_the_guard_is_told_of_every_settled_post(stores: Stores) -> None:
    guard = Guard()
    part = stores.sink(guard).build_part("documents", "07", None)
    part.write_batch([batch(envelope(1), bad(2), envelope(1), bad(3))])
    part.snapshot()
    assert guard.seen == [(4, 2)]
    part.close()


def test_a_guard_that_stops_the_job_does_so_after_the_letters_are_put(stores: Stores) -> None:
    part = stores.sink(Guard(strict=True)).build_part("documents", "07", None)
    part.write_batch([batch(bad(1))])
    with pytest.raises(StopJob):
        part.snapshot()
    assert stores.dead.counts() == {"document_parsing": 1}


def test_partitions_on_several_threads_each_confirm_their_own(stores: Stores) -> None:
    sink = stores.sink()
    failures: list[str] = []

    def work(slot: int) -> None:
        part = sink.build_part("documents", f"{slot:02d}", None)
        for step in range(20):
            first = slot * 1000 + step * 10
            part.write_batch([batch(*(envelope(number) for number in range(first, first + 9)), bad(first + 9))])
            part.snapshot()
            stored = stores.documents.get([])
            dead = {f"posts/0/{first + 9}"} & {found.key for found in stores.dead.list(Selection(), 10_000)}
            if not dead or stored:
                failures.append(f"slot {slot} step {step}")
        part.close()

    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert stores.documents.count() == 3 * 20 * 9
    assert stores.dead.counts() == {"document_parsing": 60}


def test_letters_that_could_not_be_put_hold_up_the_snapshots_of_the_other_workers(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(*_: object) -> None:
        raise Draining("no answer")

    sink = stores.sink()
    first, second = (sink.build_part("documents", name, None) for name in ("00", "01"))
    first.write_batch([batch(bad(1))])
    with monkeypatch.context() as outage:
        outage.setattr(stores.dead, "put", give_up)
        for part in (first, second):
            with pytest.raises(Draining):
                part.snapshot()
    second.snapshot()
    assert stores.dead.counts() == {"document_parsing": 1}


def test_closing_never_raises_and_leaves_the_failure_to_be_asked_for(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(*_: object) -> None:
        raise Draining("no answer")

    monkeypatch.setattr(stores.dead, "put", give_up)
    for snapshot_first in (True, False):
        sink = stores.sink()
        part = sink.build_part("documents", "00", None)
        part.write_batch([batch(bad(1))])
        if snapshot_first:
            with pytest.raises(Draining):
                part.snapshot()
        else:
            sink.raise_failure()
        part.close()
        with pytest.raises(Draining):
            sink.raise_failure()


def test_closing_confirms_what_no_snapshot_has(stores: Stores) -> None:
    sink = stores.sink()
    first, second = (sink.build_part("documents", name, None) for name in ("00", "01"))
    first.write_batch([batch(envelope(1), bad(2))])
    second.close()
    first.close()
    assert stores.documents.count() == 1
    assert stores.dead.counts() == {"document_parsing": 1}


def test_dead_letters_are_durable_when_written(stores: Stores) -> None:
    part = DeadLetterSink(stores.dead, slots_of(0, 1), lambda: True).build_part("dead-letters", "00", None)
    part.write_batch([batch(dead=[letter(1), letter(2)]), batch(envelope(3)), batch(dead=[letter(1)])])
    assert stores.dead.counts() == {"not_json": 2}
    assert part.snapshot() is None


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_every_slot_belongs_to_one_process_and_is_met_by_its_number(stores: Stores, processes: int) -> None:
    parts: list[str] = []
    for process in range(processes):
        slots = slots_of(process, processes)
        sink = DocumentSink(stores.documents, stores.dead, stores.credits, slots, lambda: True)
        assert sink.list_parts() == DeadLetterSink(stores.dead, slots, lambda: True).list_parts()
        parts += sink.list_parts()
    ordered = sorted(parts)
    assert len(ordered) == len(set(ordered)) == SLOTS
    # The engine takes the partition at this place of the sorted list.
    assert all(int(ordered[sink.part_fn(str(slot))]) == slot for slot in range(SLOTS))
