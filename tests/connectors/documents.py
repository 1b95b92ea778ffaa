"""Changes for the tests of the document stores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from connectors.document_store import Change, DocumentStore, WriteResult
from groundswell.records import Deletion, Document, Envelope, Origin, Post

#: Opens one and the same store as often as a test likes.
Open = Callable[..., DocumentStore]

TIME = datetime(2026, 11, 16, 12, tzinfo=UTC)


def envelope(number: int | str, text: str = "the river rises", **fields: Any) -> Envelope:
    """A post with its document; ``fields`` are the document's."""
    fields = {"source": "test", "created_at": TIME, "indexed_at": TIME, **fields}
    document = Document(id=str(number), text=text, **fields)
    post = Post(id=str(number), source=document.source, text=text, created_at=document.created_at)
    return Envelope(
        Origin("posts", 0, number if isinstance(number, int) else 0), text.encode("utf-8", "replace"), post, document
    )


def deletion(number: int | str) -> Deletion:
    return Deletion("test", str(number))


class Tally:
    """Adds up the results of a writer."""

    def __init__(self) -> None:
        self.total = WriteResult(refused=[])

    def __call__(self, result: WriteResult) -> None:
        total = self.total
        total.created += result.created
        total.duplicates += result.duplicates
        total.deleted += result.deleted
        total.retried += result.retried
        total.unlabelled += result.unlabelled
        total.refused.extend(result.refused)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Created, duplicates, deleted, refused."""
        total = self.total
        return total.created, total.duplicates, total.deleted, len(total.refused)


def write(store: DocumentStore, *changes: Change) -> Tally:
    tally = Tally()
    writer = store.writer(tally, lambda: True)
    writer.add(changes)
    writer.flush()
    writer.close()
    store.refresh()
    return tally
