"""Labels and scores in Elasticsearch: indices of another hand, templates, and a server that refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from connectors.document_query import Query
from connectors.document_store import DocumentStore
from connectors.document_topics import Found, Labels, NewScore
from connectors.documents import open_document_store
from connectors.elasticsearch_schema import index_name, labels_template
from groundswell.errors import StopJob, Unavailable
from groundswell.records import document_id
from groundswell.topics import field_of
from groundswell.waits import Waits
from tests.connectors.documents import TIME, deletion, envelope, write
from tests.connectors.topics import declare, embedded, judged, put, read, vector, whole
from tests.proxies import FlakyProxy, Reply, Request, reject_items
from tests.stack.elasticsearch import ElasticsearchServer

pytestmark = pytest.mark.stack

WEEK = timedelta(days=7)
FLOOD = field_of("flood")


class Cluster:
    """One alias on a server, and what another hand does to it."""

    def __init__(self, server: ElasticsearchServer) -> None:
        self.server = server
        self.prefix = server.prefix()
        self.alias = f"{self.prefix}posts"
        self._opened: list[DocumentStore] = []

    def open(self, url: str = "") -> DocumentStore:
        store = open_document_store(
            url or self.server.url, Waits(), alias=self.alias, trends_index=f"{self.prefix}trends", replicas=0
        )
        store.prepare()
        self._opened.append(store)
        return store

    def index(self, weeks: int = 0) -> str:
        return index_name(self.alias, "week", TIME + weeks * WEEK)

    def settings(self, index: str, settings: dict[str, Any]) -> None:
        self.server.request("PUT", f"/{index}/_settings", settings)

    def fields(self, index: str) -> dict[str, Any]:
        mappings = self.server.request("GET", f"/{index}/_mapping")[index]["mappings"]
        return {name: field for name, field in mappings["properties"].items() if name.startswith("classification_")}

    def foreign(self, name: str = "from-before", **fields: dict[str, Any]) -> str:
        """An index behind the alias that knows nothing of labels, with one document."""
        plain = {"id": "keyword", "source": "keyword", "text": "text", "created_at": "date", "indexed_at": "date"}
        index = f"{self.alias}-{name}"
        properties = {name: {"type": kind} for name, kind in plain.items()} | fields
        body = {
            "settings": {"number_of_replicas": 0},
            "mappings": {"dynamic": "strict", "properties": properties},
            "aliases": {self.alias: {}},
        }
        self.server.request("PUT", f"/{index}", body)
        times = {"created_at": TIME.isoformat(), "indexed_at": TIME.isoformat()}
        document = {"id": name, "source": "test", "text": name, **times}
        self.server.request("PUT", f"/{index}/_doc/{document_id('test', name)}?refresh=true", document)
        return index

    def close(self) -> None:
        for store in self._opened:
            store.close()


@pytest.fixture
def cluster(elasticsearch: ElasticsearchServer) -> Iterator[Cluster]:
    cluster = Cluster(elasticsearch)
    yield cluster
    cluster.close()


class TestIndices:
    def test_the_field_is_in_every_index_and_in_those_to_come(self, cluster: Cluster) -> None:
        store = cluster.open()
        write(store, *(envelope(week, created_at=TIME + week * WEEK) for week in range(3)))
        declare(store, "flood")
        write(store, envelope(3, created_at=TIME + 3 * WEEK))
        for week in range(4):
            assert cluster.fields(cluster.index(week))[FLOOD]["type"] == "float"
        declare(store, keep=[])
        write(store, envelope(4, created_at=TIME + 4 * WEEK))
        assert FLOOD not in cluster.fields(cluster.index(4))
        assert FLOOD in cluster.fields(cluster.index(3))
        # What is undeclared again comes without its probability and is no dead letter.
        tally = write(store, envelope(5, created_at=TIME + 4 * WEEK, classification={"flood": judged(0.9)}))
        assert (tally.counts, tally.total.unlabelled) == ((1, 0, 0, 0), 1)
        assert put(store, read(store), judged(0.9)).written == 4

    def test_an_index_of_another_hand_gets_all_that_it_lacks(self, cluster: Cluster) -> None:
        cluster.foreign()
        store = cluster.open()
        assert declare(store, "flood").declared == ("flood",)
        assert put(store, read(store), judged(0.9)).written == 1
        document = whole(store, "from-before")
        assert (document.classification, document.topics) == ({"flood": judged(0.9)}, ("flood",))

    @pytest.mark.parametrize(
        "fields",
        [
            {FLOOD: {"type": "keyword"}},
            {FLOOD: {"type": "long"}},
        ],
    )
    def test_a_field_that_is_something_else_refuses_its_tag_alone(
        self, cluster: Cluster, fields: dict[str, Any]
    ) -> None:
        index = cluster.foreign(**fields)
        store = cluster.open()
        write(store, envelope(1))
        found = declare(store, "quake", "flood")
        assert found.declared == ("quake",)
        assert [(each.tag, each.cause) for each in found.refused] == [("flood", "conflict")]
        assert index in found.refused[0].detail and "take it out of the alias" in found.refused[0].detail
        assert store.labels().live == ("quake",)

    @pytest.mark.parametrize("fields", [{"topics": {"type": "text"}}, {"classification_meta": {"type": "keyword"}}])
    def test_what_goes_with_every_label_refuses_them_all(self, cluster: Cluster, fields: dict[str, Any]) -> None:
        cluster.foreign(**fields)
        store = cluster.open()
        assert [each.cause for each in declare(store, "quake", "flood").refused] == ["conflict"] * 2
        assert store.labels().live == ()

    def test_an_index_without_room_is_named_and_its_documents_are_left_alone(
        self, cluster: Cluster, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = cluster.open()
        write(store, envelope(1), envelope(2, created_at=TIME + WEEK, **embedded(vector(1))))
        cluster.settings(cluster.index(0), {"index.mapping.total_fields.limit": 30})
        tags = [f"t{number}" for number in range(20)]
        found = declare(store, *tags)
        assert (found.declared, found.refused, found.full) == (tuple(tags), (), (cluster.index(0),))
        assert f"no room for another field, so their documents stay unscored: {cluster.index(0)}" in caplog.text
        assert [each.text for each in read(store, "t0")] == ["the river rises"] * len(read(store, "t0"))
        lacking = [tag for tag in tags if field_of(tag) not in cluster.fields(cluster.index(0))]
        assert lacking
        assert [each.place for each in read(store, lacking[0])] == [cluster.index(1)]
        assert store.search(Query(sort=field_of(lacking[0])))

    def test_no_room_anywhere_refuses_the_tag(self, cluster: Cluster) -> None:
        store = cluster.open()
        write(store, envelope(1))
        cluster.settings(cluster.index(), {"index.mapping.total_fields.limit": 1})
        (refused,) = declare(store, "flood").refused
        assert refused.cause == "no_room"
        assert "raise index.mapping.total_fields.limit" in refused.detail
        assert store.labels() == Labels()
        cluster.settings(cluster.index(), {"index.mapping.total_fields.limit": 1_000})
        assert declare(store, "flood").declared == ("flood",)

    def test_more_labels_than_the_template_takes(self, cluster: Cluster) -> None:
        store = cluster.open()
        found = declare(store, *(f"t{number}" for number in range(1_000)), most=2_000)
        assert found.declared[:3] == ("t0", "t1", "t2")
        assert 900 < len(found.declared) < 1_000
        assert {each.cause for each in found.refused} == {"no_room"}
        write(store, envelope(1))
        assert set(store.labels().live) == set(found.declared)

    def test_an_index_that_takes_no_writes_is_left_alone(self, cluster: Cluster) -> None:
        store = cluster.open()
        write(store, envelope(1), envelope(2, "new", created_at=TIME + WEEK))
        found = read(store)
        for block in ("index.blocks.read_only", "index.blocks.write"):
            cluster.settings(cluster.index(), {block: True})
            assert declare(store, "flood").declared == ("flood",)
            assert [each.text for each in read(store)] == ["new"]
            result = put(store, found, judged(0.9))
            assert (result.written, [each.score.document.text for each in result.refused]) == (1, ["the river rises"])
            assert "blocked" in result.refused[0].detail
            cluster.settings(cluster.index(), {block: None})
        assert declare(store, "flood").declared == ("flood",)
        assert put(store, found, judged(0.9)).written == 2

    def test_an_index_that_is_removed_or_closed_meanwhile(self, cluster: Cluster) -> None:
        store = cluster.open()
        declare(store, "flood")
        write(store, *(envelope(week, created_at=TIME + week * WEEK) for week in range(3)))
        found = read(store)
        stale = read(store, "quake")
        cluster.server.request("DELETE", f"/{cluster.index(0)}")
        cluster.server.request("POST", f"/{cluster.index(1)}/_close")
        assert put(store, found, judged(0.9)).written == 1
        assert put(store, stale, judged(0.8)).written == 1
        assert len(read(store)) == 1
        assert declare(store, "quake").declared == ("quake",)

    def test_the_labels_template_is_one_of_its_own(self, cluster: Cluster) -> None:
        store = cluster.open()
        declare(store, "flood", "выборы")
        name = labels_template(cluster.alias)
        (component,) = cluster.server.request("GET", f"/_component_template/{name}")["component_templates"]
        properties = component["component_template"]["template"]["mappings"]["properties"]
        assert set(properties) == {"classification_flood", "classification_выборы"}
        write(store, envelope(1))
        meta = {"type": "object", "enabled": False}
        assert cluster.fields(cluster.index())["classification_meta"] == meta

    def test_what_is_stored_is_what_analysts_read(self, cluster: Cluster) -> None:
        store = cluster.open()
        declare(store, "v1.2")
        write(store, envelope(1))
        put(store, read(store, "v1.2"), judged(0.75), "v1.2")
        (hit,) = cluster.server.request("GET", f"/{cluster.alias}/_search")["hits"]["hits"]
        source = hit["_source"]
        assert source["topics"] == ["v1.2"]
        assert source["classification_v1~2e~2"] == 0.75
        assert source["classification_meta"] == {
            "v1~2e~2": {
                "tag": "v1.2",
                "trend_id": "trend-0",
                "topic_at": "2026-11-16T12:00:00Z",
                "model": "evidence-1",
                "at": "2026-11-16T13:00:00Z",
            }
        }


class TestRefusals:
    @pytest.fixture
    def proxy(self, elasticsearch: ElasticsearchServer) -> Iterator[FlakyProxy]:
        between = FlakyProxy(elasticsearch.url)
        yield between
        between.close()

    def found_through(self, proxy: FlakyProxy, cluster: Cluster) -> tuple[DocumentStore, list[Found]]:
        store = cluster.open(proxy.url)
        declare(store, "flood")
        write(store, *(envelope(number, **embedded(vector(7))) for number in range(10)))
        return store, read(store)

    def test_what_a_server_does_not_take_at_once_is_taken_in_parts(self, cluster: Cluster, proxy: FlakyProxy) -> None:
        def at_most_three(request: Request, pass_on: Callable[[Request], Reply]) -> Reply:
            many = request.body.count(b"\n") > 6
            return Reply(413, b"", {"content-type": "text/plain"}) if many else pass_on(request)

        store, found = self.found_through(proxy, cluster)
        write(store, deletion(4))
        proxy.fault = at_most_three
        result = put(store, found, judged(0.9))
        assert (result.written, result.passed) == (9, 1)

    def test_a_single_score_that_is_too_large_ends_the_job(self, cluster: Cluster, proxy: FlakyProxy) -> None:
        store, found = self.found_through(proxy, cluster)
        proxy.fault = lambda *_: Reply(413, b"", {"content-type": "text/plain"})
        with pytest.raises(StopJob, match="a single score"):
            put(store, found, judged(0.9))

    def test_what_a_busy_server_does_not_take_is_given_back(self, cluster: Cluster, proxy: FlakyProxy) -> None:
        store, found = self.found_through(proxy, cluster)
        proxy.fault = reject_items(lambda number: number in (2, 5))
        new = [NewScore(each, "flood", judged(0.9)) for each in found]
        result = store.put_scores(new)
        assert (result.written, result.passed, list(result.again)) == (8, 0, [new[2], new[5]])
        proxy.fault = reject_items(lambda _: True)
        with pytest.raises(Unavailable, match="rejected"):
            store.put_scores(result.again)
        proxy.fault = None
        assert store.put_scores(result.again).written == 2

    def test_an_answer_that_was_lost_is_no_harm(self, cluster: Cluster, proxy: FlakyProxy) -> None:
        def lose(request: Request, pass_on: Callable[[Request], Reply]) -> None:
            pass_on(request)

        store, found = self.found_through(proxy, cluster)
        proxy.fault = lose
        with pytest.raises(Unavailable):
            put(store, found, judged(0.9))
        proxy.fault = None
        assert put(store, found, judged(0.9)).written == 10
        documents = store.get([each.id for each in found]).values()
        assert all(document.classification == {"flood": judged(0.9)} for document in documents)
        assert all(document.embedding == vector(7).hex() for document in documents)

    def test_a_document_that_somebody_else_goes_on_changing_is_given_back(
        self, cluster: Cluster, proxy: FlakyProxy
    ) -> None:
        store, found = self.found_through(proxy, cluster)
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

    def test_what_was_changed_between_the_read_and_the_write_is_kept(self, cluster: Cluster, proxy: FlakyProxy) -> None:
        """A newer topic comes in, a deletion and another tag, each just before the bulk."""
        store, found = self.found_through(proxy, cluster)
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
