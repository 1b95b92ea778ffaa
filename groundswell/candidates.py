"""What passes between a document store and those who re-read its documents in the light of a topic.

A *label* is a tag that documents are classified by; its field is
:func:`~groundswell.topics.field_of` the tag. It must be declared before the first score.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from groundswell.topics import Classification

#: Where a page of documents ended; opaque, of one store and one selection.
Cursor = tuple[int | str | None, ...]

#: Why a tag has no field: too many labels are live, the field is something else in an index, no index has
#: room for another field, or the tag cannot be written down.
RefusalCause = Literal["cap", "conflict", "no_room", "not_a_tag"]


class Span(msgspec.Struct, frozen=True):
    """From ``since`` on and before ``until``; ``None`` is open. Ends are taken outward to the whole millisecond."""

    since: datetime | None = None
    until: datetime | None = None


#: All of time.
EVER = Span()


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which documents to read for a tag; everything given must hold.

    ``kind`` takes ``all``, those that carry the hashtag (``tagged``) or those that have a
    classification by it (``scored``). With a ``space`` only documents that have a vector of
    it are found. Documents that could not be given a score never are: those of an index that
    takes no writes, or had no room for the field.
    """

    tag: str
    kind: Literal["all", "tagged", "scored"] = "all"
    space: str | None = None
    created: Span = EVER
    indexed: Span = EVER


class Found(msgspec.Struct, frozen=True, gc=False):
    """A document as it was read: what scoring needs, and where and in which state it was found.

    ``vector`` is one signed byte a dimension, of the embedding space ``space``. ``classification``
    is the one that it has by ``tag``, for which it was selected, ``topics`` are all tags that it is a
    member of. ``cosine`` is set by a search for the nearest.
    """

    id: str
    place: str
    state: tuple[int, int]
    text: str
    created_at: datetime
    indexed_at: datetime
    hashtags: tuple[str, ...] = ()
    repost: bool = False
    vector: bytes | None = None
    space: str | None = None
    classification: Classification | None = None
    topics: tuple[str, ...] = ()
    cosine: float | None = None
    tag: str = ""


class Page(msgspec.Struct, frozen=True):
    """Some documents, newest first; ``after`` asks for the next page, and is ``None`` when there is none."""

    documents: Sequence[Found]
    after: Cursor | None


class Slice(msgspec.Struct, frozen=True):
    """A stretch of time and the documents in it."""

    span: Span
    documents: int


class NewScore(msgspec.Struct, frozen=True, gc=False):
    """A classification by ``tag`` for a document that was found."""

    document: Found
    tag: str
    classification: Classification


class RefusedScore(msgspec.Struct, frozen=True, gc=False):
    """A score that the store will not take: its tag has no field where the document lies; ``detail`` says more."""

    score: NewScore
    detail: str


class PutScores(msgspec.Struct, frozen=True):
    """What became of new scores; each is counted in one of the four.

    ``written`` counts those that the store holds now, ``passed`` those whose document is gone,
    has another text by now, or was scored against a newer topic. ``again`` are those that the
    store had no room for, while it took others, or whose document somebody else goes on
    changing: give them again. ``refused`` ones need their tags declared first. ``documents``
    are the documents that were written to, in their state now: scores may be put to them
    once more without another look.
    """

    written: int = 0
    passed: int = 0
    again: Sequence[NewScore] = ()
    refused: Sequence[RefusedScore] = ()
    documents: Sequence[Found] = ()


class RefusedTag(msgspec.Struct, frozen=True):
    """A tag that got no field; ``detail`` says why and what to do."""

    tag: str
    cause: RefusalCause
    detail: str


class Declared(msgspec.Struct, frozen=True):
    """What became of the tags given: those that documents can be scored and sorted by now, and the others.

    ``full`` names the indices that had no room for one of the declared: their documents stay unscored.
    """

    declared: tuple[str, ...] = ()
    refused: tuple[RefusedTag, ...] = ()
    full: tuple[str, ...] = ()


class Labels(msgspec.Struct, frozen=True):
    """Tags in order: ``live`` are those that an index made later will have, ``fields`` those of any index."""

    live: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


class ScoreBatch(msgspec.Struct, frozen=True):
    """Scores by one tag; ``refresh`` wants them searchable at once.

    ``began`` is when the news of the trend came in, given with its first scores.
    """

    tag: str
    scores: Sequence[NewScore]
    refresh: bool = False
    began: datetime | None = None
