"""How much the engine takes on at once, and the lengths that batches are padded to."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final

from groundswell.errors import ModelError

#: Lengths, in tokens, that batches are padded to unless told otherwise: each octave in eight, none nearer than 2.
BUCKETS: Final = (
    *range(8, 32, 2),
    *range(32, 64, 4),
    *range(64, 128, 8),
    *range(128, 256, 16),
    *range(256, 513, 32),
)


class Lane(Enum):
    """Who asks: a fresh post that somebody waits for, or a backfill that has time."""

    LIVE = "live"
    BACKFILL = "backfill"


def bucket(size: int, buckets: tuple[int, ...] = BUCKETS) -> int:
    """The length that a row of ``size`` tokens is padded to: the shortest bucket that holds it.

    Beyond the longest bucket lengths go on as the built-in ones do, each octave in eight.

    >>> bucket(1), bucket(17), bucket(128), bucket(513), bucket(70, (64, 128))
    (8, 18, 128, 576, 128)
    """
    place = bisect_left(buckets, size)
    if place < len(buckets):
        return buckets[place]
    step = max(2, (1 << (size - 1).bit_length()) >> 4)
    return -(-size // step) * step


@dataclass(frozen=True)
class Limits:
    """What the queue and its batches may hold.

    ``buckets`` are the lengths of batches, rising. ``batch_tokens`` are the tokens of a
    batch, padding included (0: what suits its reader), and ``batch_rows`` its rows; a row
    that alone has more tokens is a batch of its own. ``linger`` is how long, in seconds, a row waits for others while
    the device is idle. ``queue_rows`` may wait in each lane. Rows of a shorter bucket fill
    up a batch while its padding is at most ``padding`` of it, or ``call_tokens``: what a
    call of the device costs before its first token, in tokens. ``backfill_share`` is the
    share of the device's time that backfill is sure of while live rows wait too. Raises
    :class:`ModelError` for limits that cannot be kept.
    """

    buckets: tuple[int, ...] = BUCKETS
    batch_tokens: int = 0
    batch_rows: int = 512
    linger: float = 0.002
    queue_rows: int = 16_384
    padding: float = 0.1
    call_tokens: int = 16
    backfill_share: float = 0.1

    def __post_init__(self) -> None:
        if not self.buckets or self.buckets[0] < 1 or any(a >= b for a, b in pairwise(self.buckets)):
            raise ModelError(f"the lengths of batches must rise from 1 or more, not {self.buckets}: set models.buckets")
        if min(self.batch_tokens + 1, self.batch_rows, self.queue_rows) < 1:
            raise ModelError("a batch and the queue hold one row at least, and no fewer than 0 tokens")
        if not (0 <= self.padding < 1 and 0 < self.backfill_share < 1 and self.linger >= 0 and self.call_tokens >= 0):
            raise ModelError("padding and backfill_share are shares below 1, linger and call_tokens not negative")
