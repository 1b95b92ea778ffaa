"""A stream of hashtags with as many live tags as wanted, the same for everything that is compared.

Two hashtags a post and 1,000 hashtags a second of event time, so a window of 1,800 s holds 1.8
million. Tags follow a Zipf distribution over a universe chosen so that a full window is expected
to hold the wanted number of different tags. With exponent 1 no universe would put a million
different tags into 1.8 million draws, so a million takes the exponent 0.5: more tags that come
and go, which is harder on what counts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from groundswell.records import Batch, Deletion, Envelope, Origin, Post

HASHTAGS_PER_SECOND = 1_000
TAGS_PER_POST = 2
WINDOW, SLIDE, TOP = 1_800, 10, 20
#: Event time of the first post, in seconds since 1970.
START = 1_700_000_000

_POSTS_PER_SECOND = HASHTAGS_PER_SECOND // TAGS_PER_POST
_BATCH_POSTS = 500
_AUTHORS = 200_000
_WORDS = ("storm", "river", "bridge", "light", "market", "music", "train", "garden", "signal", "harbour", "summer")
_TEXTS = 1_000
#: Live tags from which on the flatter distribution is needed.
_MANY = 500_000


@dataclass(frozen=True)
class TagStream:
    """``seconds`` of event time with about ``live`` different tags in a full window.

    The posts are dealt out to ``partitions`` in turn. The first partition is ``behind``
    seconds of event time behind the posts that arrive together with its own.
    """

    live: int
    seconds: int
    partitions: int = 4
    behind: int = 0
    seed: int = 1

    @property
    def parts(self) -> list[str]:
        """The keys of the partitions."""
        return [f"memory/posts/{partition:05d}" for partition in range(self.partitions)]

    @cached_property
    def tags(self) -> npt.NDArray[np.int64]:
        """The tags of every post, one row a post."""
        exponent = 0.5 if self.live >= _MANY else 1.0
        bounds = np.cumsum(_weights(_universe(self.live, exponent), exponent))
        chance = np.random.default_rng(self.seed).random((self.seconds * _POSTS_PER_SECOND, TAGS_PER_POST))
        return np.minimum(np.searchsorted(bounds, chance), len(bounds) - 1)

    @property
    def per_second(self) -> float:
        """Hashtags in a second of event time; a post that drew one tag twice has it once."""
        twice = int((self.tags[:, 0] == self.tags[:, 1]).sum())
        return (self.tags.size - twice) / self.seconds

    def rows(self) -> Iterator[tuple[float, str]]:
        """Time in seconds since 1970 and tag of every hashtag, in order of time."""
        for number, tags in enumerate(self.tags.tolist()):
            for tag in dict.fromkeys(tags):
                yield START + number / _POSTS_PER_SECOND, tag_name(tag)

    def batches(self, partition: int) -> Iterator[Batch]:
        """The decoded posts of one partition, in batches such as a source makes."""
        rows = self.tags[partition :: self.partitions].tolist()
        pick = np.random.default_rng((self.seed, partition))
        authors = pick.integers(_AUTHORS, size=len(rows)).tolist()
        texts = [" ".join(pick.choice(_WORDS, size=12).tolist()) for _ in range(_TEXTS)]
        names = _Names()
        late = self.behind if partition == 0 else 0
        for first in range(0, len(rows), _BATCH_POSTS):
            changes: list[Envelope | Deletion] = []
            for place in range(first, min(first + _BATCH_POSTS, len(rows))):
                number = place * self.partitions + partition
                when = datetime.fromtimestamp(START - late + number / _POSTS_PER_SECOND, UTC)
                tags = tuple(dict.fromkeys(names[tag] for tag in rows[place]))
                post = Post(
                    str(number), "memory", texts[number % _TEXTS], when, f"author{authors[place]}", hashtags=tags
                )
                changes.append(Envelope(Origin("posts", partition, place), b"", post))
            yield Batch("posts", partition, len(changes), 0, changes, [], Counter(), part=self.parts[partition])


def tag_name(number: int) -> str:
    """A tag of the usual length."""
    return f"hashtag{number:x}"


class _Names(dict[int, str]):
    """One string for a tag, however often it occurs."""

    def __missing__(self, number: int) -> str:
        name = self[number] = tag_name(number)
        return name


def _weights(universe: int, exponent: float) -> npt.NDArray[np.float64]:
    weights = np.arange(1, universe + 1) ** -exponent
    normal: npt.NDArray[np.float64] = weights / weights.sum()
    return normal


def _universe(live: int, exponent: float) -> int:
    """The smallest number of tags of which a full window is expected to hold ``live``."""
    draws = WINDOW * HASHTAGS_PER_SECOND
    low, high = live, 4 * live
    while low < high:
        middle = (low + high) // 2
        expected = -np.expm1(-draws * _weights(middle, exponent)).sum()
        low, high = (middle + 1, high) if expected < live else (low, middle)
    return low
