"""The mapping and the documents name the same fields."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.documents import open_document_store
from connectors.elasticsearch_schema import index_template, mapping, properties
from groundswell.errors import StopJob
from groundswell.records import Document
from groundswell.waits import Waits
from tests.stack.elasticsearch import ElasticsearchServer

#: A document's classifications lie in fields that are declared one by one, and in what tells where they come from.
INSTEAD_OF_CLASSIFICATION = {"classification_meta"}


def test_the_mapping_is_strict_and_has_exactly_the_fields_of_a_document() -> None:
    assert mapping()["dynamic"] == "strict"
    assert set(properties()) == set(Document.__struct_fields__) - {"classification"} | INSTEAD_OF_CLASSIFICATION


@pytest.mark.parametrize("field", ["sentiment", "emotion", "model"])
def test_inner_fields_are_those_of_the_record(field: str) -> None:
    info = msgspec.inspect.type_info(Document)
    assert isinstance(info, msgspec.inspect.StructType)
    (declared,) = (one.type for one in info.fields if one.name == field)
    assert isinstance(declared, msgspec.inspect.UnionType)
    (struct,) = (one for one in declared.types if isinstance(one, msgspec.inspect.StructType))
    assert set(properties()[field]["properties"]) == {one.name for one in struct.fields}


@pytest.mark.stack
def test_the_server_takes_the_template_as_it_is(elasticsearch: ElasticsearchServer) -> None:
    alias = f"{elasticsearch.prefix()}posts"
    store = open_document_store(
        elasticsearch.url, Waits(), alias=alias, trends_index=f"{alias}-trends", interval="month", shards=2, replicas=0
    )
    store.prepare()
    store.prepare()
    store.close()
    (found,) = _list(elasticsearch.request("GET", f"/_index_template/{alias}")["index_templates"])
    assert found["index_template"]["index_patterns"] == [f"{alias}-*.*"]
    template = found["index_template"]["template"]
    assert template["mappings"] == index_template(alias, "month", 2, 0)["template"]["mappings"]
    assert template["settings"]["index"] == {"number_of_shards": "2", "number_of_replicas": "0"}


@pytest.mark.stack
def test_two_aliases_of_which_one_begins_with_the_other(elasticsearch: ElasticsearchServer) -> None:
    prefix = elasticsearch.prefix()
    for alias in (f"{prefix}posts", f"{prefix}posts-eu"):
        store = open_document_store(elasticsearch.url, Waits(), alias=alias, trends_index=f"{alias}-trends", replicas=0)
        store.prepare()
        store.close()


@pytest.mark.stack
def test_an_index_in_place_of_the_alias_is_said(elasticsearch: ElasticsearchServer) -> None:
    alias = f"{elasticsearch.prefix()}posts"
    elasticsearch.request("PUT", f"/{alias}", {"settings": {"number_of_replicas": 0}})
    store = open_document_store(elasticsearch.url, Waits(), alias=alias)
    with pytest.raises(StopJob, match=f"there is an index named '{alias}', which must be an alias"):
        store.prepare()
    store.close()


def _list(value: object) -> list[dict[str, Any]]:
    assert isinstance(value, list)
    return value
