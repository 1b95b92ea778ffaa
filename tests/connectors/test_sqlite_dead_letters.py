"""Replaying dead letters of the embedded store: marked, run again, and removed at the end of the run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from connectors.credits import Credits
from connectors.dead_letter_source import DeadLetterSource
from connectors.dead_letters import Replayed, Selection
from connectors.sqlite_dead_letters import SqliteDeadLetters
from groundswell.records import Origin, RawBatch
from groundswell.waits import Waits
from tests.connectors.test_dead_letter_store import letter


@pytest.fixture
def store(tmp_path: Path) -> SqliteDeadLetters:
    store = SqliteDeadLetters(tmp_path / "dead.db", Waits())
    store.put([letter(offset, "a" if offset % 2 else "b", value=b"%d" % offset) for offset in range(300)], lambda: True)
    return store


def run(source: DeadLetterSource, resume: int | None = None, batches: int = 1000) -> tuple[list[RawBatch], Any]:
    """Read batches to the end, or so many, and the position then."""
    (name,) = source.partitions()
    partition = source.open(name, resume)
    read: list[RawBatch] = []
    try:
        while len(read) < batches:
            read.extend(partition.next_batch())
    except StopIteration:
        pass
    return read, partition.snapshot()


def source_of(store: SqliteDeadLetters) -> DeadLetterSource:
    return DeadLetterSource(store, Credits(100_000, 10**9), threading.Event(), store.replay_mark())


def test_marked_letters_are_read_with_their_first_origin(store: SqliteDeadLetters) -> None:
    assert store.replay(Selection(cause="a")) == Replayed(150)
    batches, _ = run(source_of(store))
    assert [value for batch in batches for value in batch.values] == [b"%d" % offset for offset in range(1, 300, 2)]
    origins = [batch.replayed[at] for batch in batches for at in range(len(batch.values)) if batch.replayed]
    assert origins == [Origin("posts", 3, offset) for offset in range(1, 300, 2)]


def test_letters_count_until_their_run_has_ended(store: SqliteDeadLetters) -> None:
    store.replay(Selection(cause="a"))
    source = source_of(store)
    run(source)
    assert store.counts() == {"a": 150, "b": 150}
    assert store.finish_replay(source.mark) == 150
    assert store.counts() == {"b": 150}


def test_one_that_fails_again_stays(store: SqliteDeadLetters) -> None:
    store.replay(Selection(cause="a"))
    source = source_of(store)
    run(source)
    store.put([letter(1, "still bad"), letter(3, "a")], lambda: True)
    store.finish_replay(source.mark)
    assert store.counts() == {"b": 150, "a": 1, "still bad": 1}


def test_a_run_that_is_resumed_goes_on_with_the_next_letter(store: SqliteDeadLetters) -> None:
    store.replay(Selection())
    source = source_of(store)
    first, position = run(source, batches=1)
    store.put([letter(offset, "again") for offset in range(50)], lambda: True)
    rest, _ = run(source, resume=position)
    values = [value for batch in first + rest for value in batch.values]
    assert values == [b"%d" % offset for offset in range(300)]


def test_a_run_that_was_killed_starts_over(store: SqliteDeadLetters) -> None:
    store.replay(Selection())
    run(source_of(store), batches=1)
    batches, _ = run(source_of(store))
    assert sum(len(batch.values) for batch in batches) == 300


def test_what_is_marked_during_a_run_is_left_for_the_next(store: SqliteDeadLetters) -> None:
    store.replay(Selection(cause="a"))
    source = source_of(store)
    store.replay(Selection(cause="b"))
    run(source)
    store.finish_replay(source.mark)
    assert store.counts() == {"b": 150}
    batches, _ = run(source_of(store))
    assert sum(len(batch.values) for batch in batches) == 150


def test_nothing_marked_is_nothing_to_run(store: SqliteDeadLetters) -> None:
    source = source_of(store)
    assert run(source) == ([], 0)
    assert store.finish_replay(source.mark) == 0
    assert store.counts() == {"a": 150, "b": 150}


def test_no_credits_no_letters(store: SqliteDeadLetters) -> None:
    store.replay(Selection())
    one_credit = Credits(1, 10**9)
    partition = DeadLetterSource(store, one_credit, threading.Event(), store.replay_mark()).open("marked", None)
    assert len(list(partition.next_batch())) == 1
    assert partition.next_batch() == []
    assert partition.next_awake() is not None


def test_a_drain_stops_the_source(store: SqliteDeadLetters) -> None:
    store.replay(Selection())
    stop = threading.Event()
    partition = DeadLetterSource(store, Credits(1000, 10**9), stop, store.replay_mark()).open("marked", None)
    stop.set()
    with pytest.raises(StopIteration):
        partition.next_batch()
