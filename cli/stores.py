"""The stores, for commands that only look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.dead_letters import DeadLetterStore
from connectors.document_store import DocumentStore
from dataflows import assembly
from groundswell.errors import StopJob
from groundswell.settings import Settings
from groundswell.waits import Waits


@contextmanager
def documents(settings: Settings) -> Iterator[DocumentStore]:
    """The document store. Raises ``StopJob`` for an SQLite file that no job has made yet."""
    _require(assembly.documents_path(settings), "documents")
    store = assembly.open_documents(settings, Waits())
    try:
        yield store
    finally:
        store.close()


@contextmanager
def dead_letters(settings: Settings) -> Iterator[DeadLetterStore]:
    """The store of dead letters. Raises ``StopJob`` for an SQLite file that no job has made yet."""
    if not assembly.dead_letters_in_kafka(settings):
        _require(assembly.dead_letters_path(settings), "dead letters")
    store = assembly.open_dead_letters(settings, Waits())
    try:
        yield store
    finally:
        store.close()


def _require(path: Path | None, what: str) -> None:
    # SQLite would make an empty file of a mistyped path.
    if path is not None and not path.exists():
        raise StopJob(
            f"no {what}: {path} does not exist; run the job first, or name its store with --documents or -c FILE"
        )
