"""What is known of the topics that are active: what they are about, how far re-reading is, the best documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from connectors.document_query import Query
from connectors.document_store import DocumentStore
from connectors.document_topics import Selection
from groundswell.topics import Progress, Topic
from groundswell.trends import Trend

#: More than can be live.
_MOST_LABELS: Final = 10_000


class BestDocument(msgspec.Struct, frozen=True):
    """A document, its probability, and whether it carries the tag."""

    id: str
    score: float
    tagged: bool
    created_at: datetime
    author: str | None
    text: str


class TopicNow(msgspec.Struct, frozen=True):
    """A topic and what has become of it.

    ``since`` is when its trend began; of one that a person named, when it was described. ``described``
    is when it was described last, from ``posts`` sample posts. ``progress`` is ``None`` where nobody has told any.
    ``scored`` documents have a probability, ``members`` one at or above the threshold.
    ``by_hand`` says that a person asked for it.
    """

    tag: str
    label: str
    phrase: str
    words: tuple[str, ...]
    field: str
    by_hand: bool
    since: datetime
    described: datetime
    posts: int
    steps: tuple[str, ...]
    model: str
    scored: int
    members: int
    progress: Progress | None
    best: list[BestDocument]


def topics_now(
    store: DocumentStore,
    topics: Mapping[str, Topic],
    progress: Mapping[str, Progress],
    trends: Mapping[str, Trend],
    best: int,
) -> list[TopicNow]:
    """Each topic with what the store holds of it, those with the most members first; the mappings are by tag.

    Raises as the store does.
    """
    labelled = set(store.labels().fields)
    members = store.count_by("topics", _MOST_LABELS)
    found = []
    for tag, topic in topics.items():
        trend = trends.get(tag)
        there = tag in labelled
        found.append(
            TopicNow(
                tag=tag,
                label=topic.label,
                phrase=topic.phrase,
                words=tuple(word for word, _ in topic.words),
                field=topic.field,
                by_hand=topic.trend_id == tag,
                since=trend.since if trend is not None and trend.id == topic.trend_id else topic.at,
                described=topic.at,
                posts=topic.posts,
                steps=topic.steps,
                model=topic.model,
                scored=_scored(store, tag) if there else 0,
                members=members.get(tag, 0),
                progress=progress.get(tag),
                best=_best(store, topic, best) if there and best else [],
            )
        )
    return sorted(found, key=lambda each: (-each.members, each.tag))


def _scored(store: DocumentStore, tag: str) -> int:
    return sum(each.documents for each in store.slices(Selection(tag=tag, kind="scored"), store.count() + 1))


def _best(store: DocumentStore, topic: Topic, limit: int) -> list[BestDocument]:
    return [
        BestDocument(
            hit.id,
            hit.document.classification[topic.tag].score,
            topic.tag in hit.document.hashtags,
            hit.document.created_at,
            hit.document.author,
            hit.document.text,
        )
        for hit in store.search(Query(sort=topic.field, limit=limit))
        if topic.tag in hit.document.classification
    ]
