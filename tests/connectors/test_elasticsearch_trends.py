"""How trends lie in Elasticsearch: their mapping, their order, and indices of somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.document_store import DocumentStore
from connectors.documents import open_document_store
from connectors.elasticsearch_trends import trend_properties, trend_template
from groundswell.errors import StopJob, Unavailable
from groundswell.trends import TrendDocument
from groundswell.waits import Waits
from tests.connectors.trends import trend_doc
from tests.proxies import FlakyProxy, Reply, Request
from tests.stack.elasticsearch import ElasticsearchServer


class Bench:
    """A store behind a proxy, and its index past it."""

    def __init__(self, server: ElasticsearchServer) -> None:
        prefix = server.prefix()
        self.server = server
        self.alias, self.index = f"{prefix}posts", f"{prefix}trends"
        self.proxy = FlakyProxy(server.url)
        self.store = self.open(self.proxy.url)
        self.direct = self.open(server.url)

    def open(self, url: str) -> DocumentStore:
        return open_document_store(url, Waits(), alias=self.alias, trends_index=self.index, replicas=0)

    def search(self, **body: Any) -> list[dict[str, Any]]:
        self.direct.refresh()
        answer = self.server.request("POST", f"/{self.index}/_search", body)
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits

    def close(self) -> None:
        self.store.close()
        self.direct.close()
        self.proxy.close()


@pytest.fixture
def bench(elasticsearch: ElasticsearchServer) -> Iterator[Bench]:
    bench = Bench(elasticsearch)
    yield bench
    bench.close()


def test_the_mapping_is_strict_and_has_exactly_the_fields_of_a_trend() -> None:
    assert trend_template("trends", 1, 0)["template"]["mappings"]["dynamic"] == "strict"
    assert set(trend_properties()) == set(TrendDocument.__struct_fields__)


@pytest.mark.stack
class TestIndex:
    def test_the_server_takes_the_template_as_it_is(self, bench: Bench) -> None:
        bench.direct.prepare()
        bench.direct.prepare()
        bench.direct.put_trends([trend_doc()])
        bench.direct.prepare()
        made = bench.server.request("GET", f"/{bench.index}")[bench.index]
        assert made["mappings"] == trend_template(bench.index, 1, 0)["template"]["mappings"]
        assert made["settings"]["index"]["number_of_replicas"] == "0"
        assert made["aliases"] == {}

    def test_people_sort_and_filter_by_its_fields(self, bench: Bench) -> None:
        bench.direct.prepare()
        bench.direct.put_trends(
            [
                trend_doc("flood", 1, score=3.5, label="FloodWatch"),
                trend_doc("storm", 2, score=9.0, words=(("wind", 1.0),), cotags=()),
                trend_doc("goal", 3, score=1.0, event="ended"),
            ]
        )

        def tags(**body: Any) -> list[str]:
            return [hit["_source"]["tag"] for hit in bench.search(**body)]

        assert tags(sort=[{"score": "desc"}]) == ["storm", "flood", "goal"]
        assert tags(sort=[{"tag": "asc"}]) == ["flood", "goal", "storm"]
        assert tags(sort=[{"label.keyword": "desc"}]) == ["storm", "goal", "flood"]
        assert tags(sort=[{"updated_at": "desc"}], query={"term": {"active": True}}) == ["storm", "flood"]
        assert tags(query={"match": {"label": "floodwatch"}}) == ["flood"]
        assert tags(query={"term": {"words": "wind"}}) == ["storm"]
        assert tags(query={"term": {"cotags": "東京"}}, sort=[{"count": "asc"}]) == ["flood", "goal"]
        assert tags(query={"range": {"until": {"gte": "2026-11-16T12:03:00Z"}}}) == ["goal"]
        assert tags(query={"exists": {"field": "until"}}) == ["goal"]

    def test_words_are_no_fields(self, bench: Bench) -> None:
        bench.direct.prepare()
        bench.direct.put_trends([trend_doc(words=tuple((f"word{n}.x", 1.0) for n in range(2_000)))])
        mapping = bench.server.request("GET", f"/{bench.index}/_mapping")[bench.index]["mappings"]
        assert set(mapping["properties"]) == set(TrendDocument.__struct_fields__)

    def test_one_that_somebody_else_made_is_said_and_left_alone(self, bench: Bench) -> None:
        bench.server.request("PUT", f"/{bench.index}", {"settings": {"number_of_replicas": 0}})
        bench.server.request("POST", f"/{bench.index}/_doc?refresh=true", {"tag": "theirs"})
        with pytest.raises(StopJob, match=rf"the index '{bench.index}' does not have the fields of trends \(.*tag"):
            bench.direct.prepare()
        assert [hit["_source"] for hit in bench.search()] == [{"tag": "theirs"}]

    def test_one_name_for_both_is_refused(self, elasticsearch: ElasticsearchServer) -> None:
        with pytest.raises(StopJob, match=r"trends_index and .* are both 'posts'"):
            open_document_store(elasticsearch.url, Waits(), alias="posts", trends_index="posts")

    def test_an_index_that_is_gone_is_made_again(self, bench: Bench) -> None:
        bench.direct.prepare()
        bench.direct.put_trends([trend_doc(minute=5)])
        bench.server.request("DELETE", f"/{bench.index}")
        bench.direct.put_trends([trend_doc(minute=1)])
        assert [hit["_source"]["count"] for hit in bench.search()] == [101]
        assert bench.server.request("GET", f"/{bench.index}/_mapping")[bench.index]["mappings"]["dynamic"] == "strict"


@pytest.mark.stack
class TestRaces:
    def test_what_another_wrote_in_between_is_not_undone(self, bench: Bench) -> None:
        """::

        this one   read nothing ────── create: refused ── read minute 2: higher ── nothing to do
        another            write minute 2
        """
        bench.direct.prepare()

        def overtake(request: Request, pass_on: Any) -> Reply:
            if request.number == 0:
                bench.direct.put_trends([trend_doc(minute=2)])
            reply: Reply = pass_on(request)
            return reply

        bench.proxy.fault = overtake
        bench.store.put_trends([trend_doc(minute=1)])
        assert [hit["_source"]["count"] for hit in bench.search()] == [102]
        assert len(bench.proxy.bulks) == 1

    def test_what_is_older_than_ours_is_overwritten_though_it_came_in_between(self, bench: Bench) -> None:
        """Ours is minute 9; before each try but the last another writes minute 2, 3 and 4."""
        bench.direct.prepare()
        bench.direct.put_trends([trend_doc(minute=1)])

        def overtake(request: Request, pass_on: Any) -> Reply:
            if request.number < 3:
                bench.direct.put_trends([trend_doc(minute=2 + request.number)])
            reply: Reply = pass_on(request)
            return reply

        bench.proxy.fault = overtake
        bench.store.put_trends([trend_doc(minute=9)])
        assert [hit["_source"]["count"] for hit in bench.search()] == [109]
        assert len(bench.proxy.bulks) == 4

    def test_somebody_who_never_stops_writing_is_said(self, bench: Bench) -> None:
        bench.direct.prepare()

        def overtake(request: Request, pass_on: Any) -> Reply:
            bench.direct.put_trends([trend_doc(minute=1 + request.number)])
            reply: Reply = pass_on(request)
            return reply

        bench.proxy.fault = overtake
        with pytest.raises(Unavailable, match="goes on changing the trends"):
            bench.store.put_trends([trend_doc(minute=900)])

    def test_a_repetition_writes_nothing(self, bench: Bench) -> None:
        bench.store.prepare()
        for _ in range(3):
            bench.store.put_trends([trend_doc(), trend_doc("storm")])
        assert len(bench.proxy.bulks) == 1
