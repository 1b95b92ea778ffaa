"""The trends of files, counted offline by the operators of the job: what is wired to what.

::

    files ─ decode ─ sort by time ─ count                  all posts are one partition
    files ─ decode ────────────────  count                 as they are: each file is one

"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from connectors.file_batches import FileBatches
from connectors.file_formats import FileOptions
from connectors.source import BATCH_RECORDS
from groundswell import metrics
from groundswell.records import Batch, Deletion
from groundswell.trends import TrendEvent, Window
from operators.decode import Decodes
from operators.local_trends import LocalTrends
from operators.sorted_posts import SortedPosts, ended
from operators.trend_options import TrendOptions

#: The partition of posts that were sorted.
SORTED = "replay"

Stage = Literal["reading", "counting"]
#: Told how much of a stage is done, and of how much: bytes read, posts counted.
Advance = Callable[[Stage, int, int], None]
Emission = Window | TrendEvent


@dataclass
class ReplayTotals:
    """What became of the records: posts, records skipped and refused by reason; ``late`` hashtags count nowhere."""

    records: int = 0
    posts: int = 0
    deletions: int = 0
    late: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)

    def add(self, batch: Batch) -> None:
        """Count a decoded batch in."""
        deletions = sum(isinstance(change, Deletion) for change in batch.changes)
        self.records += batch.records
        self.posts += len(batch.changes) - deletions
        self.deletions += deletions
        self.skipped += batch.skipped
        self.dead.update(letter.cause for letter in batch.dead)


class TrendsReplay:
    """Reads ``paths`` and gives the windows and events that are in them; ``totals`` grow meanwhile.

    Raises :class:`OSError` for a file that cannot be opened.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        options: FileOptions,
        decoder: Decodes,
        trends: TrendOptions,
        advance: Advance,
    ) -> None:
        self.totals = ReplayTotals()
        self._files = [(path, f"files/{path}") for path in paths]
        self._options = options
        self._decoder = decoder
        self._trends = trends
        self._advance = advance
        self._size = sum(path.stat().st_size for path in paths)
        self._read = 0

    def in_order(self) -> Iterator[Emission]:
        """All posts sorted by time, whatever their order in the files; nothing is late."""
        posts = SortedPosts()
        for path, part in self._files:
            for batch in self._batches(path, part):
                posts.add(batch)
        counts = LocalTrends(self._trends, [SORTED])
        counted = 0
        for batch in posts.batches(SORTED, BATCH_RECORDS):
            yield from counts.feed([batch])
            counted += batch.records
            self._advance("counting", counted, len(posts))

    def as_is(self) -> Iterator[Emission]:
        """Each file a partition, read side by side, batch by batch; who is too late for its window is not counted."""
        counts = LocalTrends(self._trends, [part for _, part in self._files])
        late_before = _late()
        reading = {part: self._batches(path, part) for path, part in self._files}
        while reading:
            for part, batches in list(reading.items()):
                batch = next(batches, None)
                if batch is None:
                    del reading[part]
                    batch = ended(part)
                yield from counts.feed([batch])
                self.totals.late = _late() - late_before

    def _batches(self, path: Path, part: str) -> Iterator[Batch]:
        """The decoded batches of one file."""
        batches = FileBatches(path, self._options, part)
        known = 0
        for raw in batches:
            batch = self._decoder.decode(raw)
            self.totals.add(batch)
            self._read += batches.done - known
            known = batches.done
            self._advance("reading", self._read, self._size)
            yield batch


def _late() -> int:
    """Hashtags that came too late, in this process so far."""
    samples = [sample for metric in metrics.HASHTAGS_LATE.collect() for sample in metric.samples]
    return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))
