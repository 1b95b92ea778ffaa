"""The writer against a real Elasticsearch that has a bad day."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import msgspec
import pytest

from connectors.document_query import Query
from connectors.documents import open_document_store
from connectors.elasticsearch_schema import index_name
from connectors.elasticsearch_store import ElasticsearchStore
from connectors.elasticsearch_writer import BulkLimits
from groundswell.errors import Draining, StopJob
from groundswell.waits import Waits
from tests.connectors.documents import TIME, Tally, deletion, envelope
from tests.proxies import Fault, FlakyProxy, Reply, Request, reject_items
from tests.stack.elasticsearch import ElasticsearchServer
from tests.waiting import wait_until

pytestmark = pytest.mark.stack

LIMITS = BulkLimits(documents=50, in_flight=3, backoff=(0.001, 0.01))
PassOn = Callable[[Request], Reply]


class Bench:
    """A store behind a proxy, and the same store without."""

    def __init__(self, server: ElasticsearchServer) -> None:
        self.proxy = FlakyProxy(server.url)
        self.waits = Waits()
        self.alias = f"{server.prefix()}posts"
        self._direct = server.url
        self._opened: list[ElasticsearchStore] = []
        self.direct = self.open(LIMITS, url=server.url)
        self.direct.prepare()

    def open(self, limits: BulkLimits, url: str | None = None, timeout: float = 60.0) -> ElasticsearchStore:
        store = open_document_store(
            url or self.proxy.url,
            self.waits,
            alias=self.alias,
            trends_index=f"{self.alias}-trends",
            replicas=0,
            limits=limits,
            timeout=timeout,
        )
        assert isinstance(store, ElasticsearchStore)
        self._opened.append(store)
        return store

    def count(self) -> int:
        self.direct.refresh()
        return self.direct.count()

    def close(self) -> None:
        for store in self._opened:
            store.close()
        self.proxy.close()


@pytest.fixture
def bench(elasticsearch: ElasticsearchServer) -> Iterator[Bench]:
    bench = Bench(elasticsearch)
    yield bench
    bench.close()


def write(bench: Bench, count: int, fault: Fault, limits: BulkLimits = LIMITS, timeout: float = 60.0) -> Tally:
    """Write ``count`` posts through the proxy."""
    bench.proxy.fault = fault
    tally = Tally()
    writer = bench.open(limits, timeout=timeout).writer(tally, lambda: True)
    writer.add([envelope(number) for number in range(count)])
    writer.flush()
    writer.close()
    assert bench.waits.current() == {}
    return tally


def test_only_the_items_that_were_rejected_are_sent_again(bench: Bench) -> None:
    storm = reject_items(lambda number: number % 5 == 3)

    def fault(request: Request, pass_on: PassOn) -> Reply | None:
        first_try = request.plain_body.count(b'{"create"') == 50
        return storm(request, pass_on) if first_try else pass_on(request)

    tally = write(bench, 400, fault)
    assert tally.counts == (400, 0, 0, 0)
    assert bench.count() == 400
    sent = sum(request.plain_body.count(b'{"create"') for request in bench.proxy.bulks)
    assert sent == 400 + tally.total.retried
    assert tally.total.retried == 400 // 5


def test_a_long_storm_of_429_loses_and_doubles_nothing(bench: Bench) -> None:
    dice = random.Random(7)
    half = reject_items(lambda number: number % 2 == 0)

    def fault(request: Request, pass_on: PassOn) -> Reply | None:
        if dice.random() < 0.4:
            return Reply(429, b'{"error":{"type":"circuit_breaking_exception","reason":"too much data"},"status":429}')
        return half(request, pass_on) if dice.random() < 0.6 else pass_on(request)

    assert write(bench, 1000, fault).counts == (1000, 0, 0, 0)
    assert bench.count() == 1000


@pytest.mark.parametrize(
    "spoilt",
    [
        Reply(503, b"<html>no</html>", {"content-type": "text/html"}),
        Reply(502, b""),
        Reply(500, b'{"error":{"type":"exception","reason":"out of luck"}}'),
        Reply(200, b'{"errors":false,"items":[]}'),
        Reply(200, b"{}"),
        Reply(200, b"hello", {"content-type": "text/plain", "x-elastic-product": "Elasticsearch"}),
        Reply(200, b"", {"content-type": "application/json", "x-elastic-product": "Elasticsearch"}),
        None,
    ],
    ids=["503", "502", "500", "no items", "empty object", "text", "nothing", "connection closed"],
)
def test_an_answer_that_is_none_is_asked_for_again(bench: Bench, spoilt: Reply | None) -> None:
    def fault(request: Request, pass_on: PassOn) -> Reply | None:
        return spoilt if request.number in (0, 1, 3) else pass_on(request)

    assert write(bench, 200, fault).counts == (200, 0, 0, 0)
    assert bench.count() == 200


def test_an_answer_that_is_cut_is_sent_again_and_finds_its_documents(bench: Bench) -> None:
    def fault(request: Request, pass_on: PassOn) -> Reply | None:
        reply = pass_on(request)
        if request.number in (0, 2):
            reply.cut = len(reply.body) // 2
        return reply

    created, duplicates, deleted, refused = write(bench, 200, fault).counts
    assert (created + duplicates, deleted, refused) == (200, 0, 0)
    assert duplicates == 100
    assert bench.count() == 200


def test_a_stalled_answer_is_given_up_and_the_bulk_sent_again(bench: Bench) -> None:
    release = threading.Event()

    def fault(request: Request, pass_on: PassOn) -> Reply | None:
        if request.number == 0:
            release.wait(60)
            return None
        return pass_on(request)

    assert write(bench, 100, fault, timeout=0.5).counts == (100, 0, 0, 0)
    release.set()
    assert bench.count() == 100


def test_a_request_that_is_too_large_is_halved(bench: Bench) -> None:
    def fault(request: Request, pass_on: PassOn) -> Reply | None:
        many = request.plain_body.count(b'{"create"') > 7 or b"huge" in request.plain_body
        return Reply(413, b"", {"content-type": "text/plain"}) if many else pass_on(request)

    bench.proxy.fault = fault
    tally = Tally()
    writer = bench.open(LIMITS).writer(tally, lambda: True)
    writer.add([envelope(number, "huge" if number == 20 else "small") for number in range(60)])
    writer.flush()
    writer.close()
    assert tally.counts == (59, 0, 0, 1)
    assert tally.total.refused[0].cause == "too_large"
    assert tally.total.refused[0].envelope.post.id == "20"
    assert bench.count() == 59


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (401, {"type": "security_exception", "reason": "missing credentials"}, "credentials"),
        (403, {"type": "security_exception", "reason": "unauthorized for user"}, "rights"),
        (400, {"type": "illegal_argument_exception", "reason": "request [/_bulk] is wrong"}, "does not take bulks"),
        (404, {"type": "resource_not_found_exception", "reason": "no handler"}, "does not take bulks"),
    ],
)
def test_what_no_retry_can_mend_stops_the_job(bench: Bench, status: int, error: dict[str, str], says: str) -> None:
    bench.proxy.fault = lambda request, pass_on: Reply(status, msgspec.json.encode({"error": error}))
    writer = bench.open(LIMITS).writer(Tally(), lambda: True)
    with pytest.raises(StopJob, match=says):
        writer.add([envelope(number) for number in range(100)])
        writer.flush()
    with pytest.raises(StopJob, match=says):
        writer.flush()
    writer.close()


def test_an_item_that_is_not_allowed_stops_the_job(bench: Bench) -> None:
    bench.proxy.fault = reject_items(lambda number: True, 403, "security_exception")
    writer = bench.open(LIMITS).writer(Tally(), lambda: True)
    with pytest.raises(StopJob, match="rights"):
        writer.add([envelope(number) for number in range(100)])
        writer.flush()
    writer.close()


@pytest.mark.parametrize("type_", ["index_closed_exception", "validation_exception"])
def test_trouble_that_an_operator_can_end_is_no_dead_letter(bench: Bench, type_: str) -> None:
    trouble = reject_items(lambda number: True, 400, type_)

    def fault(request: Request, pass_on: PassOn) -> Reply | None:
        return trouble(request, pass_on) if request.number < 6 else pass_on(request)

    assert write(bench, 100, fault).counts == (100, 0, 0, 0)


def test_an_outage_is_named_and_given_up_when_the_job_drains(bench: Bench) -> None:
    bench.proxy.fault = lambda request, pass_on: Reply(503, b"{}")
    patient = threading.Event()
    patient.set()
    writer = bench.open(LIMITS).writer(Tally(), patient.is_set)
    failures: list[BaseException] = []

    def fill() -> None:
        try:
            writer.add([envelope(number) for number in range(1000)])
            writer.flush()
        except Draining as error:
            failures.append(error)

    thread = threading.Thread(target=fill)
    thread.start()
    assert wait_until(bench.waits.current, 30, "the wait to be named").keys() == {"elasticsearch"}
    assert thread.is_alive()
    patient.clear()
    thread.join(30)
    assert [type(failure) for failure in failures] == [Draining]
    writer.close()
    wait_until(lambda: bench.waits.current() == {}, 10, "the wait to end")


def test_memory_is_bounded_while_nothing_answers(bench: Bench) -> None:
    """With three bulks of 50 in flight and one that fills, no more than 200 posts are taken."""
    bench.proxy.fault = lambda request, pass_on: Reply(503, b"{}")
    taken = 0
    patient = threading.Event()
    patient.set()
    writer = bench.open(LIMITS).writer(Tally(), patient.is_set)

    def fill() -> None:
        nonlocal taken
        try:
            for number in range(10_000):
                writer.add([envelope(number)])
                taken += 1
        except Draining:
            return

    thread = threading.Thread(target=fill)
    thread.start()
    wait_until(lambda: taken >= 199, 30, "the bulks to fill")
    wait_until(lambda: len(bench.proxy.bulks) > 20, 30, "many retries")
    assert taken == 199
    patient.clear()
    thread.join(30)
    writer.close()


def test_deletions_outlast_trouble_too(bench: Bench) -> None:
    write(bench, 100, lambda request, pass_on: pass_on(request))
    storm = reject_items(lambda number: number % 3 == 0)
    first = len(bench.proxy.bulks)

    def fault(request: Request, pass_on: PassOn) -> Reply | None:
        return storm(request, pass_on) if request.number < first + 5 else pass_on(request)

    bench.proxy.fault = fault
    tally = Tally()
    writer = bench.open(LIMITS).writer(tally, lambda: True)
    writer.add([*(deletion(number) for number in range(60)), *(envelope(number) for number in range(30))])
    writer.flush()
    writer.close()
    assert tally.counts == (30, 0, 60, 0)
    assert bench.count() == 70


def test_a_closed_index_takes_nothing_away_from_the_others(bench: Bench, elasticsearch: ElasticsearchServer) -> None:
    store = bench.direct
    writer = store.writer(Tally(), lambda: True)
    old = TIME - timedelta(days=100)
    writer.add([envelope(1), envelope(2), envelope(3, created_at=old)])
    writer.flush()
    elasticsearch.request("POST", f"/{index_name(bench.alias, 'week', old)}/_close")
    writer.add([deletion(1), deletion(3)])
    writer.flush()
    writer.close()
    assert bench.count() == 1
    assert [hit.document.id for hit in store.search(Query())] == ["2"]


def test_bulks_are_bounded_by_bytes_and_by_count(bench: Bench) -> None:
    limits = BulkLimits(documents=10, size=20_000, in_flight=2)
    bench.proxy.fault = lambda request, pass_on: pass_on(request)
    tally = Tally()
    writer = bench.open(limits).writer(tally, lambda: True)
    sizes = [10, 3_000, 9_000, 9_000, 100, 60_000, 10, *([100] * 40)]
    writer.add([envelope(number, "x" * size) for number, size in enumerate(sizes)])
    writer.flush()
    writer.close()
    assert tally.counts == (len(sizes), 0, 0, 0)
    for bulk in bench.proxy.bulks:
        operations = bulk.plain_body.count(b'{"create"')
        assert operations <= 10
        assert len(bulk.plain_body) <= 20_000 or operations == 1


@pytest.mark.parametrize("compress", [True, False])
def test_bodies_are_compressed_when_asked(bench: Bench, compress: bool) -> None:
    write(bench, 100, lambda request, pass_on: pass_on(request), msgspec.structs.replace(LIMITS, compress=compress))
    assert all((bulk.headers.get("content-encoding") == "gzip") is compress for bulk in bench.proxy.bulks)
    assert bench.count() == 100


@pytest.mark.faults
def test_a_server_that_goes_away_and_comes_back(bench: Bench, elasticsearch: ElasticsearchServer) -> None:
    store = bench.open(LIMITS, url=elasticsearch.url)
    tally = Tally()
    writer = store.writer(tally, lambda: True)
    done = threading.Event()

    def fill() -> None:
        for start in range(0, 3000, 10):
            writer.add([envelope(number) for number in range(start, start + 10)])
            if start == 1000:
                writer.add([deletion(number) for number in range(500)])
        writer.flush()
        done.set()

    thread = threading.Thread(target=fill)
    thread.start()
    wait_until(lambda: tally.total.created >= 200, 30, "the first documents")
    elasticsearch.kill()
    wait_until(bench.waits.current, 30, "the wait to be named")
    elasticsearch.start()
    assert done.wait(120)
    thread.join()
    writer.close()
    created, duplicates, deleted, refused = tally.counts
    assert created + duplicates == 3000
    assert (deleted, refused) == (500, 0)
    assert bench.waits.current() == {}
    assert bench.count() == 2500
