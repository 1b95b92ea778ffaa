"""Posts sorted by their own time, all of them held in memory.

They are held packed, about as many bytes as a post has in JSON and 50 more: a million
tweets take some 350 MB.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator

import msgspec
import numpy as np

from groundswell.records import Batch, Deletion, Envelope, Mark, Origin, Post


class SortedPosts:
    """Takes the posts of any batches and gives them back by ``created_at``; those of one time in the order given.

    Deletions and raw bytes are not kept.
    """

    def __init__(self) -> None:
        self._times = array("d")
        self._packed: list[bytes] = []
        self._encode = msgspec.msgpack.Encoder().encode

    def __len__(self) -> int:
        return len(self._packed)

    def add(self, batch: Batch) -> None:
        """Take the posts of a batch."""
        for change in batch.changes:
            if not isinstance(change, Deletion):
                self._times.append(change.post.created_at.timestamp())
                self._packed.append(self._encode(change.post))

    def batches(self, part: str, size: int) -> Iterator[Batch]:
        """The posts as batches of one partition, ``size`` posts each, and then the mark that it has ended."""
        decode = msgspec.msgpack.Decoder(Post).decode
        order = np.argsort(np.frombuffer(self._times, dtype=np.float64), kind="stable")
        for first in range(0, len(order), size):
            places = order[first : first + size].tolist()
            changes: list[Envelope | Deletion] = [
                Envelope(Origin(part, 0, offset), b"", decode(self._packed[place]))
                for offset, place in enumerate(places, first)
            ]
            span = first, first + len(places) - 1
            yield Batch(part, 0, len(places), 0, changes, [], Counter(), span, part)
        yield ended(part)


def ended(part: str) -> Batch:
    """The word that a partition was read whole."""
    return Batch(part, 0, 0, 0, [], [], Counter(), part=part, mark=Mark(ended=True))
