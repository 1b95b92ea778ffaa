"""How the classifications of a document lie in Elasticsearch.

::

    "topics": ["flood"],                                  the tags that it is a member of
    "classification_flood": 0.93,                         one float for each tag, to sort by
    "classification_meta": {"flood": {"trend_id": ...}}   where each comes from; kept, not indexed

An entry of the last is named like its field without the prefix, which holds no dot; it
names its tag where that is another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from groundswell.records import Document
from groundswell.topics import CLASSIFICATION, Classification, field_of

TOPICS: Final = "topics"
META: Final = "classification_meta"
_PREFIX: Final = CLASSIFICATION.encode()


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    trend_id: str
    topic_at: datetime
    model: str
    at: datetime
    tag: str = ""


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRIES = msgspec.json.Decoder(dict[str, _Entry])


@lru_cache(maxsize=1_024)
def entry_name(tag: str) -> str:
    """The name of a tag's entry in ``classification_meta``."""
    return field_of(tag).removeprefix(CLASSIFICATION)


def classification_fields(classifications: Mapping[str, Classification]) -> dict[str, Any]:
    """The fields that hold these classifications, by tag; without ``topics``, which are a set of all."""
    fields: dict[str, Any] = {}
    entries: dict[str, _Entry] = {}
    for tag, given in classifications.items():
        name = entry_name(tag)
        fields[CLASSIFICATION + name] = given.score
        told = "" if name == tag else tag
        entries[name] = _Entry(given.trend_id, given.topic_at, given.model, given.at, told)
    fields[META] = entries
    return fields


def source_fields(tags: Collection[str]) -> list[str]:
    """What to ask of a document's source for its classifications by these tags."""
    names = [entry_name(tag) for tag in tags]
    return [TOPICS, *(CLASSIFICATION + name for name in names), *(f"{META}.{name}" for name in names)]


def read_classifications(source: msgspec.Raw, topics: Collection[str]) -> dict[str, Classification]:
    """By tag, the classifications in a document's source, as far as that was asked for.

    Raises :class:`msgspec.DecodeError` for entries that are none of ours.
    """
    if _PREFIX not in memoryview(source).tobytes():
        return {}
    fields = _FIELDS.decode(source)
    if META not in fields:
        return {}
    found: dict[str, Classification] = {}
    for name, entry in _ENTRIES.decode(fields[META]).items():
        score = fields.get(CLASSIFICATION + name)
        if score is not None:
            tag = entry.tag or name
            value = msgspec.json.decode(score, type=float | None)
            if value is not None:
                found[tag] = Classification(value, entry.trend_id, entry.topic_at, entry.model, entry.at, tag in topics)
    return found


def without_labels(document: Document, tags: Collection[str]) -> Document:
    """The document without its classifications by these tags."""
    kept = copy(document)
    kept.classification = {tag: given for tag, given in document.classification.items() if tag not in tags}
    kept.topics = tuple(tag for tag in document.topics if tag not in tags)
    return kept
