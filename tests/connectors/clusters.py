"""Indices of Elasticsearch behind one alias, and what another hand does to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connectors.document_store import DocumentStore
from connectors.documents import open_document_store
from connectors.elasticsearch_schema import index_name
from groundswell.records import document_id
from groundswell.waits import Waits
from tests.connectors.documents import TIME
from tests.stack.elasticsearch import ElasticsearchServer

WEEK = timedelta(days=7)


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
