"""Every document store, for the tests that run over each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.document_store import DocumentStore
from connectors.documents import open_document_store
from connectors.elasticsearch_writer import BulkLimits
from groundswell.waits import Waits
from tests.connectors.clusters import Cluster
from tests.connectors.documents import Open
from tests.stack.elasticsearch import ElasticsearchServer


@pytest.fixture(params=["sqlite", pytest.param("elasticsearch", marks=pytest.mark.stack)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one and the same store as often as a test likes, with bulks of four documents."""
    opened: list[DocumentStore] = []
    if request.param == "elasticsearch":
        server = request.getfixturevalue("elasticsearch")
        url, prefix = server.url, server.prefix()
    else:
        url, prefix = f"sqlite:///{tmp_path}/documents.db", ""

    def open_it(limits: BulkLimits | None = None) -> DocumentStore:
        limits = limits or BulkLimits(documents=4)
        opened.append(
            open_document_store(
                url, Waits(), alias=f"{prefix}posts", trends_index=f"{prefix}trends", replicas=0, limits=limits
            )
        )
        opened[-1].prepare()
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> DocumentStore:
    return open_store()


@pytest.fixture
def cluster(elasticsearch: ElasticsearchServer) -> Iterator[Cluster]:
    """An alias of the test's own, and stores that are opened on it."""
    cluster = Cluster(elasticsearch)
    yield cluster
    cluster.close()
