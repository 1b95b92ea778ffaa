"""Labels in Elasticsearch: templates, and indices of another hand."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.document_query import Query
from connectors.document_topics import Labels
from connectors.elasticsearch_schema import labels_template
from groundswell.topics import field_of
from tests.connectors.clusters import WEEK, Cluster
from tests.connectors.documents import TIME, envelope, write
from tests.connectors.topics import declare, embedded, judged, put, read, vector, whole

pytestmark = pytest.mark.stack

FLOOD = field_of("flood")


def test_the_field_is_in_every_index_and_in_those_to_come(cluster: Cluster) -> None:
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


def test_an_index_of_another_hand_gets_all_that_it_lacks(cluster: Cluster) -> None:
    cluster.foreign()
    store = cluster.open()
    assert declare(store, "flood").declared == ("flood",)
    assert put(store, read(store), judged(0.9)).written == 1
    document = whole(store, "from-before")
    assert (document.classification, document.topics) == ({"flood": judged(0.9)}, ("flood",))


@pytest.mark.parametrize("fields", [{FLOOD: {"type": "keyword"}}, {FLOOD: {"type": "long"}}])
def test_a_field_that_is_something_else_refuses_its_tag_alone(cluster: Cluster, fields: dict[str, Any]) -> None:
    index = cluster.foreign(**fields)
    store = cluster.open()
    write(store, envelope(1))
    found = declare(store, "quake", "flood")
    assert found.declared == ("quake",)
    assert [(each.tag, each.cause) for each in found.refused] == [("flood", "conflict")]
    assert index in found.refused[0].detail and "take it out of the alias" in found.refused[0].detail
    assert store.labels().live == ("quake",)


@pytest.mark.parametrize("fields", [{"topics": {"type": "text"}}, {"classification_meta": {"type": "keyword"}}])
def test_what_goes_with_every_label_refuses_them_all(cluster: Cluster, fields: dict[str, Any]) -> None:
    cluster.foreign(**fields)
    store = cluster.open()
    assert [each.cause for each in declare(store, "quake", "flood").refused] == ["conflict"] * 2
    assert store.labels().live == ()


def test_an_index_without_room_is_named_and_its_documents_are_left_alone(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
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


def test_no_room_anywhere_refuses_the_tag(cluster: Cluster) -> None:
    store = cluster.open()
    write(store, envelope(1))
    cluster.settings(cluster.index(), {"index.mapping.total_fields.limit": 1})
    (refused,) = declare(store, "flood").refused
    assert refused.cause == "no_room"
    assert "raise index.mapping.total_fields.limit" in refused.detail
    assert store.labels() == Labels()
    cluster.settings(cluster.index(), {"index.mapping.total_fields.limit": 1_000})
    assert declare(store, "flood").declared == ("flood",)


def test_more_labels_than_the_template_takes(cluster: Cluster) -> None:
    store = cluster.open()
    found = declare(store, *(f"t{number}" for number in range(1_000)), most=2_000)
    assert found.declared[:3] == ("t0", "t1", "t2")
    assert 900 < len(found.declared) < 1_000
    assert {each.cause for each in found.refused} == {"no_room"}
    write(store, envelope(1))
    assert set(store.labels().live) == set(found.declared)


def test_an_index_that_takes_no_writes_is_left_alone(cluster: Cluster) -> None:
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


def test_an_index_that_is_removed_or_closed_meanwhile(cluster: Cluster) -> None:
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


def test_the_labels_template_is_one_of_its_own(cluster: Cluster) -> None:
    store = cluster.open()
    declare(store, "flood", "выборы")
    name = labels_template(cluster.alias)
    (component,) = cluster.server.request("GET", f"/_component_template/{name}")["component_templates"]
    properties = component["component_template"]["template"]["mappings"]["properties"]
    assert set(properties) == {"classification_flood", "classification_выборы"}
    write(store, envelope(1))
    meta = {"type": "object", "enabled": False}
    assert cluster.fields(cluster.index())["classification_meta"] == meta


def test_what_is_stored_is_what_analysts_read(cluster: Cluster) -> None:
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
