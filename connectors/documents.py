"""The document store that an address names."""

from __future__ import annotations

from connectors.document_store import DocumentStore
from connectors.elasticsearch_client import ElasticsearchClient
from connectors.elasticsearch_schema import Interval
from connectors.elasticsearch_store import ElasticsearchStore
from connectors.elasticsearch_writer import BulkLimits
from connectors.sqlite_schema import path_of
from connectors.sqlite_store import SqliteStore
from groundswell.errors import StopJob
from groundswell.waits import Waits


def open_document_store(
    url: str,
    waits: Waits,
    *,
    alias: str = "posts",
    trends_index: str = "trends",
    interval: Interval = "week",
    shards: int = 1,
    replicas: int = 1,
    limits: BulkLimits | None = None,
    timeout: float = 60.0,
    username: str = "",
    password: str = "",
    api_key: str = "",
    ca_certs: str = "",
) -> DocumentStore:
    """The store at ``url`` (``sqlite:///...``, ``http://...`` or ``https://...``); connects to nothing yet.

    Of the rest SQLite uses ``limits.documents`` alone: the most documents in one transaction.
    Raises :class:`~groundswell.errors.StopJob` for an address that names no store.
    """
    limits = limits or BulkLimits()
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        return SqliteStore(path_of(url), waits, transaction_documents=limits.documents)
    if scheme not in ("http", "https"):
        raise StopJob(f"documents.url {url!r} names no document store; write sqlite:///PATH or http(s)://HOST:PORT")
    if trends_index == alias:
        raise StopJob(f"documents.trends_index and documents.alias are both {alias!r}; give one another name")
    client = ElasticsearchClient(
        url,
        username=username,
        password=password,
        api_key=api_key,
        ca_certs=ca_certs,
        timeout=timeout,
        # Bulks, and a search or a ping beside them.
        connections=limits.in_flight + 2,
    )
    return ElasticsearchStore(
        client,
        waits,
        alias=alias,
        trends_index=trends_index,
        interval=interval,
        shards=shards,
        replicas=replicas,
        limits=limits,
    )
