"""The backfill of embeddings: documents that lack a vector of the space in use get one.

::

    store.lacking(space) ── page ──┬─ embed ── put ─┐
          (newest first)           └─ embed ── put ─┘  (two hands: one fetches and stores
                                                        while the other has the device)

There is no record of progress besides the documents themselves: what has the space of the
model in use is done. A run that was killed at any moment is gone on with by the next one, and
no more than the pages in hand are read twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, NamedTuple

from connectors.document_store import DocumentStore
from connectors.document_vectors import Lacking, NewVector, SpaceCount
from connectors.patience import Patience
from groundswell.errors import Draining, StopJob, Unavailable
from groundswell.records import Analysis
from groundswell.waits import Waits
from inference.rows import CANCELLED, RowError

#: The embeddings of texts, one answer a text.
Embed = Callable[[Sequence[str]], Sequence[Analysis | RowError]]

#: Documents of a page: enough to fill a device, little enough to be done again after a kill.
PAGE: Final = 500
HANDS: Final = 2
#: Any model can read this; where it fails, the device is at fault and not the texts.
CONTROL: Final = "This is a text that every model can read."

_LOG = logging.getLogger("groundswell.embed")


class Filled(NamedTuple):
    """What a run has done: vectors ``written``, and documents noted as ``unreadable``, whose text has no vector."""

    space: str
    written: int
    unreadable: int


def left_to_do(counts: Sequence[SpaceCount], space: str) -> int:
    """The documents that lack a vector of ``space``.

    >>> left_to_do([SpaceCount("now", 5, 4), SpaceCount("before", 2, 2), SpaceCount(None, 1, 0)], "now")
    3
    """
    return sum(count.documents for count in counts if count.space != space)


class Backfill:
    """One run over a store.

    ``embed`` answers with embeddings of the space in use, which may change under way: the
    run then goes on in the new one. ``limit`` bounds the documents that are taken up.
    ``on_progress`` is told how many more documents are done, on any thread.
    """

    def __init__(
        self,
        store: DocumentStore,
        embed: Embed,
        waits: Waits,
        stop: threading.Event,
        *,
        limit: int | None = None,
        page: int = PAGE,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        self._store = store
        self._embed = embed
        self._waits = waits
        self._stop = stop
        self._left = limit
        self._page = page
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._written = 0
        self._unreadable = 0
        #: Whether documents were passed over, or given vectors of a space that is in use no more.
        self._once_more = False

    def run(self) -> Filled:
        """Fill in until no document lacks a vector, the limit is reached or ``stop`` is set.

        Documents that others change meanwhile are looked at again; those that come in while
        the run lasts may be left. Raises:

            ModelError: the model has no embeddings.
            StopJob: the device fails, or the store cannot be used.
        """
        space = ""
        while True:
            self._once_more = False
            # A wait that was given up because the run is to stop is its end.
            with suppress(Draining):
                space = self.space()
                self._fill(space)
            if self._stop.is_set() or self._left == 0 or not self._once_more:
                return Filled(space, self._written, self._unreadable)

    def space(self) -> str:
        """The space in use now. Raises ``StopJob`` where the device does not even read the control text."""
        (answer,) = self._embed([CONTROL])
        if isinstance(answer, RowError) and answer.cause == CANCELLED:
            raise Draining("told to stop")
        if isinstance(answer, RowError):
            raise StopJob(f"the model cannot read any text now: {answer.detail}; see what its device reports")
        if answer.embedding_space is None:
            raise StopJob(f"{answer.model.name}@{answer.model.version} names no embedding space: publish it again")
        return answer.embedding_space

    def _fill(self, space: str) -> None:
        """One look at all documents that lack a vector of ``space``."""
        pages = self._pages(space)
        failed = threading.Event()

        def work() -> None:
            try:
                while not failed.is_set() and (page := self._next(pages)):
                    self._fill_page(page, space)
            except BaseException:
                failed.set()
                raise

        with ThreadPoolExecutor(HANDS, thread_name_prefix="embed") as pool:
            hands = [pool.submit(work) for _ in range(HANDS)]
        pages.close()
        for hand in hands:
            hand.result()

    def _pages(self, space: str) -> Generator[list[Lacking]]:
        """Pages of documents, begun anew after an outage."""
        outage = _Outage(self._waits, self._stop)
        while True:
            try:
                for page in self._store.lacking(space, self._page):
                    outage.over()
                    yield page
            except Unavailable as error:
                outage.wait(error)
            else:
                outage.over()
                return

    def _next(self, pages: Generator[list[Lacking]]) -> list[Lacking]:
        """The next page, as much of it as may be taken up."""
        with self._lock:
            if self._stop.is_set() or self._left == 0:
                return []
            page = next(pages, [])
            if self._left is not None:
                page = page[: self._left]
                self._left -= len(page)
            return page

    def _fill_page(self, page: Sequence[Lacking], space: str) -> None:
        answers = self._embed([document.text for document in page])
        new = []
        for document, answer in zip(page, answers, strict=True):
            if isinstance(answer, RowError) and answer.cause != CANCELLED:
                answer = self._read_again(document)
            if not isinstance(answer, RowError):
                new.append(NewVector(document, answer.embedding, answer.embedding_space or space))
            elif answer.cause != CANCELLED:
                _LOG.warning("%s has no embedding: %s: %s", document.id, answer.cause, answer.detail)
                new.append(NewVector(document, None, space))
        self._put(new, space)

    def _read_again(self, document: Lacking) -> Analysis | RowError:
        """A text that failed among others, alone: is it to blame, or was the device?"""
        (answer,) = self._embed([document.text])
        if isinstance(answer, RowError) and answer.cause != CANCELLED:
            self.space()
        return answer

    def _put(self, new: Sequence[NewVector], space: str) -> None:
        outage = _Outage(self._waits, self._stop)
        while new:
            try:
                result = self._store.put_vectors(new)
            except Unavailable as error:
                outage.wait(error)
                continue
            outage.over()
            again = set(map(id, result.again))
            unreadable = sum(each.vector is None and id(each) not in again for each in new)
            with self._lock:
                # Which ones were passed over is not told; they are few.
                noted = min(unreadable, result.written)
                self._unreadable += noted
                self._written += result.written - noted
                self._once_more |= bool(result.passed) or any(each.space != space for each in new)
            if self._on_progress is not None:
                self._on_progress(result.written)
            new = result.again


class _Outage:
    """Waits while a store does not answer, and not beyond ``stop``."""

    def __init__(self, waits: Waits, stop: threading.Event) -> None:
        self._waits = waits
        self._stop = stop
        self._patience: Patience | None = None

    def wait(self, error: Unavailable) -> None:
        """Pause before the next try; raises ``Draining`` once ``stop`` is set."""
        self._patience = self._patience or Patience(error.dependency, self._waits, lambda: not self._stop.is_set())
        self._patience.pause(error.reason)

    def over(self) -> None:
        """The store answered."""
        if self._patience is not None:
            self._patience.succeeded()
