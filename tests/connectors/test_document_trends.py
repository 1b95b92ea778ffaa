"""Events as documents: of each trend the newest, through outages, and over a start without state."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.document_store import DocumentStore
from connectors.document_trends import DocumentTrendStore
from connectors.documents import open_document_store
from groundswell.errors import Draining
from groundswell.trends import TagCount, TrendDocument, TrendEvent, Window, newest_events, trend_document
from groundswell.waits import Waits
from tests.connectors.trends import TIME, samples, trend_event
from tests.proxies import FlakyProxy, Reply, Request, reject_items
from tests.stack.elasticsearch import ElasticsearchServer
from tests.waiting import wait_until


class Bench:
    """A trend store over a document store, and a look at what that holds."""

    def __init__(self, documents: DocumentStore, waits: Waits) -> None:
        self.documents = documents
        self.waits = waits
        self.store = self.open()
        self.store.prepare()

    def open(self) -> DocumentTrendStore:
        """As after a restart of the process."""
        return DocumentTrendStore(self.documents, self.waits)

    def put(self, *events: TrendEvent) -> None:
        self.store.write([], events, lambda: True)

    def held(self) -> dict[str, TrendDocument]:
        self.documents.refresh()
        return {trend.trend_id: trend for trend in self.documents.trends()}


@pytest.fixture(params=["sqlite", pytest.param("elasticsearch", marks=pytest.mark.stack)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    prefix, url = "", f"sqlite:///{tmp_path}/documents.db"
    if request.param == "elasticsearch":
        server = request.getfixturevalue("elasticsearch")
        prefix, url = server.prefix(), server.url
    waits = Waits()
    documents = open_document_store(url, waits, alias=f"{prefix}posts", trends_index=f"{prefix}trends", replicas=0)
    yield Bench(documents, waits)
    documents.close()


def documents_of(*events: TrendEvent) -> dict[str, TrendDocument]:
    return {event.trend.id: trend_document(event) for event in events}


def test_an_event_becomes_a_document_without_its_samples(bench: Bench) -> None:
    bench.store.write([Window(1, 60, 0, 60, (TagCount("flood", 1),))], [], lambda: True)
    assert bench.held() == {}
    bench.put(trend_event(event="began", samples=samples(300, 280)))
    (document,) = bench.held().values()
    assert document == TrendDocument(
        trend_id="flood/1",
        tag="flood",
        label="Flood",
        since=TIME,
        updated_at=TIME,
        active=True,
        score=12.5,
        count=100,
        peak=200,
        authors=90,
        generation=1,
        revision=0,
        unattributed=3,
        words=("river", "levee"),
        weights={"river": 2.5, "levee": 1.25},
        cotags=("harvey", "東京"),
    )


def test_an_ended_trend_stays_with_its_end(bench: Bench) -> None:
    bench.put(trend_event(event="began"), trend_event(minute=9, event="ended"))
    (document,) = bench.held().values()
    assert (document.active, document.until) == (False, TIME + timedelta(minutes=9))
    assert bench.documents.trends(active_only=True) == []


def test_replays_in_any_order_and_twice_leave_the_newest_of_each(bench: Bench) -> None:
    events = [trend_event(tag, minute, revision) for tag in "abc" for minute in range(5) for revision in range(2)]
    shuffled = random.Random(4)
    for _ in range(3):
        some = shuffled.sample(events, len(events))
        for start in range(0, len(some), 4):
            bench.put(*some[start : start + 4])
    assert bench.held() == documents_of(*newest_events(events).values())


def test_what_a_generation_left_active_ends_when_the_next_one_speaks(bench: Bench) -> None:
    """A job that starts without its state knows nothing of what trended before.

    ::

        minute   0          3                5
        gen 10   flood ──── storm ended, goal ┆ (no more: the state was removed)
        gen 20                                ┆ goal again; flood is over since minute 0
    """
    bench.put(trend_event("flood", 0, generation=10), trend_event("goal", 3, generation=10))
    bench.put(storm := trend_event("storm", 3, generation=10, event="ended"))
    bench.store = bench.open()
    bench.put(goal := trend_event("goal", 1, generation=20))
    held = bench.held()
    assert (held["flood/1"].active, held["flood/1"].until) == (False, TIME)
    assert {name: held[name] for name in ("goal/1", "storm/1")} == documents_of(goal, storm)
    # A process of the earlier generation that is slow to die changes nothing,
    bench.put(trend_event("flood", 4, generation=10))
    assert bench.held() == held
    # and the trend goes on when it is found again, however early that is.
    bench.put(again := trend_event("flood", 0, generation=20))
    assert bench.held() == documents_of(again, goal, storm)


def test_a_restart_with_its_state_ends_nothing(bench: Bench) -> None:
    bench.put(flood := trend_event("flood", generation=10))
    bench.store = bench.open()
    bench.put(goal := trend_event("goal", generation=10))
    assert bench.held() == documents_of(flood, goal)


def test_a_window_is_enough_to_end_what_was_left(bench: Bench) -> None:
    bench.put(trend_event("flood", generation=10))
    bench.store.write([Window(20, 1_800_000_000, 0, 1800, ())], [], lambda: True)
    (document,) = bench.held().values()
    assert not document.active


def test_a_lock_on_the_file_is_waited_out(tmp_path: Path) -> None:
    waits = Waits()
    path = tmp_path / "documents.db"
    bench = Bench(open_document_store(f"sqlite:///{path}", waits), waits)
    bench.put(trend_event())
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=bench.put, args=[trend_event(minute=1)])
    thread.start()
    (reason,) = wait_until(lambda: list(waits.current().values()), 60, "the wait to be named")
    assert "locked" in reason
    other.execute("ROLLBACK")
    thread.join(60)
    assert (bench.held(), waits.current()) == (documents_of(trend_event(minute=1)), {})
    other.close()
    bench.documents.close()


@pytest.mark.stack
class TestElasticsearchOutages:
    @pytest.fixture
    def proxy(self, elasticsearch: ElasticsearchServer) -> Iterator[FlakyProxy]:
        proxy = FlakyProxy(elasticsearch.url)
        yield proxy
        proxy.close()

    @pytest.fixture
    def flaky(self, elasticsearch: ElasticsearchServer, proxy: FlakyProxy) -> Iterator[Bench]:
        prefix, waits = elasticsearch.prefix(), Waits()
        documents = open_document_store(
            proxy.url, waits, alias=f"{prefix}posts", trends_index=f"{prefix}trends", replicas=0
        )
        yield Bench(documents, waits)
        documents.close()

    def test_lost_broken_and_refused_answers_are_asked_for_again(self, flaky: Bench, proxy: FlakyProxy) -> None:
        """Each bulk goes wrong in another way, before or after it was applied."""

        refuse = reject_items(lambda number: number % 2 == 0)

        def storm(request: Request, pass_on: Callable[[Request], Reply]) -> Reply | None:
            spoil = request.number % 6
            if spoil == 0:
                return None
            if spoil == 1:
                return Reply(503, b'{"error":"no"}')
            if spoil == 2:
                return refuse(request, pass_on)
            passed = pass_on(request)
            if spoil == 3:
                return None
            if spoil == 4:
                passed.cut = len(passed.body) // 2
            return passed

        proxy.fault = storm
        events = [trend_event(tag, minute) for minute in range(6) for tag in "abcd"]
        for start in range(0, len(events), 4):
            flaky.put(*events[start : start + 4])
        proxy.fault = None
        assert flaky.held() == documents_of(*newest_events(events).values())
        assert flaky.waits.current() == {}
        assert len(proxy.bulks) > 6

    def test_some_that_are_too_many_for_the_server_are_sent_again(self, flaky: Bench, proxy: FlakyProxy) -> None:
        refuse = reject_items(lambda number: number % 2 == 0)
        proxy.fault = lambda request, pass_on: refuse(request, pass_on) if request.number < 3 else pass_on(request)
        events = [trend_event(tag) for tag in "abcdefg"]
        flaky.put(*events)
        assert flaky.held() == documents_of(*events)

    def test_an_outage_is_given_up_when_the_job_drains(self, flaky: Bench, proxy: FlakyProxy) -> None:
        flaky.put(trend_event())
        proxy.fault = lambda request, pass_on: None
        with pytest.raises(Draining, match="elasticsearch"):
            flaky.store.write([], [trend_event(minute=1)], lambda: False)
        proxy.fault = None
        assert (flaky.held(), flaky.waits.current()) == (documents_of(trend_event()), {})

    @pytest.mark.faults
    def test_a_server_that_was_killed_is_waited_for(self, elasticsearch: ElasticsearchServer) -> None:
        prefix, waits = elasticsearch.prefix(), Waits()
        documents = open_document_store(
            elasticsearch.url, waits, alias=f"{prefix}posts", trends_index=f"{prefix}trends", replicas=0
        )
        bench = Bench(documents, waits)
        bench.put(trend_event())
        elasticsearch.kill()
        thread = threading.Thread(target=bench.put, args=[trend_event(minute=1)])
        thread.start()
        assert wait_until(waits.current, 30, "the wait to be named").keys() == {"elasticsearch"}
        elasticsearch.start()
        thread.join(120)
        assert not thread.is_alive()
        assert (bench.held(), waits.current()) == (documents_of(trend_event(minute=1)), {})
        documents.close()
