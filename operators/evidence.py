"""Evidence of a trend: a uniform sample of a tag's posts, and what is written in them.

The sample is a bottom-k sketch: of the posts still in the window, those whose hashes are
the k smallest. It depends on the set of the posts alone, not on their order nor on
repetitions, and the sample of a union lies in the union of the samples. (Cohen and Kaplan,
"Summarizing Data using Bottom-k Sketches", PODC 2007; over a sliding window: Gemulla and
Lehner, "Sampling Time-Based Sliding Windows in Bounded Space", SIGMOD 2008.)

So that posts can leave, event time is cut into blocks, and a post is held while its hash
is among the k smallest of its own and all later blocks: no other can ever enter the sample
once older blocks are gone. With b blocks in the window about k (1 + 1/2 + ... + 1/b) posts
of a frequent tag are held: 2.45 k at the default of 300 s in a window of 1800 s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import heapify, heappush, heappushpop, nsmallest
from itertools import chain

import msgspec

from groundswell.records import Post
from groundswell.trends import Evidence, Sample
from operators import hashtags

#: Code points that are kept of a text.
LONGEST_TEXT = 1_000
#: Hashtags that are kept of a post, in order of appearance.
MOST_TAGS_KEPT = 30
#: Spellings and companions that evidence names: the most frequent, then in code point order.
MOST_FORMS = 10
MOST_COTAGS = 50


class _Held(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
    """A post that is or may come into the sample."""

    block: int
    key: int
    source: str
    id: str
    text: str
    tags: tuple[str, ...]


class _TagState(msgspec.Struct, array_like=True, gc=False):
    tag: str
    limits: dict[int, int]
    held: list[_Held]


class _State(msgspec.Struct, array_like=True, gc=False):
    samples_per_tag: int
    block: float
    first_block: int
    tags: list[msgspec.Raw]


_encoder = msgspec.msgpack.Encoder()
_state_decoder = msgspec.msgpack.Decoder(_State)
_tag_decoder = msgspec.msgpack.Decoder(_TagState)


class _TagSample:
    """The posts held for one tag.

    ``smallest`` has for each block the ``k`` smallest keys of it and all later blocks,
    negated, as a heap: its head is the largest of them. ``limits`` says up to which block
    posts with keys from a limit on were given up.
    """

    __slots__ = ("encoded", "evidence", "forms", "held", "k", "limits", "smallest")

    def __init__(self, k: int, limits: dict[int, int], held: Iterable[_Held]) -> None:
        self.k = k
        self.limits = limits
        self.held = {post.key: post for post in held}
        self.smallest: dict[int, list[int]] = {}
        self.forms: dict[int, tuple[str, ...]] = {}
        self.encoded: bytes | None = None
        self.evidence: Evidence | None = None
        self._rebuild()

    @property
    def newest(self) -> int:
        """The newest block of which posts are held; raises ``ValueError`` when none are."""
        return max(self.smallest)

    def may_take(self, block: int, key: int) -> bool:
        """Whether a post would be held, or takes the place of an equal one."""
        if any(key >= limit for through, limit in self.limits.items() if block <= through):
            return False
        smallest = self._smallest_from(block)
        return len(smallest) < self.k or key <= -smallest[0]

    def take(self, post: _Held) -> None:
        """Hold a post that may be taken. Of posts with the same key the greatest is held, the newest block first."""
        known = self.held.get(post.key)
        if known is not None:
            if post > known:
                self.held[post.key] = post
                self.forms.pop(post.key, None)
                self._rebuild()
            return
        if post.block not in self.smallest:
            self.smallest[post.block] = self._smallest_from(post.block).copy()
        self.held[post.key] = post
        for block, smallest in self.smallest.items():
            if block > post.block:
                continue
            if len(smallest) < self.k:
                heappush(smallest, -post.key)
            elif post.key < -smallest[0]:
                gone = self.held.get(-heappushpop(smallest, -post.key))
                if gone is not None and gone.block == block:
                    del self.held[gone.key]
        self._touch()

    def _smallest_from(self, block: int) -> list[int]:
        found = self.smallest.get(block)
        if found is None:
            later = min((other for other in self.smallest if other > block), default=None)
            found = [] if later is None else self.smallest[later]
        return found

    def expire(self, first_block: int) -> None:
        """Give up the blocks before this one."""
        self.limits = {through: limit for through, limit in self.limits.items() if through >= first_block}
        if any(block < first_block for block in self.smallest):
            self.held = {key: post for key, post in self.held.items() if post.block >= first_block}
            self._rebuild()

    def halve(self) -> None:
        """Give up the half of the posts with the larger keys."""
        self.limit(sorted(self.held)[len(self.held) // 2])

    def limit(self, limit: int) -> None:
        """Give up the posts with keys from this one on, and those of these blocks that are yet to come."""
        newest = self.newest
        self.limits[newest] = min(limit, self.limits.get(newest, limit))
        self.held = {key: post for key, post in self.held.items() if key < limit}
        self._rebuild()

    def sample(self) -> list[_Held]:
        """The sample by key: every post of the window up to some key, ``k`` at most."""
        complete = min(self.limits.values(), default=None)
        keys = sorted(key for key in self.held if complete is None or key < complete)
        return [self.held[key] for key in keys[: self.k]]

    def _rebuild(self) -> None:
        blocks: dict[int, list[int]] = {}
        for post in self.held.values():
            blocks.setdefault(post.block, []).append(post.key)
        self.smallest = {}
        later: list[int] = []
        for block in sorted(blocks, reverse=True):
            later = nsmallest(self.k, chain(later, blocks[block]))
            for key in set(blocks[block]).difference(later):
                del self.held[key]
            self.smallest[block] = [-key for key in later]
            heapify(self.smallest[block])
        self._touch()

    def _touch(self) -> None:
        self.encoded = None
        self.evidence = None


class EvidenceStore:
    """Evidence of the tags that a shard watches.

    At most ``max_samples`` posts are held. When one more comes, a tag gives up the half of
    its posts with the larger keys, until they fit: first those that had no post for a whole
    block, the longest silent before the others, then whichever holds the most, then the
    first in code point order. What is left of a sample is still uniform, only smaller; it
    grows again as the blocks leave that it was cut in. Under this cap alone the size of a sample
    depends on the order of the posts.

    A block, in seconds of event time, leaves as a whole: a sixth of the window is about right.
    """

    def __init__(self, samples_per_tag: int = 300, max_samples: int = 6_000, block: float = 300.0) -> None:
        if samples_per_tag < 0 or max_samples < 0 or block <= 0:
            raise ValueError("samples_per_tag and max_samples must not be negative, block must be positive")
        self._samples_per_tag = samples_per_tag
        self._max_samples = max_samples
        self._block = block
        self._first_block = -(2**62)
        self._tags: dict[str, _TagSample] = {}
        self._size = 0
        self._state: bytes | None = None

    def __len__(self) -> int:
        """Posts that are held."""
        return self._size

    def add(self, tag: str, post_key: int, time: float, post: Post) -> None:
        """A post, created at ``time`` (Unix seconds), carries a tag that is watched.

        ``post_key`` is a hash of the post's identity, at most 64 bits wide. Reposts are no evidence.
        """
        block = int(time // self._block)
        if post.repost_of is not None or block < self._first_block or not self._samples_per_tag:
            return
        sample = self._tags.get(tag)
        if sample is None:
            sample = self._tags[tag] = _TagSample(self._samples_per_tag, {}, ())
        elif not sample.may_take(block, post_key):
            return
        before = len(sample.held)
        tags = post.hashtags[:MOST_TAGS_KEPT]
        sample.take(_Held(block, post_key, post.source, post.id, post.text[:LONGEST_TEXT], tags))
        self._size += len(sample.held) - before
        self._state = None
        if self._size > self._max_samples:
            self._shrink()

    def evidence(self, tag: str) -> Evidence:
        """What is known of a tag: nothing at all when it is not watched.

        Spellings and companions are counted over the sample; the samples are in the order of their keys.
        """
        sample = self._tags.get(tag)
        if sample is None:
            return Evidence()
        if sample.evidence is None:
            sample.evidence = _evidence(tag, sample)
        return sample.evidence

    def forget(self, tag: str) -> None:
        """The tag is no longer watched."""
        sample = self._tags.pop(tag, None)
        if sample is not None:
            self._size -= len(sample.held)
            self._state = None

    def expire(self, before: float) -> None:
        """Posts in blocks that end at ``before`` (Unix seconds) or earlier leave, and none of them enters again."""
        first_block = int(before // self._block)
        if first_block <= self._first_block:
            return
        self._first_block = first_block
        self._state = None
        for tag, sample in list(self._tags.items()):
            self._size -= len(sample.held)
            sample.expire(first_block)
            self._size += len(sample.held)
            if not sample.held and not sample.limits:
                del self._tags[tag]

    def state(self) -> bytes:
        """Everything that is held, for :meth:`restored`. Only the tags that changed are encoded again."""
        if self._state is None:
            tags = []
            for tag, sample in self._tags.items():
                if sample.encoded is None:
                    sample.encoded = _encoder.encode(_TagState(tag, sample.limits, list(sample.held.values())))
                tags.append(msgspec.Raw(sample.encoded))
            self._state = _encoder.encode(_State(self._samples_per_tag, self._block, self._first_block, tags))
        return self._state

    @classmethod
    def restored(
        cls, state: bytes, samples_per_tag: int = 300, max_samples: int = 6_000, block: float = 300.0
    ) -> EvidenceStore:
        """The store that had this state; with other arguments than it had, from its samples.

        Raises ``msgspec.DecodeError`` when the bytes are no state.
        """
        store = cls(samples_per_tag, max_samples, block)
        was = _state_decoder.decode(state)
        same = (was.samples_per_tag, was.block) == (samples_per_tag, block)
        store._first_block = was.first_block if same else int(was.first_block * was.block // block)
        for raw in was.tags:
            kept = _tag_decoder.decode(raw)
            sample = _TagSample(was.samples_per_tag, kept.limits, kept.held)
            if not same:
                sample = _recut(sample, samples_per_tag, was.block / block)
            store._tags[kept.tag] = sample
            store._size += len(sample.held)
        if store._size > max_samples:
            store._shrink()
        return store

    def _shrink(self) -> None:
        while self._size > self._max_samples:
            newest = max(sample.newest for sample in self._tags.values() if sample.held)
            _, _, tag = min(
                (min(sample.newest, newest - 1), -len(sample.held), tag)
                for tag, sample in self._tags.items()
                if sample.held
            )
            sample = self._tags[tag]
            self._size -= len(sample.held)
            sample.halve()
            self._size += len(sample.held)
        self._state = None


def _recut(sample: _TagSample, k: int, scale: float) -> _TagSample:
    """The sample alone, its blocks ``scale`` times as many, for another ``k``.

    Of its blocks only the posts up to its largest key are known, if it was full or cut.
    """
    posts = sample.sample()
    bounds = list(sample.limits.values())
    if len(posts) == sample.k and posts:
        bounds.append(posts[-1].key + 1)
    through = max([*sample.limits, *sample.smallest], default=0)
    limits = {int((through + 1) * scale): min(bounds)} if bounds else {}
    moved = (msgspec.structs.replace(post, block=int(post.block * scale // 1)) for post in posts)
    return _TagSample(k, limits, moved if k else ())


def _evidence(tag: str, sample: _TagSample) -> Evidence:
    posts = sample.sample()
    known = sample.forms
    sample.forms = {post.key: known[post.key] if post.key in known else _forms(tag, post.text) for post in posts}
    return Evidence(
        forms=_most(Counter(chain.from_iterable(sample.forms.values())), MOST_FORMS),
        cotags=_most(Counter(other for post in posts for other in post.tags if other != tag), MOST_COTAGS),
        samples=tuple(Sample(post.source, post.id, post.text) for post in posts),
    )


def _forms(tag: str, text: str) -> tuple[str, ...]:
    """The distinct spellings of a tag in a text."""
    written = dict.fromkeys(found for found, _, _ in hashtags.find(text))
    return tuple(form for form in written if hashtags.normalise((form,)) == (tag,))


def _most(counts: Counter[str], limit: int) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit])
