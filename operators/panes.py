"""Panes: the stretches of event time that windows are made of, each with what was counted in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from operators.authors import SKETCH_SIZE
from operators.tag_events import Hashes, Keys

Counts = npt.NDArray[np.int32]


class Chunk(msgspec.Struct, frozen=True):
    """What is known of one shard's tags in one pane: all of it, or what came late.

    ``tags`` are distinct; ``counts`` and ``author_counts`` run beside them (posts, and
    distinct authors). ``tag_of`` and ``posts_of`` are the distinct pairs of tag (its place
    in ``tags``) and post; ``author_tag`` and ``authors`` the smallest author hashes of each
    tag, a bottom-k sketch. ``number`` is 0 for the pane as it closed and goes up with what
    came late.
    """

    pane: int
    number: int
    tags: list[str]
    counts: Counts
    tag_of: Counts
    posts_of: Keys
    author_counts: Counts
    author_tag: Counts
    authors: Hashes

    def encode(self) -> bytes:
        """As recovery keeps it."""
        columns = (self.counts, self.tag_of, self.posts_of, self.author_counts, self.author_tag, self.authors)
        return _encode((self.pane, self.number, "\x00".join(self.tags), *(column.tobytes() for column in columns)))

    @classmethod
    def decode(cls, data: bytes) -> Chunk:
        stored = _decode(data)
        return cls(
            stored.pane,
            stored.number,
            split_tags(stored.tags),
            np.frombuffer(stored.counts, np.int32),
            np.frombuffer(stored.tag_of, np.int32),
            np.frombuffer(stored.posts_of, np.uint64),
            np.frombuffer(stored.author_counts, np.int32),
            np.frombuffer(stored.author_tag, np.int32),
            np.frombuffer(stored.authors, np.uint32),
        )


class _Stored(NamedTuple):
    pane: int
    number: int
    tags: str
    counts: bytes
    tag_of: bytes
    posts_of: bytes
    author_counts: bytes
    author_tag: bytes
    authors: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


def split_tags(joined: str) -> list[str]:
    """Undo ``"\\x00".join(tags)``; normalised tags hold no such character and are not empty."""
    return joined.split("\x00") if joined else []


class _Numbers(dict[str, int]):
    """Tags numbered in the order in which they are met."""

    def __missing__(self, tag: str) -> int:
        number = self[tag] = len(self)
        return number


_NO_COUNTS = np.empty(0, dtype=np.int32)
_NO_HASHES = np.empty(0, dtype=np.uint32)


def make_chunk(
    pane: int, number: int, tags: list[str], posts_of: Keys, authors: Hashes, *, with_authors: bool
) -> Chunk:
    """Count occurrences, one of each in the three columns; a post counts once for a tag however often it comes."""
    numbers = _Numbers()
    tag_of = np.fromiter(map(numbers.__getitem__, tags), np.int32, len(tags))
    _, first = np.unique(pair_keys(tag_of, posts_of), return_index=True)
    if len(first) < len(tag_of):
        tag_of, posts_of, authors = tag_of[first], posts_of[first], authors[first]
    distinct = len(numbers)
    author_counts, author_tag, sketch = _NO_COUNTS, _NO_COUNTS, _NO_HASHES
    if with_authors:
        pairs = np.unique((tag_of.astype(np.uint64) << np.uint64(32)) | authors)
        author_tag = (pairs >> np.uint64(32)).astype(np.int32)
        author_counts = np.bincount(author_tag, minlength=distinct).astype(np.int32)
        sketch = pairs.astype(np.uint32)
        if len(pairs) and int(author_counts.max()) > SKETCH_SIZE:
            starts = np.cumsum(author_counts) - author_counts
            smallest = np.arange(len(pairs)) - starts[author_tag] < SKETCH_SIZE
            author_tag, sketch = author_tag[smallest], sketch[smallest]
    counts = np.bincount(tag_of, minlength=distinct).astype(np.int32)
    return Chunk(pane, number, list(numbers), counts, tag_of, posts_of, author_counts, author_tag, sketch)


def pair_keys(tag_of: npt.NDArray[Any], posts_of: Keys) -> Keys:
    """One number for each pair of tag and post, within one numbering of tags (a Weyl step apart)."""
    return posts_of ^ (tag_of.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
