"""Bulk bodies for Elasticsearch: built as bytes once, cut and split without building again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from datetime import datetime

import msgspec

from connectors.classification_json import classification_fields
from connectors.elasticsearch_schema import Interval, index_name
from groundswell.records import Document, Envelope

_ENCODER = msgspec.json.Encoder()
#: Days remembered; posts come from few, but a hostile stream may name them all.
_MOST_DAYS = 10_000


class ActionLines:
    """The action lines of creates: everything but the id is the same for all posts of a day."""

    def __init__(self, alias: str, interval: Interval) -> None:
        self._alias = alias
        self._interval = interval
        self._by_day: dict[int, bytes] = {}

    def before_id(self, time: datetime) -> bytes:
        """The line up to the id, for a post with this time."""
        day = time.toordinal()
        line = self._by_day.get(day)
        if line is None:
            if len(self._by_day) >= _MOST_DAYS:
                self._by_day.clear()
            index = index_name(self._alias, self._interval, time)
            line = self._by_day[day] = f'{{"create":{{"_index":"{index}","_id":"'.encode()
        return line


class Bulk:
    """Operations and their body; ``ids[i]`` and ``envelopes[i]`` belong to the i-th operation.

    ``envelopes[i]`` is ``None`` for a delete.
    """

    __slots__ = ("body", "ends", "envelopes", "ids")

    def __init__(self) -> None:
        self.body = bytearray()
        self.ends: list[int] = []
        self.ids: list[str] = []
        self.envelopes: list[Envelope | None] = []

    def __len__(self) -> int:
        return len(self.ids)

    def create(self, before_id: bytes, document_id: str, envelope: Envelope, document: Document) -> None:
        """Append a create. Raises ``UnicodeEncodeError`` for text that is no Unicode, and leaves the body as it was."""
        body = self.body
        body += before_id
        body += document_id.encode()
        body += b'"}}\n'
        try:
            _encode(document, body)
        except UnicodeEncodeError:
            del body[self.ends[-1] if self.ends else 0 :]
            raise
        body += b"\n"
        self.ends.append(len(body))
        self.ids.append(document_id)
        self.envelopes.append(envelope)

    def delete(self, index: str, document_id: str) -> None:
        """Append a delete from a known index."""
        self.body += b'{"delete":{"_index":' + _ENCODER.encode(index) + b',"_id":"' + document_id.encode() + b'"}}\n'
        self.ends.append(len(self.body))
        self.ids.append(document_id)
        self.envelopes.append(None)

    def take_last(self) -> Bulk:
        """Remove the last operation and return it as a bulk of its own; needs at least two."""
        last = self.only([len(self) - 1])
        self.ends.pop()
        self.ids.pop()
        self.envelopes.pop()
        del self.body[self.ends[-1] :]
        return last

    def only(self, positions: Iterable[int]) -> Bulk:
        """A bulk of just these operations, in this order."""
        part = Bulk()
        for position in positions:
            start = self.ends[position - 1] if position else 0
            part.body += memoryview(self.body)[start : self.ends[position]]
            part.ends.append(len(part.body))
            part.ids.append(self.ids[position])
            part.envelopes.append(self.envelopes[position])
        return part

    def halves(self) -> Sequence[Bulk]:
        """Two bulks, neither empty; needs at least two operations."""
        middle = len(self) // 2
        return self.only(range(middle)), self.only(range(middle, len(self)))


def _encode(document: Document, body: bytearray) -> None:
    """Append a document; its classifications lie in fields of their own."""
    if not document.classification:
        _ENCODER.encode_into(document, body, -1)
        return
    bare = copy(document)
    bare.classification = {}
    bare.topics = tuple(tag for tag, given in document.classification.items() if given.member)
    _ENCODER.encode_into(bare, body, -1)
    body[-1:] = b","
    body += _ENCODER.encode(classification_fields(document.classification))[1:]
