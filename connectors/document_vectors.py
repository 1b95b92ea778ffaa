"""What passes between a document store and those who fill its embeddings or search by them.

An embedding is a direction of 384 signed bytes, and means something only in its embedding
space. A document lacks a vector of a space when its ``embedding_space`` is
another one or none; so a text that a model cannot read is noted by the space alone, without
a vector, and is not asked about for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connectors.document_query import Query, QueryError, check_limit
from connectors.elasticsearch_schema import EMBEDDING_DIMENSIONS


class Lacking(msgspec.Struct, frozen=True, gc=False):
    """A document without a vector of a space: its store id, its text, and where and in which state it was found."""

    id: str
    text: str
    place: str
    state: tuple[int, int]


class NewVector(msgspec.Struct, frozen=True, gc=False):
    """A vector for a document that was found lacking; ``None`` notes that its text has none in ``space``."""

    document: Lacking
    vector: bytes | None
    space: str


class PutVectors(msgspec.Struct, frozen=True, gc=False):
    """What became of new vectors.

    ``written`` counts those that are durable. A document that was deleted or changed since it
    was found keeps what it has; ``passed`` counts those. ``again`` are the ones that the store
    had no room for, while it took others: give them again.
    """

    written: int = 0
    passed: int = 0
    again: Sequence[NewVector] = ()


class SpaceCount(msgspec.Struct, frozen=True):
    """Documents of one space, and those of them that have a vector; ``space`` is ``None`` for none."""

    space: str | None
    documents: int
    vectors: int


def check_nearest(vector: bytes, space: str, query: Query) -> None:
    """Raise :class:`~connectors.document_query.QueryError` for a search that could find nothing by its meaning."""
    if len(vector) != EMBEDDING_DIMENSIONS:
        raise QueryError(f"the vector has {len(vector)} dimensions instead of {EMBEDDING_DIMENSIONS}")
    if not any(vector):
        raise QueryError("the vector is zero, which has no direction")
    if not space:
        raise QueryError("only vectors of one embedding space can be compared, and none was named")
    if query.sort is not None:
        raise QueryError(f"what is nearest comes first; it cannot be sorted by {query.sort!r} as well")
    check_limit(query.limit)


def check_vector(new: NewVector) -> None:
    """Raise ``ValueError`` for what must never be stored: another size, no direction, no name of the space."""
    if not new.space:
        raise ValueError("a vector without the name of its embedding space could be compared with none")
    if new.vector is not None and (len(new.vector) != EMBEDDING_DIMENSIONS or not any(new.vector)):
        raise ValueError(f"a vector has {EMBEDDING_DIMENSIONS} dimensions and is not zero")
