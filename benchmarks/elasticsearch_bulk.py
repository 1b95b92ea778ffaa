"""Indexing in Elasticsearch: this project's writer beside the client's own parallel bulk helper.

``python -m benchmarks.elasticsearch_bulk [--quick] [--json] [--url http://HOST:PORT]``. Both get the
same documents, ready-made: ours as records, the helper as plain dicts; same server, same
number of documents in a bulk, same bulks in flight. Without ``--url`` a server is started
from the test stack.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from elasticsearch import Elasticsearch
from elasticsearch.helpers import parallel_bulk

from benchmarks.report import Row, alternate, options, print_rows
from connectors.document_store import WriteResult
from connectors.documents import open_document_store
from connectors.elasticsearch_schema import EMBEDDING_DIMENSIONS, index_name, index_template
from connectors.elasticsearch_writer import BulkLimits
from groundswell.records import Document, Envelope, ModelRef, Origin, Post, Scores, document_id
from groundswell.waits import Waits
from tests.stack.session import Stack

#: Documents handed to the writer at once, as a source's batches are.
_BATCH = 500
_LIMITS = BulkLimits()


def envelopes(count: int, *, embedded: bool = False) -> list[Envelope]:
    """Posts of about the size of a tweet, spread over three weeks."""
    start = datetime(2026, 11, 2, tzinfo=UTC)
    made = []
    for number in range(count):
        time_ = start + timedelta(seconds=number * 1_800_000 // count)
        text = (
            f"Water on the {number % 97}th floor of block {number % 31}, people wait for boats and news #{number % 53}"
        )
        positive = number % 101 / 101
        document = Document(
            id=str(1_300_000_000_000_000_000 + number),
            source="twitter",
            text=text,
            created_at=time_,
            indexed_at=time_,
            author=f"user{number % 4999}",
            lang="en",
            hashtags=(f"tag{number % 53}", "flood"),
            url=f"https://example.org/{number}",
            sentiment=Scores("positive", positive, {"positive": positive, "negative": 1 - positive}),
            model=ModelRef("sentiment-baseline", "1"),
            embedding=(number + 1).to_bytes(4, "big").hex() * (EMBEDDING_DIMENSIONS // 4) if embedded else None,
        )
        post = Post(document.id, document.source, text, time_)
        made.append(Envelope(Origin("posts", 0, number), b"", post, document))
    return made


def our_rate(url: str, posts: Sequence[Envelope], limits: BulkLimits = _LIMITS) -> float:
    """Documents a second through our writer into fresh indices."""
    alias = f"bench-{uuid.uuid4().hex[:8]}"
    with _removed(url, alias):
        store = open_document_store(
            url, Waits(), alias=alias, trends_index=f"{alias}-trends", replicas=0, limits=limits
        )
        store.prepare()
        written = 0

        def count(result: WriteResult) -> None:
            nonlocal written
            written += result.created

        began = time.perf_counter()
        writer = store.writer(count, lambda: True)
        for start in range(0, len(posts), _BATCH):
            writer.add(posts[start : start + _BATCH])
        writer.flush()
        seconds = time.perf_counter() - began
        writer.close()
        store.close()
    assert written == len(posts)
    return len(posts) / seconds


def peer_rate(url: str, posts: Sequence[Envelope]) -> float:
    """Documents a second through ``elasticsearch.helpers.parallel_bulk`` into fresh indices."""
    alias = f"bench-{uuid.uuid4().hex[:8]}"
    with _removed(url, alias):
        client = Elasticsearch(url, request_timeout=60)
        client.perform_request(
            "PUT",
            f"/_index_template/{alias}",
            headers={"accept": "application/json", "content-type": "application/json"},
            body=index_template(alias, "week", 1, 0),
        )
        actions: list[dict[str, Any]] = []
        for post in posts:
            document = post.document
            assert document is not None
            action = {
                "_op_type": "create",
                "_index": index_name(alias, "week", document.created_at),
                "_id": document_id(document.source, document.id),
                "_source": msgspec.to_builtins(document),
            }
            actions.append(action)
        began = time.perf_counter()
        helper = parallel_bulk(
            client,
            actions,
            thread_count=_LIMITS.in_flight,
            chunk_size=_LIMITS.documents,
            max_chunk_bytes=_LIMITS.size,
            queue_size=_LIMITS.in_flight,
        )
        deque(helper, maxlen=0)
        seconds = time.perf_counter() - began
        client.close()
    return len(posts) / seconds


def rows(url: str, count: int, rounds: int) -> list[Row]:
    """The comparison at ``url``; the helper never compresses."""
    made = []
    for embedded, compress in ((False, True), (False, False), (True, True), (True, False)):
        posts = envelopes(count, embedded=embedded)
        ours = partial(our_rate, url, posts, BulkLimits(compress=compress))
        rate, peers = alternate(ours, partial(peer_rate, url, posts), rounds)
        what = "with a 384-byte embedding" if embedded else "small documents"
        name = f"Elasticsearch bulk create, {what}, {'compressed' if compress else 'not compressed'}"
        made.append(Row(name, rate, peers, "documents/s"))
    return made


@contextmanager
def _removed(url: str, alias: str) -> Iterator[None]:
    """Remove the indices and the template afterwards."""
    try:
        yield
    finally:
        client = Elasticsearch(url, request_timeout=60)
        for index in client.indices.get(index=f"{alias}-*"):
            client.indices.delete(index=index)
        client.indices.delete_index_template(name=f"{alias}*")
        client.close()


def main() -> None:
    """Print the rows."""
    argv = sys.argv[1:]
    url = ""
    if "--url" in argv:
        at = argv.index("--url")
        url = argv[at + 1]
        del argv[at : at + 2]
    given = options(__doc__, argv)
    count, rounds = (15_000, 1) if given.quick else (100_000, 3)
    if url:
        print_rows(rows(url, count, rounds), given.json)
        return
    stack = Stack()
    try:
        print_rows(rows(stack.elasticsearch.url, count, rounds), given.json)
    finally:
        stack.close()


if __name__ == "__main__":
    main()
