"""Scores in Elasticsearch: a server that refuses, and somebody else who writes at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from connectors.document_store import DocumentStore
from connectors.document_topics import Found, NewScore
from groundswell.errors import StopJob, Unavailable
from groundswell.records import document_id
from tests.connectors.clusters import Cluster
from tests.connectors.documents import deletion, envelope, write
from tests.connectors.topics import declare, embedded, judged, put, read, vector, whole
from tests.proxies import FlakyProxy, Reply, Request, reject_items
from tests.stack.elasticsearch import ElasticsearchServer

pytestmark = pytest.mark.stack


@pytest.fixture
def proxy(elasticsearch: ElasticsearchServer) -> Iterator[FlakyProxy]:
    between = FlakyProxy(elasticsearch.url)
    yield between
    between.close()


def found_through(proxy: FlakyProxy, cluster: Cluster) -> tuple[DocumentStore, list[Found]]:
    store = cluster.open(proxy.url)
    declare(store, "flood")
    write(store, *(envelope(number, **embedded(vector(7))) for number in range(10)))
    return store, read(store)


def test_what_a_server_does_not_take_at_once_is_taken_in_parts(cluster: Cluster, proxy: FlakyProxy) -> None:
    def at_most_three(request: Request, pass_on: Callable[[Request], Reply]) -> Reply:
        many = request.body.count(b"\n") > 6
        return Reply(413, b"", {"content-type": "text/plain"}) if many else pass_on(request)

    store, found = found_through(proxy, cluster)
    write(store, deletion(4))
    proxy.fault = at_most_three
    result = put(store, found, judged(0.9))
    assert (result.written, result.passed) == (9, 1)


def test_a_single_score_that_is_too_large_ends_the_job(cluster: Cluster, proxy: FlakyProxy) -> None:
    store, found = found_through(proxy, cluster)
    proxy.fault = lambda *_: Reply(413, b"", {"content-type": "text/plain"})
    with pytest.raises(StopJob, match="a single score"):
        put(store, found, judged(0.9))


def test_what_a_busy_server_does_not_take_is_given_back(cluster: Cluster, proxy: FlakyProxy) -> None:
    store, found = found_through(proxy, cluster)
    proxy.fault = reject_items(lambda number: number in (2, 5))
    new = [NewScore(each, "flood", judged(0.9)) for each in found]
    result = store.put_scores(new)
    assert (result.written, result.passed, list(result.again)) == (8, 0, [new[2], new[5]])
    proxy.fault = reject_items(lambda _: True)
    with pytest.raises(Unavailable, match="rejected"):
        store.put_scores(result.again)
    proxy.fault = None
    assert store.put_scores(result.again).written == 2


def test_an_answer_that_was_lost_is_no_harm(cluster: Cluster, proxy: FlakyProxy) -> None:
    def lose(request: Request, pass_on: Callable[[Request], Reply]) -> None:
        pass_on(request)

    store, found = found_through(proxy, cluster)
    proxy.fault = lose
    with pytest.raises(Unavailable):
        put(store, found, judged(0.9))
    proxy.fault = None
    assert put(store, found, judged(0.9)).written == 10
    documents = store.get([each.id for each in found]).values()
    assert all(document.classification == {"flood": judged(0.9)} for document in documents)
    assert all(document.embedding == vector(7).hex() for document in documents)


def test_a_document_that_somebody_else_goes_on_changing_is_given_back(cluster: Cluster, proxy: FlakyProxy) -> None:
    store, found = found_through(proxy, cluster)
    restless = found[0]

    def change_before(request: Request, pass_on: Callable[[Request], Reply]) -> Reply:
        path = f"/{restless.place}/_update/{restless.id}"
        cluster.server.request("POST", path, {"doc": {"lang": f"x{request.number}"}})
        return pass_on(request)

    proxy.fault = change_before
    result = put(store, found, judged(0.9))
    assert (result.written, [each.document for each in result.again]) == (9, [restless])
    with pytest.raises(Unavailable, match="somebody else goes on changing"):
        store.put_scores(result.again)
    proxy.fault = None
    assert store.put_scores(result.again).written == 1


def test_what_was_changed_between_the_read_and_the_write_is_kept(cluster: Cluster, proxy: FlakyProxy) -> None:
    """A newer topic comes in, a deletion and another tag, each just before the bulk."""
    store, found = found_through(proxy, cluster)
    other = cluster.open()
    declare(other, "quake")
    by_number = {
        number: next(each for each in found if each.id == document_id("test", str(number))) for number in range(3)
    }

    def meanwhile(request: Request, pass_on: Callable[[Request], Reply]) -> Reply:
        proxy.fault = None
        put(other, [by_number[0]], judged(0.1, topic=9))
        write(other, deletion(1))
        put(other, [by_number[2]], judged(0.8), "quake")
        return pass_on(request)

    proxy.fault = meanwhile
    result = put(store, found, judged(0.9, topic=1))
    assert (result.written, result.passed) == (8, 2)
    assert whole(store, 0).classification == {"flood": judged(0.1, topic=9)}
    assert document_id("test", "1") not in store.get([document_id("test", "1")])
    assert set(whole(store, 2).topics) == {"quake", "flood"}
