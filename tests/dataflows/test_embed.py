"""The backfill of embeddings: what lacks a vector gets one, once, whatever happens meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from connectors.document_query import Query
from connectors.document_store import DocumentStore
from connectors.document_vectors import Lacking, NewVector, PutVectors
from connectors.sqlite_store import SqliteStore
from dataflows.embed import CONTROL, Backfill, Filled, left_to_do
from groundswell.errors import StopJob, Unavailable
from groundswell.records import Analysis, ModelRef
from groundswell.waits import Waits
from inference.rows import CANCELLED, DEVICE, RowError
from tests.connectors.documents import deletion, envelope, write

MODEL = ModelRef("encoder", "1")


def vector(text: str) -> bytes:
    return bytes([1 + len(text) % 100, 1]).ljust(384, b"\0")


class Device:
    """Embeds by length; ``read`` are the texts that it was given, the control text apart."""

    def __init__(self, space: str = "now") -> None:
        self.space = space
        self.poison: set[str] = set()
        self.broken = False
        self.read: list[str] = []
        self.on_page: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> list[Analysis | RowError]:
        if list(texts) != [CONTROL]:
            with self._lock:
                self.read += texts
                self.on_page()
        return [
            RowError(DEVICE, "out of memory")
            if self.broken or text in self.poison
            else Analysis(MODEL, {}, vector(text), self.space)
            for text in texts
        ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DocumentStore]:
    opened = SqliteStore(tmp_path / "documents.db", Waits())
    opened.prepare()
    yield opened
    opened.close()


def fill(store: DocumentStore, device: Device, limit: int | None = None, stop: threading.Event | None = None) -> Filled:
    return Backfill(store, device, Waits(), stop or threading.Event(), limit=limit, page=4).run()


def posts(store: DocumentStore, *numbers: int, **fields: object) -> None:
    write(store, *(envelope(number, f"text {'x' * number}", **fields) for number in numbers))


def vectors(store: DocumentStore, space: str = "now") -> set[str]:
    found = store.get([hit.id for hit in store.nearest(vector(""), space, Query(limit=10_000))])
    assert all(document.embedding == vector(document.text).hex() for document in found.values())
    return {document.id for document in found.values()}


def test_documents_without_a_vector_and_those_of_another_space_get_one(store: DocumentStore) -> None:
    posts(store, *range(10))
    posts(store, 10, 11, embedding=vector("old").hex(), embedding_space="before")
    posts(store, 12, embedding=vector(f"text {'x' * 12}").hex(), embedding_space="now")
    device = Device()
    done: list[int] = []
    filled = Backfill(store, device, Waits(), threading.Event(), page=4, on_progress=done.append).run()
    assert filled == Filled("now", 12, 0)
    assert (sum(done), len(device.read)) == (12, 12)
    assert vectors(store) == {str(number) for number in range(13)}
    assert left_to_do(store.count_spaces(), "now") == 0


def test_a_second_run_reads_nothing(store: DocumentStore) -> None:
    posts(store, *range(9))
    fill(store, Device())
    device = Device()
    assert fill(store, device) == Filled("now", 0, 0)
    assert device.read == []


def test_an_empty_store_is_done_at_once(store: DocumentStore) -> None:
    assert fill(store, Device()) == Filled("now", 0, 0)


def test_a_limit_bounds_what_is_taken_up_and_the_next_run_goes_on(store: DocumentStore) -> None:
    posts(store, *range(20))
    device = Device()
    assert fill(store, device, limit=7).written == 7
    assert fill(store, device, limit=7).written == 7
    assert fill(store, device).written == 6
    assert len(device.read) == len(set(device.read)) == 20


def test_a_text_that_cannot_be_read_is_noted_and_asked_about_no_more(store: DocumentStore) -> None:
    posts(store, *range(10))
    device = Device()
    device.poison = {f"text {'x' * number}" for number in (3, 7)}
    assert fill(store, device) == Filled("now", 8, 2)
    assert sorted(device.read.count(text) for text in device.poison) == [2, 2]
    assert vectors(store) == {str(number) for number in range(10)} - {"3", "7"}
    device.read.clear()
    assert fill(store, device) == Filled("now", 0, 0)
    # A model of another space may know better.
    assert fill(store, Device("next")) == Filled("next", 10, 0)


def test_only_poison_left_is_an_end_too(store: DocumentStore) -> None:
    posts(store, 1, 2)
    device = Device()
    device.poison = {"text x", "text xx"}
    assert fill(store, device) == Filled("now", 0, 2)


def test_a_device_that_fails_condemns_no_text(store: DocumentStore) -> None:
    posts(store, *range(10))
    device = Device()

    def breaks() -> None:
        device.broken = len(device.read) > 4

    device.on_page = breaks
    with pytest.raises(StopJob, match="cannot read any text now: out of memory"):
        fill(store, device)
    counts = {count.space: (count.documents, count.vectors) for count in store.count_spaces()}
    assert counts.get("now", (0, 0))[0] == counts.get("now", (0, 0))[1]
    device.broken, device.on_page = False, lambda: None
    fill(store, device)
    assert len(vectors(store)) == 10


def test_a_model_without_embeddings_cannot_begin(store: DocumentStore) -> None:
    device = Device()
    device.broken = True
    with pytest.raises(StopJob, match="cannot read any text now"):
        fill(store, device)


def test_told_to_stop_it_keeps_what_is_read_and_forgets_the_rest(store: DocumentStore) -> None:
    posts(store, *range(40))
    stop = threading.Event()
    device = Device()
    device.on_page = lambda: stop.set() if len(device.read) >= 12 else None

    def embed(texts: Sequence[str]) -> list[Analysis | RowError]:
        answers = device(texts)
        return answers[:2] + [RowError(CANCELLED, "")] * len(answers[2:]) if stop.is_set() else answers

    Backfill(store, embed, Waits(), stop, page=4).run()
    first = len(vectors(store))
    assert 8 <= first < 40
    assert left_to_do(store.count_spaces(), "now") == 40 - first
    assert fill(store, Device()).written == 40 - first


def test_a_model_that_is_swapped_under_way_fills_everything_with_the_new_space(store: DocumentStore) -> None:
    posts(store, *range(30))
    device = Device("before")

    def swap() -> None:
        if len(device.read) >= 12:
            device.space = "now"

    device.on_page = swap
    assert fill(store, device).space == "now"
    assert len(vectors(store)) == 30


def test_documents_that_come_and_go_meanwhile(store: DocumentStore) -> None:
    posts(store, *range(30))
    device = Device()
    steps = iter(range(30, 36))

    def meanwhile() -> None:
        if (number := next(steps, None)) is not None:
            posts(store, number)
            write(store, deletion(number - 30), envelope(number - 30, f"text {'x' * (number - 30)}"))
            write(store, deletion(number - 20))

    device.on_page = meanwhile
    fill(store, device)
    fill(store, Device())
    assert vectors(store) == {str(number) for number in range(36) if not 10 <= number < 16}


class Flaky:
    """A store that does not answer now and then, and has no room for all now and then."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store
        self._calls = 0

    def lacking(self, space: str, page: int) -> Iterator[list[Lacking]]:
        for found in self._store.lacking(space, page):
            yield found
            self._maybe_fail()

    def put_vectors(self, vectors: Sequence[NewVector]) -> PutVectors:
        self._maybe_fail()
        result = self._store.put_vectors(vectors[:3])
        return PutVectors(result.written, result.passed, vectors[3:])

    def _maybe_fail(self) -> None:
        self._calls += 1
        if self._calls % 3 == 0:
            raise Unavailable("sqlite", "busy")


def test_outages_are_waited_out_and_nothing_is_lost(store: DocumentStore) -> None:
    posts(store, *range(30))
    device = Device()
    filled = Backfill(Flaky(store), device, Waits(), threading.Event(), page=4).run()  # type: ignore[arg-type]
    assert len(vectors(store)) == 30
    assert filled.written >= 30
    assert len(device.read) <= 30 + 8 * 8


def test_an_outage_is_not_waited_out_once_it_is_to_stop(store: DocumentStore) -> None:
    class Down(Flaky):
        def _maybe_fail(self) -> None:
            stop.set()
            raise Unavailable("sqlite", "gone")

    posts(store, *range(10))
    stop = threading.Event()
    Backfill(Down(store), Device(), Waits(), stop, page=4).run()  # type: ignore[arg-type]
    assert vectors(store) == set()
