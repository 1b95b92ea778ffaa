"""Trends in the document store, for analysts, who see neither the topic nor Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from connectors.document_store import DocumentStore
from connectors.patience import Patience
from connectors.trend_store import KeepWaiting
from groundswell.errors import Unavailable
from groundswell.trends import TrendEvent, Window, newest_events, trend_document
from groundswell.waits import Waits

#: Far more than are ever active.
_ACTIVE = 10_000


class DocumentTrendStore:
    """A :class:`~connectors.trend_store.TrendStore`: one document for each trend; windows stay out.

    The store belongs to the caller, who closes it.
    """

    name = "documents"

    def __init__(self, store: DocumentStore, waits: Waits) -> None:
        self._store = store
        self._waits = waits
        self._generation = 0

    def prepare(self) -> None:
        """Like the document store's own."""
        self._store.prepare()

    def write(
        self,
        windows: Sequence[Window],
        events: Sequence[TrendEvent],
        keep_waiting: KeepWaiting,
    ) -> None:
        """Return once the newest event of each trend, or a newer one, is what the store holds."""
        generation = max(
            [*(window.generation for window in windows), *(event.generation for event in events)], default=0
        )
        if generation > self._generation:
            self._insist(lambda: self._end_forgotten(generation), keep_waiting)
            self._generation = generation
        if events:
            documents = [trend_document(event) for event in newest_events(events).values()]
            self._insist(lambda: self._store.put_trends(documents), keep_waiting)

    def close(self) -> None:
        """Nothing is ours."""

    def _end_forgotten(self, generation: int) -> None:
        """End what an earlier generation left active: nobody follows it any more.

        Filed one generation (a millisecond) later, so that nothing its own generation may still
        say undoes it, and whatever this one says replaces it.
        """
        self._store.refresh()
        left = [trend for trend in self._store.trends(active_only=True, limit=_ACTIVE) if trend.generation < generation]
        self._store.put_trends(
            [
                msgspec.structs.replace(trend, active=False, until=trend.updated_at, generation=trend.generation + 1)
                for trend in left
            ]
        )

    def _insist(self, attempt: Callable[[], None], keep_waiting: KeepWaiting) -> None:
        patience: Patience | None = None
        while True:
            try:
                attempt()
            except Unavailable as error:
                patience = patience or Patience(error.dependency, self._waits, keep_waiting)
                patience.pause(error.reason)
            else:
                break
        if patience is not None:
            patience.succeeded()
