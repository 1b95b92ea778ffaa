"""What a document store refuses of those who re-read its documents in the light of a topic."""

from __future__ import annotations

from collections.abc import Collection
from math import isfinite

from connectors.document_query import QueryError, check_limit
from connectors.elasticsearch_schema import EMBEDDING_DIMENSIONS
from groundswell.candidates import (
    EVER,
    Cursor,
    Declared,
    Found,
    Labels,
    NewScore,
    Page,
    PutScores,
    RefusalCause,
    RefusedScore,
    RefusedTag,
    Selection,
    Slice,
    Span,
)

__all__ = [
    "EVER",
    "Cursor",
    "Declared",
    "Found",
    "Labels",
    "NewScore",
    "Page",
    "PutScores",
    "RefusalCause",
    "RefusedScore",
    "RefusedTag",
    "Selection",
    "Slice",
    "Span",
    "check_candidates",
    "check_score",
    "choose",
    "not_a_tag",
]


#: Longest tag that Elasticsearch can note down with a field, in characters.
_LONGEST_TAG = 250


def not_a_tag(tag: str) -> str:
    """Why a tag can have no field, or nothing."""
    if not tag:
        return "it is empty"
    if len(tag) > _LONGEST_TAG:
        return f"it has {len(tag)} characters; at most {_LONGEST_TAG} are taken"
    try:
        tag.encode()
    except UnicodeEncodeError:
        return "it is no Unicode"
    return ""


def choose(tags: Collection[str], live: Collection[str], max_labels: int) -> tuple[list[str], list[RefusedTag]]:
    """Of tags that are to be declared those that may be, beside what is live and stays so, and why not the others."""
    chosen: list[str] = []
    refused: list[RefusedTag] = []
    room = max_labels - len(live)
    for tag in dict.fromkeys(tags):
        if why := not_a_tag(tag):
            refused.append(RefusedTag(tag, "not_a_tag", f"{tag[:80]!r} can have no field: {why}"))
        elif tag in live or room > 0:
            chosen.append(tag)
            room -= tag not in live
        else:
            detail = (
                f"{len(live)} labels are live, and at most {max_labels} may be: wait for a trend to end, or allow more"
            )
            refused.append(RefusedTag(tag, "cap", detail))
    return chosen, refused


def check_candidates(vector: bytes, space: str | None, k: int) -> str:
    """The space; raises :class:`~connectors.document_query.QueryError` for a search that could find nothing."""
    if len(vector) != EMBEDDING_DIMENSIONS:
        raise QueryError(f"the vector has {len(vector)} dimensions instead of {EMBEDDING_DIMENSIONS}")
    if not any(vector):
        raise QueryError("the vector is zero, which has no direction")
    if not space:
        raise QueryError("only vectors of one embedding space can be compared, and none was named")
    check_limit(k)
    return space


def check_score(new: NewScore) -> None:
    """Raise ``ValueError`` for what must never be stored: no tag, or what is no probability."""
    score = new.classification.score
    if not new.tag:
        raise ValueError("a classification without a tag")
    if not isfinite(score) or not 0 <= score <= 1:
        raise ValueError(f"{score} is no probability; a score lies between 0 and 1")
