"""What a shard tells the merging step of its windows."""

from __future__ import annotations

from typing import Final, NamedTuple

from groundswell.trends import Candidate

#: All windows of an input that has ended are reached.
END: Final = 1 << 62


class ShardWindow(NamedTuple):
    """One shard's part of the window that ends at ``end`` (seconds): its top tags, and by how much they may be low.

    ``candidates`` are the tags that burst, looked for when the window is reached for the
    first time and not when it is corrected.
    """

    end: int
    top: tuple[tuple[str, int], ...]
    error: int
    candidates: tuple[Candidate, ...]


class ShardReport(NamedTuple):
    """What a shard tells the merging step.

    All windows that end up to ``reached`` (seconds; ``None``: not even one) are in this
    report, were in one before or hold no tag of the shard; none that ends at or before
    ``settled`` will change. ``background`` are texts of the stream.
    """

    shard: str
    reached: int | None
    settled: float
    windows: tuple[ShardWindow, ...]
    background: tuple[str, ...]
