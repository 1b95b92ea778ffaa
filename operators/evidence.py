"""Evidence of a trend: sample posts, how people write the tag, and its companions."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import msgspec

from groundswell.records import Post
from groundswell.trends import Evidence, Sample
from operators import hashtags
from operators.bottom_k import HeldPost, SlidingSample

#: Code points that are kept of a text.
LONGEST_TEXT = 1_000
#: Hashtags that are kept of a post, in order of appearance.
MOST_TAGS = 30
#: Spellings and companions that evidence names: the most frequent, ties in code point order.
MOST_FORMS = 10
MOST_COTAGS = 50


class _TagState(msgspec.Struct, array_like=True, gc=False):
    tag: str
    limits: dict[int, int]
    held: list[HeldPost]


class _State(msgspec.Struct, array_like=True, gc=False):
    samples_per_tag: int
    block: float
    first_block: int
    tags: list[msgspec.Raw]


_encoder = msgspec.msgpack.Encoder()
_state_decoder = msgspec.msgpack.Decoder(_State)
_tag_decoder = msgspec.msgpack.Decoder(_TagState)


class _Watched:
    """A tag's sample, and what was made of it since it last changed."""

    __slots__ = ("encoded", "evidence", "forms", "sample")

    def __init__(self, sample: SlidingSample) -> None:
        self.sample = sample
        self.forms: dict[HeldPost, tuple[str, ...]] = {}
        self.changed()

    def changed(self) -> None:
        self.encoded: bytes | None = None
        self.evidence: Evidence | None = None


class EvidenceStore:
    """Evidence of the tags that a shard watches, each from a uniform sample of its posts.

    At most ``max_samples`` posts are held. When one more comes, a tag gives up the half of
    its posts with the larger keys, until all fit: first those that had no post for a whole
    block, the longest silent before the others; then whichever holds the most; then the
    first in code point order. What it keeps is a uniform sample still, only smaller, and
    grows again as the blocks leave in which it was cut. Under this cap, and only there, the
    size of a sample depends on the order of the posts.

    ``block`` seconds of event time leave together: a sixth of the window is about right.
    """

    def __init__(self, samples_per_tag: int = 300, max_samples: int = 6_000, block: float = 300.0) -> None:
        if samples_per_tag < 0 or max_samples < 0 or block <= 0:
            raise ValueError("samples_per_tag and max_samples must not be negative, and block must be positive")
        self._samples_per_tag = samples_per_tag
        self._max_samples = max_samples
        self._block = block
        self._first_block = -(2**62)
        self._tags: dict[str, _Watched] = {}
        self._size = 0
        self._state: bytes | None = None

    def __len__(self) -> int:
        """Posts that are held, a post once for each of its tags."""
        return self._size

    def add(self, tag: str, post_key: int, time: float, post: Post) -> None:
        """A post, created at ``time`` (Unix seconds), carries a tag that is watched.

        ``post_key`` is a hash of the post's identity, 64 bits at most. Reposts are no evidence.
        """
        block = int(time // self._block)
        if post.repost_of is not None or block < self._first_block or not self._samples_per_tag:
            return
        watched = self._tags.get(tag)
        if watched is None:
            watched = self._tags[tag] = _Watched(SlidingSample(self._samples_per_tag))
        sample = watched.sample
        if not sample.wants(block, post_key):
            return
        before = len(sample.held)
        tags = post.hashtags[:MOST_TAGS]
        if sample.take(HeldPost(block, post_key, post.source, post.id, post.text[:LONGEST_TEXT], tags)):
            self._size += len(sample.held) - before
            watched.changed()
            self._state = None
            self._shrink()

    def evidence(self, tag: str) -> Evidence:
        """What is known of a tag; empty when it is not watched.

        Spellings and companions are counted over the sample posts, which come in the order of their keys.
        """
        watched = self._tags.get(tag)
        if watched is None:
            return Evidence()
        if watched.evidence is None:
            watched.evidence = _evidence(tag, watched)
        return watched.evidence

    def forget(self, tag: str) -> None:
        """The tag is no longer watched."""
        watched = self._tags.pop(tag, None)
        if watched is not None:
            self._size -= len(watched.sample.held)
            self._state = None

    def expire(self, before: float) -> None:
        """Posts in blocks that end at ``before`` (Unix seconds) or earlier leave, and none of them enters again."""
        first_block = int(before // self._block)
        if first_block <= self._first_block:
            return
        self._first_block = first_block
        self._state = None
        for tag, watched in list(self._tags.items()):
            sample = watched.sample
            self._size -= len(sample.held)
            if sample.expire(first_block):
                watched.changed()
            self._size += len(sample.held)
            if not sample.held and not sample.limits:
                del self._tags[tag]

    def state(self) -> bytes:
        """Everything that is held, for :meth:`restored`. Only the tags that changed are encoded again."""
        if self._state is None:
            tags = []
            for tag, watched in self._tags.items():
                if watched.encoded is None:
                    sample = watched.sample
                    watched.encoded = _encoder.encode(_TagState(tag, sample.limits, list(sample.held.values())))
                tags.append(msgspec.Raw(watched.encoded))
            self._state = _encoder.encode(_State(self._samples_per_tag, self._block, self._first_block, tags))
        return self._state

    @classmethod
    def restored(
        cls, state: bytes, samples_per_tag: int = 300, max_samples: int = 6_000, block: float = 300.0
    ) -> EvidenceStore:
        """The store that had this state; where its arguments were others, what its samples allow.

        Raises ``msgspec.DecodeError`` when the bytes are no state.
        """
        store = cls(samples_per_tag, max_samples, block)
        was = _state_decoder.decode(state)
        same = (was.samples_per_tag, was.block) == (samples_per_tag, block)
        store._first_block = was.first_block if same else int(was.first_block * was.block // block)
        for raw in was.tags if samples_per_tag else ():
            kept = _tag_decoder.decode(raw)
            sample = SlidingSample(was.samples_per_tag, kept.limits, kept.held)
            store._tags[kept.tag] = _Watched(sample if same else sample.recut(samples_per_tag, was.block / block))
            store._size += len(store._tags[kept.tag].sample.held)
        store._shrink()
        return store

    def _shrink(self) -> None:
        while self._size > self._max_samples:
            samples = [(tag, watched.sample) for tag, watched in self._tags.items() if watched.sample.held]
            silent = max(sample.newest for _, sample in samples) - 1
            _, _, tag = min((min(sample.newest, silent), -len(sample.held), tag) for tag, sample in samples)
            watched = self._tags[tag]
            self._size -= len(watched.sample.held)
            watched.sample.halve()
            self._size += len(watched.sample.held)
            watched.changed()


def _evidence(tag: str, watched: _Watched) -> Evidence:
    posts = watched.sample.sample()
    known = watched.forms
    watched.forms = {post: known[post] if post in known else _forms(tag, post.text) for post in posts}
    return Evidence(
        forms=_most(Counter(chain.from_iterable(watched.forms.values())), MOST_FORMS),
        cotags=_most(Counter(other for post in posts for other in post.tags if other != tag), MOST_COTAGS),
        samples=tuple(Sample(post.source, post.id, post.text) for post in posts),
    )


def _forms(tag: str, text: str) -> tuple[str, ...]:
    """The distinct spellings of a tag in a text."""
    written = dict.fromkeys(found for found, _, _ in hashtags.find(text))
    return tuple(form for form in written if hashtags.normalise((form,)) == (tag,))


def _most(counts: Counter[str], limit: int) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit])
