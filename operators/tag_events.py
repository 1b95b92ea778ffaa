"""Spread the hashtags of decoded posts over the shards, and tell every shard how far event time has come.

Stateless: what one activation of the step holds becomes at most one message to each
shard. The watermarks travel behind the tags that they follow, on the same way, so no
shard ever hears of a time before it has counted what lies before that time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple
from zlib import crc32

import bytewax.operators as op
import msgspec
import numpy as np
import numpy.typing as npt
from bytewax.dataflow import Stream

from groundswell.records import Batch, Envelope, Mark, Post
from groundswell.step_ids import SHARDS
from operators.trend_options import TrendOptions

#: Texts of one activation that go into the background of the distinctive words: more of them at the start, for
#: without a background nothing is distinctive, fewer once there is one.
FIRST_TEXTS = 64
FURTHER_TEXTS = 4
#: Texts after which there is one.
ENOUGH_TEXTS = 20_000
_CACHED_TAGS = 1_000_000
#: Records in a batch from which on more of them are waiting.
_BACKLOG = 100
_NOWHERE = float("-inf")

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Hashes = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float64]


class Segment(NamedTuple):
    """The records that one partition added to a message: its newest event time after them, or its mark.

    ``newest`` is in seconds since 1970, minus infinity when there was no post.
    """

    part: str
    newest: float
    mark: Mark | None


class TagEvents(NamedTuple):
    """Occurrences of one shard's tags, in order of arrival; the arrays and lists run in parallel.

    ``panes`` are event times in whole panes, ``posts_of`` 64 bits of BLAKE2b over source
    and id of the post, ``authors`` 32-bit hashes whose lowest bit is set where a post has
    no author (it is then its own). ``segment`` is the place in ``segments`` and ``before``
    the newest event time among the earlier posts of that segment. ``stream`` counts all
    posts by pane, ``posts`` holds the posts where trends are looked for, ``background``
    some texts of the stream.
    """

    segments: tuple[Segment, ...]
    tags: list[str]
    panes: Ints
    posts_of: Keys
    authors: Hashes
    segment: Ints
    before: Floats
    stream: dict[int, int]
    posts: list[Post]
    background: list[str]


def post_key(source: str, post_id: str) -> bytes:
    """The 8 bytes by which a post is known to be the same.

    Two posts of one tag and horizon share them by chance with a probability of about
    ``n * n / 2**65``: at a million such posts, one in forty million.
    """
    return blake2b(f"{source}\x00{post_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


class CarriedPosts(list[Post]):
    """Posts that are quick to send to another process: a message of them costs more than its tags otherwise."""

    def __reduce__(self) -> tuple[Callable[[Any], list[Post]], tuple[Any]]:
        try:
            return _unpack, (_encode(list(self)),)
        except UnicodeEncodeError:  # half a surrogate pair is no UTF-8, but pickles
            return CarriedPosts, (list(self),)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Post]).decode


def _unpack(data: bytes) -> CarriedPosts:
    return CarriedPosts(_decode(data))


class _Shards(dict[str, int]):
    """The shard of every tag met lately."""

    def __missing__(self, tag: str) -> int:
        if len(self) >= _CACHED_TAGS:
            self.clear()
        shard = self[tag] = shard_of(tag)
        return shard


def shard_of(tag: str) -> int:
    """The shard that counts a tag; for ever the same.

    >>> shard_of("rain") == shard_of("rain") < SHARDS
    True
    """
    return crc32(tag.encode("utf-8", "surrogatepass")) % SHARDS


def shard_key(shard: int) -> str:
    """The key of a shard's state.

    >>> shard_key(7)
    's07'
    """
    return f"s{shard:02d}"


def mixed(hashes: Hashes) -> Hashes:
    """Spread 32-bit hashes evenly (the finaliser of MurmurHash3, A. Appleby): a CRC alone is too regular."""
    h = hashes.copy()
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h


def by_pane(panes: Ints, accepted: npt.NDArray[np.bool_] | None = None) -> Iterator[tuple[int, Ints | None]]:
    """Each pane with its rows, of those that are accepted; ``None`` stands for all rows, as in most messages."""
    if not len(panes):
        return
    if accepted is None and panes[0] == panes[-1] and bool((panes == panes[0]).all()):
        yield int(panes[0]), None
        return
    for pane in np.unique(panes if accepted is None else panes[accepted]).tolist():
        yield pane, np.flatnonzero(panes == pane if accepted is None else (panes == pane) & accepted)


class TagSpreader:
    """Turns batches into messages to shards. ``clock`` gives UTC: a post dated later moves no watermark beyond it."""

    def __init__(self, options: TrendOptions, clock: Callable[[], datetime]) -> None:
        self._pane = options.pane
        self._disorder = options.disorder
        self._count_original = options.count_original
        self._detect = options.detection is not None
        self._clock = clock
        self._texts = 0
        self._idle_timeout = options.idle_timeout
        #: When each partition last brought a post, by the clock.
        self._posts_at: dict[str, float] = {}
        self._shards = _Shards()
        self._keys = [shard_key(shard) for shard in range(SHARDS)]

    def spread(self, batches: Sequence[Batch]) -> list[tuple[str, TagEvents]]:
        """The messages that these batches make, each with the key of its shard."""
        found = _Occurrences(self._count_original)
        segments: list[Segment] = []
        now = self._clock().timestamp()
        latest = now + self._disorder
        stream: dict[int, int] = {}
        background: list[str] = []
        wanted = FIRST_TEXTS if self._texts < ENOUGH_TEXTS else FURTHER_TEXTS
        for batch in batches:
            posts = [change.post for change in batch.changes if type(change) is Envelope]
            mark = batch.mark
            if not posts and mark is None:
                mark = self._without_posts(batch, now)
                if mark is None:
                    continue
            elif posts:
                self._posts_at[batch.part] = now
            times = np.array([post.created_at.timestamp() for post in posts], dtype=np.float64)
            newest = np.maximum.accumulate(np.minimum(times, latest)) if posts else times
            found.add(posts, times, newest, len(segments))
            segments.append(Segment(batch.part, float(newest[-1]) if posts else _NOWHERE, mark))
            panes, counts = np.unique(np.floor_divide(times, self._pane).astype(np.int64), return_counts=True)
            for pane, count in zip(panes.tolist(), counts.tolist(), strict=True):
                stream[pane] = stream.get(pane, 0) + count
            if self._detect and len(background) < wanted:
                stride = max(1, len(posts) // wanted)
                # Reposts would make what is repeated most the background of everything.
                texts = [post.text for post in posts[::stride] if post.repost_of is None]
                background += texts[: wanted - len(background)]
        self._texts += len(background)
        if not segments:
            return []
        return self._messages(found, tuple(segments), stream, background)

    def _without_posts(self, batch: Batch, now: float) -> Mark | None:
        """What records that are no posts say of their partition's time: nothing, until they have gone on for long.

        A partition that brings deletions only is not empty, so its source cannot call it
        idle, yet it must not hold up all others. Full batches are a backlog, behind which posts may come.
        """
        since = self._posts_at.setdefault(batch.part, now)
        if batch.records >= _BACKLOG or now - since < self._idle_timeout:
            return None
        return Mark(idle_for=now - since)

    def _messages(
        self, found: _Occurrences, segments: tuple[Segment, ...], stream: dict[int, int], background: list[str]
    ) -> list[tuple[str, TagEvents]]:
        tags = found.tags
        shards = np.frombuffer(bytes(map(self._shards.__getitem__, tags)), dtype=np.uint8)
        order = np.argsort(shards, kind="stable")
        bounds = np.searchsorted(shards[order], np.arange(SHARDS + 1)).tolist()
        by_shard = list(map(tags.__getitem__, order.tolist()))
        rows = np.repeat(np.arange(len(found.posts)), found.lengths)[order]
        times, before, segment = found.columns()
        panes = np.floor_divide(times, self._pane).astype(np.int64)[rows]
        keys = np.frombuffer(b"".join(found.keys), dtype="<u8").astype(np.uint64, copy=False)[rows]
        authors = mixed(np.array(found.authors, dtype=np.uint32))
        without = np.array(found.without_author, dtype=np.uint32)
        authors = ((authors & np.uint32(0xFFFFFFFE)) | without)[rows]
        before, segment = before[rows], segment[rows]
        posts = list(map(found.posts.__getitem__, rows.tolist())) if self._detect else []
        messages = []
        for shard, key in enumerate(self._keys):
            part = slice(bounds[shard], bounds[shard + 1])
            messages.append(
                (
                    key,
                    TagEvents(
                        segments,
                        by_shard[part],
                        panes[part],
                        keys[part],
                        authors[part],
                        segment[part],
                        before[part],
                        stream,
                        CarriedPosts(posts[part]),
                        background if shard == 0 else [],
                    ),
                )
            )
        return messages


class _Occurrences:
    """The tagged posts of one activation, column by column."""

    def __init__(self, count_original: bool) -> None:
        self._count_original = count_original
        self.posts: list[Post] = []
        self.tags: list[str] = []
        self.lengths: list[int] = []
        self.keys: list[bytes] = []
        self.authors: list[int] = []
        self.without_author: list[bool] = []
        self._times: list[Floats] = []
        self._before: list[Floats] = []
        self._segments: list[int] = []

    def add(self, posts: list[Post], times: Floats, newest: Floats, segment: int) -> None:
        """The posts of one batch with their times and the newest time up to each."""
        originals = self._count_original
        rows = [row for row, post in enumerate(posts) if post.hashtags or (originals and post.original_hashtags)]
        tagged = [posts[row] for row in rows]
        keys = [post_key(post.source, post.id) for post in tagged]
        self.posts += tagged
        self.keys += keys
        for post in tagged:
            tags = post.hashtags
            if originals and post.original_hashtags:
                tags = tuple(dict.fromkeys(tags + post.original_hashtags))
            self.tags += tags
            self.lengths.append(len(tags))
        self.authors += [
            crc32(f"{post.source}\x00{post.author}".encode("utf-8", "surrogatepass")) if post.author else crc32(key)
            for post, key in zip(tagged, keys, strict=True)
        ]
        self.without_author += [not post.author for post in tagged]
        before = np.concatenate(([_NOWHERE], newest[:-1])) if len(newest) else newest
        taken = np.array(rows, dtype=np.int64)
        self._times.append(times[taken])
        self._before.append(before[taken])
        self._segments += [segment] * len(rows)

    def columns(self) -> tuple[Floats, Floats, Ints]:
        """Time, newest time before, and segment of each post."""
        if not self._times:
            nothing = np.empty(0)
            return nothing, nothing, np.empty(0, dtype=np.int64)
        return np.concatenate(self._times), np.concatenate(self._before), np.array(self._segments, dtype=np.int64)


def spread_step(step_id: str, stream: Stream[Batch], spreader: TagSpreader) -> Stream[Any]:
    """Carry a spreader into a flow, directly behind the decoding: nothing may change the order in between."""
    return op.flat_map_batch(step_id, stream, spreader.spread)
