"""A uniform sample of the posts of a sliding window that depends on nothing but the set of these posts.

A bottom-k sketch: of the posts in the window, those whose keys (hashes) are the k smallest.
Neither order nor repetition matters, and the sample of a union lies in the union of the
samples. (Cohen and Kaplan, "Summarizing Data using Bottom-k Sketches", PODC 2007; over
sliding windows: Gemulla and Lehner, "Sampling Time-Based Sliding Windows in Bounded
Space", SIGMOD 2008.)

So that posts can leave, event time is cut into blocks, and a post is held while its key is
among the k smallest of its own and all later blocks: any other will never be in the sample,
however many older blocks leave. Of a frequent tag about k (1 + 1/2 + ... + 1/b) posts are
held with b blocks in the window: 2.45 k with six.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappush, heappushpop, nsmallest
from itertools import chain

import msgspec


class HeldPost(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
    """A post that is in the sample or may yet come into it."""

    block: int
    key: int
    source: str
    id: str
    text: str
    tags: tuple[str, ...]


class SlidingSample:
    """The sample of one tag, ``k`` posts at most (``k`` is positive).

    ``held`` has the posts by key. ``limits`` says up to which block the posts with keys from
    some limit on were given up, to save memory; what they leave is the bottom of the keys
    still, hence a uniform sample too.
    """

    __slots__ = ("_smallest", "held", "k", "limits")

    def __init__(self, k: int, limits: dict[int, int] | None = None, held: Iterable[HeldPost] = ()) -> None:
        self.k = k
        self.limits = limits or {}
        self.held = {post.key: post for post in held}
        # For each block the k smallest keys of it and all later blocks, negated, as a heap: the largest is its head.
        self._smallest: dict[int, list[int]] = {}
        self._rebuild()

    @property
    def newest(self) -> int:
        """The newest block of which posts are held; raises ``ValueError`` when none are."""
        return max(self._smallest)

    def wants(self, block: int, key: int) -> bool:
        """Whether a post may be held, as far as its block and key tell."""
        if self.limits and any(key >= limit for through, limit in self.limits.items() if block <= through):
            return False
        smallest = self._smallest_from(block)
        return len(smallest) < self.k or key <= -smallest[0]

    def take(self, post: HeldPost) -> bool:
        """Hold a post that is wanted; says whether that changed anything.

        Of posts with the same key the greatest is held: that in the newest block.
        """
        known = self.held.get(post.key)
        if known is not None:
            if post <= known:
                return False
            self.held[post.key] = post
            self._rebuild()
            return True
        if post.block not in self._smallest:
            self._smallest[post.block] = self._smallest_from(post.block).copy()
        self.held[post.key] = post
        for block, smallest in self._smallest.items():
            if block > post.block:
                continue
            if len(smallest) < self.k:
                heappush(smallest, -post.key)
            elif post.key < -smallest[0]:
                gone = self.held.get(-heappushpop(smallest, -post.key))
                if gone is not None and gone.block == block:
                    del self.held[gone.key]
        return True

    def expire(self, first_block: int) -> bool:
        """Give up the blocks before this one; says whether there was anything of them."""
        old_limits = [through for through in self.limits if through < first_block]
        for through in old_limits:
            del self.limits[through]
        old_blocks = any(block < first_block for block in self._smallest)
        if old_blocks:
            self.held = {key: post for key, post in self.held.items() if post.block >= first_block}
            self._rebuild()
        return old_blocks or bool(old_limits)

    def halve(self) -> None:
        """Give up the half of the posts with the larger keys, and their like that comes late."""
        limit = sorted(self.held)[len(self.held) // 2]
        newest = self.newest
        self.limits[newest] = min(limit, self.limits.get(newest, limit))
        self.held = {key: post for key, post in self.held.items() if key < limit}
        self._rebuild()

    def sample(self) -> list[HeldPost]:
        """The sample in the order of the keys: all posts of the window up to some key."""
        complete = min(self.limits.values(), default=None)
        keys = sorted(key for key in self.held if complete is None or key < complete)
        return [self.held[key] for key in keys[: self.k]]

    def recut(self, k: int, scale: float) -> SlidingSample:
        """This sample for another ``k``, with ``scale`` times as many blocks in the same time.

        Only the posts up to the largest key of a full sample are known of its blocks: a
        larger ``k`` is reached as they leave.
        """
        posts = self.sample()
        bounds = list(self.limits.values())
        if len(posts) == self.k:
            bounds.append(posts[-1].key + 1)
        through = max([*self.limits, *self._smallest], default=0)
        limits = {int((through + 1) * scale // 1): min(bounds)} if bounds else {}
        moved = (msgspec.structs.replace(post, block=int(post.block * scale // 1)) for post in posts)
        return SlidingSample(k, limits, moved)

    def _smallest_from(self, block: int) -> list[int]:
        found = self._smallest.get(block)
        if found is None:
            later = min((other for other in self._smallest if other > block), default=None)
            found = [] if later is None else self._smallest[later]
        return found

    def _rebuild(self) -> None:
        blocks: dict[int, list[int]] = {}
        for post in self.held.values():
            blocks.setdefault(post.block, []).append(post.key)
        self._smallest = {}
        later: list[int] = []
        for block in sorted(blocks, reverse=True):
            later = nsmallest(self.k, chain(later, blocks[block]))
            for key in set(blocks[block]).difference(later):
                del self.held[key]
            self._smallest[block] = [-key for key in later]
            heapify(self._smallest[block])
