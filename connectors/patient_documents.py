"""Reading a document store through its outages."""

from __future__ import annotations

from collections.abc import Callable

from connectors.document_store import DocumentStore
from connectors.document_topics import Cursor, Found, Page, Selection, Slice
from connectors.patience import insist
from groundswell.waits import Waits


class PatientDocuments:
    """What a re-reading asks of a store, asked until it answers.

    Raises ``Draining`` where ``keep_waiting`` says to give up, and whatever else the store does.
    """

    def __init__(self, store: DocumentStore, waits: Waits, keep_waiting: Callable[[], bool]) -> None:
        self._store = store
        self._waits = waits
        self._keep_waiting = keep_waiting

    def refresh(self) -> None:
        """See :class:`connectors.document_store.DocumentStore`, as for all here."""
        insist(self._store.refresh, self._waits, self._keep_waiting)

    def nearest_candidates(self, vector: bytes, k: int, selection: Selection) -> list[Found]:
        return insist(lambda: self._store.nearest_candidates(vector, k, selection), self._waits, self._keep_waiting)

    def candidates(self, selection: Selection, limit: int = 1_000, after: Cursor | None = None) -> Page:
        return insist(lambda: self._store.candidates(selection, limit, after), self._waits, self._keep_waiting)

    def slices(self, selection: Selection, most: int = 10_000) -> list[Slice]:
        return insist(lambda: self._store.slices(selection, most), self._waits, self._keep_waiting)
