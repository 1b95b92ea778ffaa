"""Topics, scores and candidates for the tests of the document stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from connectors.document_store import DocumentStore
from connectors.document_topics import Declared, Found, NewScore, PutScores, Selection
from connectors.elasticsearch_schema import EMBEDDING_DIMENSIONS
from groundswell.records import Document, document_id
from groundswell.topics import Classification
from tests.connectors.documents import TIME

MOST = 100


def vector(*numbers: int) -> bytes:
    """A vector that begins with these signed numbers and goes on with zeros."""
    return bytes(number & 0xFF for number in numbers).ljust(EMBEDDING_DIMENSIONS, b"\0")


def embedded(numbers: bytes, space: str = "A") -> dict[str, str]:
    """A document's fields for a vector."""
    return {"embedding": numbers.hex(), "embedding_space": space}


def judged(score: float, *, topic: int = 0, threshold: float = 0.5, **fields: Any) -> Classification:
    """A classification against the topic that was made ``topic`` minutes after :data:`TIME`."""
    fields = {"model": "evidence-1", "at": TIME + timedelta(hours=1), **fields}
    return Classification(score, f"trend-{topic}", TIME + timedelta(minutes=topic), member=score >= threshold, **fields)


def declare(store: DocumentStore, *tags: str, keep: Sequence[str] | None = None, most: int = MOST) -> Declared:
    return store.declare(tags, keep=keep, max_labels=most)


def read(store: DocumentStore, tag: str = "flood", limit: int = 1_000, **selection: Any) -> list[Found]:
    """All pages of a selection."""
    found: list[Found] = []
    for page in pages(store, Selection(tag=tag, **selection), limit):
        found += page
    return found


def pages(store: DocumentStore, selection: Selection, limit: int) -> Iterator[Sequence[Found]]:
    after = None
    while True:
        page = store.candidates(selection, limit, after)
        yield page.documents
        after = page.after
        if after is None:
            return


def put(store: DocumentStore, found: Sequence[Found], given: Classification, tag: str = "flood") -> PutScores:
    """Give all of them one classification."""
    result = store.put_scores([NewScore(document, tag, given) for document in found])
    store.refresh()
    return result


def whole(store: DocumentStore, number: int | str, source: str = "test") -> Document:
    identity = document_id(source, str(number))
    return store.get([identity])[identity]
