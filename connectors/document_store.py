"""The contract of every document store, and the small types that cross it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal, Protocol

import msgspec

from connectors.document_query import Query
from connectors.document_topics import Cursor, Declared, Found, Labels, NewScore, Page, PutScores, Selection, Slice
from connectors.document_vectors import Lacking, NewVector, PutVectors, SpaceCount
from groundswell.records import Deletion, Document, Envelope
from groundswell.trends import TrendDocument

Change = Envelope | Deletion
KeepWaiting = Callable[[], bool]

#: Fields that :meth:`DocumentStore.count_by` takes.
CountedField = Literal["lang", "source", "sentiment.label", "emotion.label", "hashtags", "topics"]


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A document that the store will never take; ``cause`` is a short constant, ``detail`` says what was seen."""

    envelope: Envelope
    cause: str
    detail: str


class WriteResult(msgspec.Struct, gc=False):
    """What became of some of the changes given to a writer.

    A create whose first answer was lost is found in the store by the second try and
    counts as a duplicate, so ``created`` may be low after an outage; the sum is right.
    ``unlabelled`` counts classifications that a document was created without, since their
    tag has no field where it lies.
    """

    created: int = 0
    duplicates: int = 0
    deleted: int = 0
    refused: list[Refusal] = []
    retried: int = 0
    unlabelled: int = 0
    #: Post time of one created document, Unix seconds; 0 when none was created.
    sample_time: float = 0.0


