"""What every store of windows and trends must do, run over each of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.document_trends import DocumentTrendStore
from connectors.documents import open_document_store
from connectors.kafka_trends import KafkaTrendStore, read_trends
from connectors.redis_client import connect
from connectors.redis_trends import RedisTrendStore
from connectors.trend_reader import Change, TrendReader
from connectors.trend_store import TrendStore
from groundswell.errors import Draining
from groundswell.trends import EventKind, TagCount, TrendEvent, Window, newest_events
from groundswell.waits import Waits
from tests.connectors.trends import TIME, samples, trend_event


class Known(NamedTuple):
    """What every store keeps of a trend, wherever it keeps it."""

    tag: str
    since: datetime
    until: datetime | None
    posts: int
    peak: int


@dataclass
class Place:
    """A store as a test has it: opened as often as wanted, and read by its own means."""

    open: Callable[[], TrendStore]
    known: Callable[[], dict[str, Known]]
    waits: Waits
    #: Take it away and bring it back; ``None`` where nothing can be taken away.
    stop: Callable[[], None] | None = None
    start: Callable[[], None] | None = None


def what_is_known(events: list[TrendEvent]) -> dict[str, Known]:
    """The newest event of each trend says what is known of it."""
    newest = newest_events(events)
    return {
        id_: Known(event.trend.tag, event.trend.since, event.trend.until, event.trend.count, event.trend.peak)
        for id_, event in newest.items()
    }


def redis_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    database = request.getfixturevalue("redis")
    waits = Waits()
    reader = TrendReader(connect(database.url))

    def known() -> dict[str, Known]:
        changes: list[Change] = reader.changes(limit=100_000)
        return what_is_known([change.event for change in changes])

    return Place(
        lambda: RedisTrendStore(connect(database.url, retries=0), waits),
        known,
        waits,
        database.stop,
        database.start,
    )


def kafka_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server = request.getfixturevalue("kafka")
    waits = Waits()
    topic = f"{server.topic()}.trends"
    return Place(
        lambda: KafkaTrendStore(server.bootstrap_servers, topic, waits),
        lambda: what_is_known(list(read_trends(server.bootstrap_servers, topic).values())),
        waits,
        server.stop,
        server.start,
    )


def documents_place(request: pytest.FixtureRequest, url: str, prefix: str) -> Place:
    waits = Waits()
    documents = open_document_store(url, waits, alias=f"{prefix}posts", trends_index=f"{prefix}trends", replicas=0)
    request.addfinalizer(documents.close)

    def known() -> dict[str, Known]:
        documents.refresh()
        return {
            trend.trend_id: Known(trend.tag, trend.since, trend.until, trend.count, trend.peak)
            for trend in documents.trends()
        }

    return Place(lambda: DocumentTrendStore(documents, waits), known, waits)


def sqlite_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return documents_place(request, f"sqlite:///{tmp_path}/documents.db", "")


def elasticsearch_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server = request.getfixturevalue("elasticsearch")
    place = documents_place(request, server.url, server.prefix())
    place.stop, place.start = server.stop, server.start
    return place


#: A further store is one more line here.
PLACES = {
    "kafka": pytest.param(kafka_place, marks=pytest.mark.stack),
    "redis": pytest.param(redis_place, marks=pytest.mark.stack),
    "sqlite": pytest.param(sqlite_place),
    "elasticsearch": pytest.param(elasticsearch_place, marks=pytest.mark.stack),
}


@pytest.fixture(params=list(PLACES.values()), ids=list(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place: Place = request.param(request, tmp_path)
    opened: list[TrendStore] = []
    make = place.open

    def open_it() -> TrendStore:
        opened.append(make())
        opened[-1].prepare()
        return opened[-1]

    place.open = open_it
    yield place
    for store in opened:
        store.close()


def window(end: int, *top: tuple[str, int], revision: int = 0, generation: int = 1) -> Window:
    return Window(generation, end, revision, 1800, tuple(TagCount(tag, count) for tag, count in top))


def event(kind: EventKind, minute: int, tag: str = "boston", **fields: Any) -> TrendEvent:
    """An event of the trend ``<tag>/1``, which began at minute 0."""
    return trend_event(tag, minute, event=kind, **fields)


def write(store: TrendStore, *events: TrendEvent) -> None:
    store.write([], events, lambda: True)


def test_a_trend_is_known_once_it_is_written(place: Place) -> None:
    store = place.open()
    store.write([window(1800, ("boston", 20))], [event("began", 0, count=20, samples=samples(300, 140))], lambda: True)
    assert place.known() == {"boston/1": Known("boston", TIME, None, 20, 200)}
    write(store, event("changed", 1, count=40), event("ended", 9, count=5))
    assert place.known() == {"boston/1": Known("boston", TIME, TIME + timedelta(minutes=9), 5, 200)}


def test_nothing_to_write_is_written_at_once(place: Place) -> None:
    place.open().write([], [], lambda: False)
    assert place.known() == {}


def test_trends_are_kept_apart(place: Place) -> None:
    write(place.open(), event("began", 0), event("began", 1, "nyc", count=3), event("ended", 2))
    assert {id_: known.until is None for id_, known in place.known().items()} == {
        "boston/1": False,
        "nyc/1": True,
    }


def test_what_is_told_again_changes_nothing(place: Place) -> None:
    told = [event("began", 0), event("changed", 1, count=40), event("ended", 9)]
    write(place.open(), *told)
    before = place.known()
    # Another process, which goes on from an earlier snapshot.
    write(place.open(), *told[:2])
    write(place.open(), *told)
    assert place.known() == before


def test_a_correction_supersedes_and_what_it_corrects_does_not_return(place: Place) -> None:
    store = place.open()
    write(store, event("began", 0, count=20), event("began", 0, count=22, revision=1))
    assert place.known()["boston/1"].posts == 22
    write(store, event("began", 0, count=20))
    assert place.known()["boston/1"].posts == 22


def test_counts_beyond_32_bits_are_exact(place: Place) -> None:
    store = place.open()
    large = 2**53 - 1
    store.write([window(1800, ("boston", large))], [event("began", 0, count=large, peak=large)], lambda: True)
    assert place.known()["boston/1"][3:] == (large, large)


@pytest.mark.parametrize("tag", ["日本語", "😀🇺🇸", "a b'\"{}\\:*?[x]", "é", "e\u0301", "x" * 500])
def test_any_tag_is_kept_as_it_is(place: Place, tag: str) -> None:
    place.open().write([window(1800, (tag, 20))], [event("began", 0, tag)], lambda: True)
    assert [known.tag for known in place.known().values()] == [tag]


def test_closing_twice_is_harmless(place: Place) -> None:
    store = place.open()
    write(store, event("began", 0))
    store.close()
    store.close()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_replays_leave_what_the_newest_event_said(place: Place, data: st.DataObject) -> None:
    # Never drawn, or an example could meet what an earlier one left.
    tag = str(uuid.uuid4())
    # As a job that is killed again and again tells them: in order, each time from an earlier place.
    minutes = sorted(data.draw(st.sets(st.integers(1, 90), min_size=1, max_size=8)))
    told = [event("ended" if minute == minutes[-1] else "changed", minute, tag) for minute in minutes]
    store = place.open()
    for _ in range(data.draw(st.integers(0, 4))):
        first = data.draw(st.integers(0, len(told) - 1))
        write(store, *told[first : data.draw(st.integers(first, len(told)))])
    write(store, *told)
    assert place.known()[f"{tag}/1"] == what_is_known(told[-1:])[f"{tag}/1"]


def test_an_outage_is_waited_out_until_the_job_may_wait_no_longer(place: Place) -> None:
    if place.stop is None or place.start is None:
        return
    store = place.open()
    write(store, event("began", 0))
    place.stop()
    asked = 0

    def keep_waiting() -> bool:
        nonlocal asked
        asked += 1
        return asked < 20

    with pytest.raises(Draining, match="gave up waiting for"):
        store.write([window(1800)], [event("changed", 1, count=40)], keep_waiting)
    assert place.waits.current() == {}

    def until_it_is_back() -> bool:
        if place.waits.current() and place.start is not None:
            place.start()
        return True

    store.write([window(1800)], [event("changed", 1, count=40)], until_it_is_back)
    assert place.known()["boston/1"].posts == 40
    assert place.waits.current() == {}
