"""Topics that a person asks for: of the documents that carry a tag, of a label, or of both."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from groundswell.candidates import Found
from groundswell.records import Post
from groundswell.topics import Topic
from groundswell.trends import Trend
from operators.topics.description import FEW_POSTS
from operators.topics.offline import trend_of


def trend_of_documents(tag: str, documents: Iterable[Found]) -> Trend:
    """The trend of a tag as documents show it: those that carry it against all of them. Its id is the tag."""
    return trend_of(tag, [_post(document) for document in documents])


def named(described: Topic, label: Topic) -> Topic:
    """The topic of a tag's posts under the label that a person gave it; of too few posts, that of the label alone.

    The posts say what it means, and the label what it is called and which words belong to it as well.
    """
    if described.posts < FEW_POSTS:
        step = f"only {described.posts} documents carry the tag: the label alone says what it means"
        return replace(label, steps=(*label.steps, step))
    words = described.label.removeprefix(described.phrase)
    return replace(
        described,
        phrase=label.phrase,
        label=f"{label.phrase}{words}",
        label_vector=described.label_vector and label.label_vector,
        vocabulary=label.vocabulary | described.vocabulary,
        steps=(*described.steps, "a person named it: the label is theirs"),
    )


def _post(document: Found) -> Post:
    return Post(
        document.id,
        "",
        document.text,
        document.created_at,
        hashtags=document.hashtags,
        repost_of="" if document.repost else None,
    )