class Answer(msgspec.Struct, frozen=True):
    """A dependency that answered: its version, and how long it took in seconds."""

    version: str
    latency_s: float


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A document found, its store id, and how well it fits (higher is better; 0 when sorted by a field).

    Of a search by meaning the score is the cosine.
    """

    id: str
    document: Document
    score: float


class DocumentWriter(Protocol):
    """Writes changes, in the given order for each document id.

    Thread-safe. Results go to ``on_result`` on a thread that is inside :meth:`add` or
    :meth:`flush`.
    """

    def add(self, changes: Sequence[Change]) -> None:
        """Take changes; every envelope must carry its document. Blocks while too much is unwritten.

        Raises:
            StopJob: the store cannot be written to, now or after a restart.
            Draining: the store does not answer and ``keep_waiting`` said to give up.
        """
        ...

    def flush(self) -> None:
        """Return once everything added before is durable, or refused and reported. Raises like :meth:`add`."""
        ...

    def close(self) -> None:
        """Give up what is unwritten and free resources; never raises."""
        ...


class DocumentStore(Protocol):
    """Where documents live. Thread-safe.

    Everything but a writer raises :class:`~groundswell.errors.Unavailable` when the store
    does not answer and :class:`~groundswell.errors.StopJob` when it never will.
    """

    def prepare(self) -> None:
        """Make what the documents need (template, tables, fields of indices that are there); harmless when it is there.

        Raises ``StopJob`` for a server or a file that cannot be used, naming what to do.
        """
        ...

    def ping(self) -> Answer:
        """Ask for the version."""
        ...

    def writer(self, on_result: Callable[[WriteResult], None], keep_waiting: KeepWaiting) -> DocumentWriter:
        """A writer; during an outage it goes on trying while ``keep_waiting()`` is true."""
        ...

    def search(self, query: Query) -> list[Hit]:
        """The best ``query.limit`` hits, their documents without the embedding.

        Raises ``QueryError`` for a query that makes no sense.
        """
        ...

    def count(self) -> int:
        """Documents that a search can see."""
        ...

    def count_by(self, field: CountedField, limit: int = 10) -> dict[str, int]:
        """Documents for each value of a field, the most frequent first."""
        ...

    def get(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents with these store ids, as far as they are there and a search can see them."""
        ...

    def nearest(self, vector: bytes, space: str, query: Query) -> list[Hit]:
        """The ``query.limit`` documents nearest in meaning, best first, of those that the query finds otherwise.

        Exact: compares ``vector``, one signed byte a dimension, with every vector of ``space``
        and no other. Raises ``QueryError`` for a vector that no document could have, for no
        space, and for a query that makes no sense or wants another order.
        """
        ...

    def lacking(self, space: str, page: int = 500) -> Iterator[list[Lacking]]:
        """Pages of the documents that lack a vector of ``space``, newest first.

        Each that lacked one when its page was read comes at least once, and none that was
        given its vector before the first page was asked for; what comes in meanwhile may be
        missing. Documents of an index that takes no writes are left out. No page is empty.
        """
        ...

    def put_vectors(self, vectors: Sequence[NewVector]) -> PutVectors:
        """Give documents that were found lacking their vectors and the space; the rest of each stays as it is.

        Repetition is harmless. Raises ``ValueError`` for a vector that must not be stored. After
        another error some may be there.
        """
        ...

    def count_spaces(self) -> list[SpaceCount]:
        """Documents by their embedding space, as far as a search can see them."""
        ...

    def declare(self, tags: Collection[str], *, keep: Collection[str] | None = None, max_labels: int) -> Declared:
        """Let documents be scored and sorted by these tags, in what there is and in what is made later.

        Repetition is harmless. Of the labels that were live, only those among ``keep`` and
        ``tags`` stay so (all of them when ``keep`` is ``None``): an index that is made later
        does not have the others; what is scored stays. At most ``max_labels`` are live: what
        is beyond that is refused, the last of ``tags`` first, and never for what stays. A tag
        that gets no field is refused with the reason, and the others go on.
        """
        ...

    def labels(self) -> Labels:
        """The tags that documents can be scored by."""
        ...

    def nearest_candidates(self, vector: bytes, k: int, selection: Selection) -> list[Found]:
        """The ``k`` documents of the selection nearest in meaning, best first; exact, with their cosines.

        ``selection.space`` is that of ``vector``, one signed byte a dimension; ``k`` is at most
        10,000. Raises ``QueryError`` for what makes no sense.
        """
        ...

    def candidates(self, selection: Selection, limit: int = 1_000, after: Cursor | None = None) -> Page:
        """A page of at most ``limit`` (up to 10,000) documents of the selection, newest first.

        ``after`` is that of the page before. Whoever reads all pages sees each document once
        that a search could see all the while, whatever is written meanwhile. Raises
        ``QueryError`` for a limit out of range.
        """
        ...

    def slices(self, selection: Selection, most: int = 10_000) -> list[Slice]:
        """Cut ``selection.created`` into stretches that hold at most ``most`` documents of the selection, newest first.

        They do not overlap and leave no document out; what comes in later may lie in one of
        them. A millisecond is never cut, however many documents it holds.
        """
        ...

    def put_scores(self, scores: Sequence[NewScore], *, refresh: bool = False) -> PutScores:
        """Give documents that were found their classifications; the rest of each stays as it is.

        Repetition is harmless, and a score against an older topic never replaces one against
        a newer (:meth:`~groundswell.topics.Classification.supersedes`). A document that has
        changed since it was found is read again; one that is gone stays so. ``refresh`` makes
        what was written visible to searches at once. Raises ``ValueError`` for a score that
        must not be stored, and ``Unavailable`` when the store takes none; some may be there then.
        """
        ...

    def put_trends(self, trends: Sequence[TrendDocument]) -> None:
        """Return once the trends are durable, each under its id.

        A trend whose fence is not higher than that of the one there changes nothing, so
        order and repetition do not matter. After an error some may be there.
        """
        ...

    def trends(self, *, active_only: bool = False, limit: int = 1_000) -> list[TrendDocument]:
        """Trends that a search can see, those that began last first; ``limit`` is at most 10,000.

        Raises ``QueryError`` for a limit out of range.
        """
        ...

    def refresh(self) -> None:
        """Make everything that is durable visible to searches."""
        ...

    def close(self) -> None:
        """Free connections."""
        ...
