"""The closed panes of a shard that windows are made of, each pair of tag and post counted once.

A post that was delivered twice counts where its time is earliest::

    pane          40    41    42    43   ...   40 + h
    post a #rain   x           (x)                        the second one is not counted
    post b #rain         x                        ... x   more than h panes later: counted again

Whether a pair counts depends on the panes alone, not on the order in which they came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from operators.panes import Chunk, pair_keys
from operators.tag_events import Hashes, Keys
from operators.tag_table import Ints, TagTable

Floats = npt.NDArray[np.float64]


class KeptPane:
    """What one pane adds to a window: ``tags`` are distinct numbers, ``counts`` and ``authors`` run beside them.

    ``pair_tag`` and ``pairs`` are its distinct pairs of tag and post, counted or not,
    ``sketch_tag`` and ``sketch`` its author sketches; ``error`` is the highest count that was
    left out for want of room.
    """

    __slots__ = ("authors", "counts", "error", "pair_tag", "pairs", "sketch", "sketch_tag", "tags")

    def __init__(
        self, tags: Ints, counts: Ints, authors: Floats, pair_tag: Ints, pairs: Keys, sketch_tag: Ints, sketch: Hashes
    ) -> None:
        self.tags = tags
        self.counts = counts
        self.authors = authors
        self.pair_tag = pair_tag
        self.pairs = pairs
        self.sketch_tag = sketch_tag
        self.sketch = sketch
        self.error = 0


class KeptPanes:
    """Panes by number, with the duplicates of up to ``horizon`` panes before taken out.

    ``room`` is how many tags the table may hold before tags that are new and rare in
    their pane are left out; at least ``least`` tags of each pane are taken whatever it holds.
    Before that, ``make_room`` is asked to forget so many tags that no pane holds, or all there are.
    """

    def __init__(
        self,
        table: TagTable,
        horizon: int,
        room: int,
        least: int,
        make_room: Callable[[int], None] = lambda _tags: None,
    ) -> None:
        self._table = table
        self._horizon = horizon
        self._room = room
        self._least = least
        self._make_room = make_room
        self._panes: dict[int, KeptPane] = {}
        #: The pairs of the newest panes, and the panes that they are of.
        self._seen: set[int] = set()
        self._seen_panes: deque[int] = deque()
        self._repeated: list[tuple[int, list[int]]] = []

    def __contains__(self, number: int) -> bool:
        return number in self._panes

    def get(self, number: int) -> KeptPane | None:
        return self._panes.get(number)

    def first_from(self, number: int) -> int | None:
        """The first pane that is kept at ``number`` or later."""
        return min((pane for pane in self._panes if pane >= number), default=None)

    @property
    def newest(self) -> int | None:
        return max(self._panes, default=None)

    def add(self, chunk: Chunk) -> None:
        """The first chunk of a pane that is newer than all others, or one that came late.

        The totals must not hold the pane, nor those behind it, when it is not the newest.
        """
        newest = self.newest
        kept = self._panes.get(chunk.pane)
        made = self._made(chunk)
        if kept is not None or (newest is not None and chunk.pane < newest):
            self._add_late(chunk.pane, kept or _nothing(), made)
            return
        self._table.panes[made.tags] += 1
        self._panes[chunk.pane] = made
        self._leave_out_seen(chunk.pane, made)

    def drop(self, number: int) -> Ints:
        """Forget a pane that is in no window any more; the tags that no other pane holds."""
        kept = self._panes.pop(number)
        table = self._table
        table.panes[kept.tags] -= 1
        if number in self._seen_panes:
            self._seen_panes.remove(number)
            self._rebuild_seen()
        unheld: Ints = kept.tags[table.panes[kept.tags] == 0]
        return unheld

    def before(self, number: int) -> list[int]:
        """The panes that are kept and lie before ``number``."""
        return [pane for pane in self._panes if pane < number]

    def _made(self, chunk: Chunk) -> KeptPane:
        chunk, error = self._fitted(chunk)
        tags = self._table.numbers(chunk.tags)
        pair_tag = tags[chunk.tag_of]
        kept = KeptPane(
            tags,
            chunk.counts.astype(np.int64),
            chunk.author_counts.astype(np.float64) if len(chunk.author_counts) else np.zeros(len(tags)),
            pair_tag,
            pair_keys(pair_tag, chunk.posts_of),
            tags[chunk.author_tag],
            chunk.authors,
        )
        kept.error = error
        return kept

    def _fitted(self, chunk: Chunk) -> tuple[Chunk, int]:
        """The chunk without the rarest of its new tags where there is no room for them.

        Each pane is cut like a summary of Misra and Gries (1982; mergeable: Agarwal et al.
        2012): what is kept of it is exact, and a tag that was left out is short of at most
        the highest count among those left out, which is at most a share of
        ``1 / (least + 1)`` of the pane. The errors of a window's panes add up.
        """
        table = self._table
        if len(table) + len(chunk.tags) <= self._room:
            return chunk, 0
        new = np.array([tag not in table for tag in chunk.tags], dtype=np.bool_)
        lacking = len(table) + int(new.sum()) - self._room
        if lacking > 0:
            self._make_room(lacking)
            new = np.array([tag not in table for tag in chunk.tags], dtype=np.bool_)
        room = max(self._room - len(table), self._least)
        if int(new.sum()) <= room:
            return chunk, 0
        rank = np.lexsort((np.arange(len(new)), -chunk.counts, ~new))[: int(new.sum())]
        left_out = rank[room:]
        keep = np.ones(len(new), dtype=np.bool_)
        keep[left_out] = False
        place = np.cumsum(keep, dtype=np.int32) - 1
        pairs, authors = keep[chunk.tag_of], keep[chunk.author_tag]
        fitted = Chunk(
            chunk.pane,
            chunk.number,
            [tag for tag, kept in zip(chunk.tags, keep.tolist(), strict=True) if kept],
            chunk.counts[keep],
            place[chunk.tag_of[pairs]].astype(np.int32),
            chunk.posts_of[pairs],
            chunk.author_counts[keep] if len(chunk.author_counts) else chunk.author_counts,
            place[chunk.author_tag[authors]].astype(np.int32),
            chunk.authors[authors],
        )
        return fitted, int(chunk.counts[left_out].max())

    def _add_late(self, number: int, kept: KeptPane, late: KeptPane) -> None:
        """Add to a pane that is not the newest; the cost is that of looking for what is new, not of counting anew."""
        new = ~_which_are_in(late.pairs, kept.pairs)
        pairs = late.pairs[new]
        repeated = np.zeros(len(pairs), np.bool_)
        repeated_later: list[int] = []
        for other in self._which_may_hold(pairs, number):
            shared = _which_are_in(pairs, self._panes[other].pairs)
            if shared.any():
                self._repeated.append((max(number, other), pairs[shared].tolist()))
                if other < number:
                    repeated |= shared
                else:
                    repeated_later.append(other)
        merged = _merged(kept, late, new, late.pair_tag[new][~repeated])
        self._table.panes[kept.tags] -= 1
        self._table.panes[merged.tags] += 1
        self._panes[number] = merged
        for other in repeated_later:
            self._recount(other)
        if self._horizon and number >= max(self._panes) - self._horizon:
            self._seen.update(pairs.tolist())
            if number not in self._seen_panes:
                self._seen_panes = deque(sorted((*self._seen_panes, number)))

    def _which_may_hold(self, pairs: Keys, number: int) -> list[int]:
        """The panes within the horizon of another in which there may be some of these pairs."""
        near = [pane for pane in range(number - self._horizon, number + self._horizon + 1) if pane in self._panes]
        if self._seen.isdisjoint(pairs.tolist()):
            near = [pane for pane in near if pane not in self._seen_panes]
        return [pane for pane in near if pane != number]

    def _leave_out_seen(self, number: int, pane: KeptPane) -> None:
        """Count the newest pane; nearly always nothing in it was seen before."""
        if not self._horizon:
            return
        while self._seen_panes and self._seen_panes[0] < number - self._horizon:
            self._seen.difference_update(self._panes[self._seen_panes.popleft()].pairs.tolist())
            self._repeated = [(at, pairs) for at, pairs in self._repeated if at >= number - self._horizon]
            for _, pairs in self._repeated:
                self._seen.update(pairs)
        pairs = pane.pairs.tolist()
        if not self._seen.isdisjoint(pairs):
            again = np.array([pair in self._seen for pair in pairs], dtype=np.bool_)
            self._repeated.append((number, pane.pairs[again].tolist()))
            pane.counts = _per_tag(pane.tags, pane.pair_tag[~again])
        self._seen.update(pairs)
        self._seen_panes.append(number)

    def _rebuild_seen(self) -> None:
        panes = sorted(self._panes)
        newest = panes[-1] if panes else 0
        self._seen.clear()
        self._repeated.clear()
        self._seen_panes = deque(pane for pane in panes if pane >= newest - self._horizon)
        for number in self._seen_panes:
            pairs = self._panes[number].pairs.tolist()
            again = [pair for pair in pairs if pair in self._seen]
            if again:
                self._repeated.append((number, again))
            self._seen.update(pairs)

    def _recount(self, number: int) -> None:
        """Count a pane anew from its own pairs and those of the panes before it."""
        pane = self._panes[number]
        earlier = [self._panes[other].pairs for other in range(number - self._horizon, number) if other in self._panes]
        counted = pane.pair_tag
        if earlier:
            counted = counted[~np.isin(pane.pairs, np.concatenate(earlier))]
        pane.counts = _per_tag(pane.tags, counted)


def _nothing() -> KeptPane:
    ints, keys = np.empty(0, np.int64), np.empty(0, np.uint64)
    return KeptPane(ints, ints, np.empty(0), ints, keys, ints, np.empty(0, np.uint32))


def _merged(kept: KeptPane, late: KeptPane, new: npt.NDArray[np.bool_], counted: Ints) -> KeptPane:
    """Two parts of one pane: ``new`` are the late pairs that the other lacks, ``counted`` the tags that they raise."""
    pairs = np.concatenate((kept.pairs, late.pairs[new]))
    pair_tag = np.concatenate((kept.pair_tag, late.pair_tag[new]))
    sketches = np.unique(
        (np.concatenate((kept.sketch_tag, late.sketch_tag)).astype(np.uint64) << np.uint64(32))
        | np.concatenate((kept.sketch, late.sketch))
    )
    sketch_tag = (sketches >> np.uint64(32)).astype(np.int64)
    tags = np.union1d(kept.tags, late.tags)
    counts = _per_tag(tags, counted)
    counts[np.searchsorted(tags, kept.tags)] += kept.counts
    authors = _per_tag(tags, sketch_tag).astype(np.float64)
    for part in (kept, late):
        at = np.searchsorted(tags, part.tags)
        # A sketch that is full no longer tells how many there are.
        authors[at] = np.maximum(authors[at], part.authors)
    merged = KeptPane(tags, counts, authors, pair_tag, pairs, sketch_tag, sketches.astype(np.uint32))
    merged.error = kept.error + late.error
    return merged


def _per_tag(tags: Ints, occurrences: Ints) -> Ints:
    """How often each of ``tags`` (distinct, in any order) occurs; all occurrences are of these tags."""
    order = np.argsort(tags)
    at = order[np.searchsorted(tags, occurrences, sorter=order)]
    return np.bincount(at, minlength=len(tags)).astype(np.int64)


def _which_are_in(few: Keys, many: Keys) -> npt.NDArray[np.bool_]:
    """Which of ``few`` distinct keys are among many; only the few are sorted."""
    found = np.zeros(len(few), np.bool_)
    if len(few) and len(many):
        order = np.argsort(few)
        ranked = few[order]
        at = np.minimum(np.searchsorted(ranked, many), len(few) - 1)
        found[order[at[ranked[at] == many]]] = True
    return found
