"""Index template and index names: how documents lie in Elasticsearch.

The mapping is strict and names exactly the fields of
:class:`~groundswell.records.Document`; those of its classifications are declared while the
job runs (:mod:`connectors.elasticsearch_labels`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

Interval = Literal["week", "month", "none"]

#: Bytes of a stored embedding.
EMBEDDING_DIMENSIONS = 384
#: Longest keyword that is indexed, in characters; a longer one is kept but not found.
#: Lucene's limit is 32,766 bytes of UTF-8.
_KEYWORD_CHARACTERS = 8191

#: Field types.
KEYWORD: dict[str, Any] = {"type": "keyword", "ignore_above": _KEYWORD_CHARACTERS}
FLOAT: dict[str, Any] = {"type": "float"}
DATE: dict[str, Any] = {"type": "date"}


def _classification() -> dict[str, Any]:
    # The labels are the model's, so they are not known here; dynamic inside "scores" alone.
    return {
        "properties": {"label": KEYWORD, "score": FLOAT, "scores": {"type": "object", "dynamic": True}},
    }


def properties() -> dict[str, Any]:
    """The mapping of every document field, by name."""
    return {
        "id": KEYWORD,
        "source": KEYWORD,
        "text": {"type": "text"},
        "created_at": DATE,
        "indexed_at": DATE,
        "author": KEYWORD,
        "lang": KEYWORD,
        "hashtags": KEYWORD,
        "url": KEYWORD,
        "reply_to": KEYWORD,
        "repost_of": KEYWORD,
        "geo": {"type": "geo_point"},
        "sentiment": _classification(),
        "emotion": _classification(),
        # flat is exact; beyond about five million documents a shard an approximate index pays.
        "embedding": {
            "type": "dense_vector",
            "dims": EMBEDDING_DIMENSIONS,
            "element_type": "byte",
            "index": True,
            "similarity": "cosine",
            "index_options": {"type": "flat"},
        },
        "embedding_space": KEYWORD,
        "model": {"properties": {"name": KEYWORD, "version": KEYWORD}},
        "truncated": {"type": "boolean"},
        "topics": KEYWORD,
        "classification_meta": {"type": "object", "enabled": False},
    }


def mapping() -> dict[str, Any]:
    """The strict mapping of an index."""
    scores_are_floats = [
        {f"{name}_scores": {"path_match": f"{name}.scores.*", "mapping": FLOAT}} for name in ("sentiment", "emotion")
    ]
    return {"dynamic": "strict", "dynamic_templates": scores_are_floats, "properties": properties()}


def index_template(alias: str, interval: Interval, shards: int, replicas: int) -> dict[str, Any]:
    """The template's body: new indices of this alias are made with it on their first document."""
    return {
        "index_patterns": [index_pattern(alias, interval)],
        # Made when the first label is declared.
        "composed_of": [labels_template(alias)],
        "ignore_missing_component_templates": [labels_template(alias)],
        "template": {
            "settings": {"number_of_shards": shards, "number_of_replicas": replicas},
            "mappings": mapping(),
            "aliases": {alias: {}},
        },
        # Of two aliases of which one begins with the other, the longer is the more specific.
        "priority": 500 + len(alias),
        "_meta": {"managed_by": "groundswell"},
    }


def labels_template(alias: str) -> str:
    """The name of the component template that holds the live labels."""
    return f"{alias}-labels"


def index_pattern(alias: str, interval: Interval) -> str:
    """What the indices' names have in common.

    >>> index_pattern("posts", "week"), index_pattern("posts", "none")
    ('posts-*.*', 'posts-all')
    """
    return f"{alias}-all" if interval == "none" else f"{alias}-*.*"


def index_name(alias: str, interval: Interval, time: datetime) -> str:
    """The index of a post with this time (UTC).

    >>> from datetime import UTC, datetime
    >>> index_name("posts", "week", datetime(2027, 1, 2, tzinfo=UTC))
    'posts-2026.53'
    >>> index_name("posts", "month", datetime(2027, 1, 2, tzinfo=UTC))
    'posts-2027.m01'
    """
    if interval == "none":
        return f"{alias}-all"
    if interval == "month":
        return f"{alias}-{time.year:04d}.m{time.month:02d}"
    year, week, _ = time.isocalendar()
    return f"{alias}-{year:04d}.{week:02d}"
