"""The engine is thrown away at any moment and goes on from its last snapshot: nothing that it says changes.

The steps of the flow without the engine that carries them: panes come back in any order,
before or after what follows them, as they would from many workers.
"""

from __future__ import annotations

import pickle
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell.errors import StopJob
from groundswell.records import Batch, Mark
from groundswell.step_ids import SHARDS
from groundswell.trends import TagCount, TrendEvent, Window
from operators.closed_panes import ClosedPanes, pane_key
from operators.merge_windows import MergeWindows
from operators.open_panes import OpenPanes, Progress
from operators.shard_report import ShardReport
from operators.sliding_counts import make_sliding_counts
from operators.tag_events import TagSpreader, shard_key
from operators.trend_options import DetectionOptions, TrendOptions
from tests.trends.oracle import Arrival
from tests.trends.streams import NOON, batch_of, post

_PARTS = ("p0", "p1")
_DETECTION = DetectionOptions(
    recent=20,
    start_score=0.6,
    stop_score=0.2,
    hold=10,
    min_count=2,
    min_authors=1,
    min_author_share=0.0,
    ring=1,
    refresh=10,
)


class _Restartable:
    """All steps in one thread; ``shuffle`` decides what comes first where nothing says so."""

    def __init__(self, options: TrendOptions, shuffle: random.Random, age: int, snapshot: bytes = b"") -> None:
        panes, closed, counts, merge = pickle.loads(snapshot) if snapshot else ({}, {}, {}, None)  # noqa: S301
        keys = [shard_key(shard) for shard in range(SHARDS)]
        now = NOON + timedelta(days=1, seconds=age)
        self._shuffle = shuffle
        self._spreader = TagSpreader(options, lambda: now)
        self._open = {key: OpenPanes(options, _PARTS, panes.get(key)) for key in keys}
        self._closed = {key: ClosedPanes(state) for key, state in closed.items()}
        self._counts = {key: make_sliding_counts(options, counts.get(key)) for key in keys}
        self._merge = MergeWindows(options, lambda: now, merge)
        self._again = [key for key, pane in self._closed.items() if pane.notify_at() is not None]

    def snapshot(self) -> bytes:
        return pickle.dumps(
            (
                {key: panes.state() for key, panes in self._open.items()},
                {key: pane.snapshot() for key, pane in self._closed.items()},
                {key: counts.state() for key, counts in self._counts.items()},
                self._merge.state(),
            )
        )

    def feed(self, batch: Batch) -> list[Window | TrendEvent]:
        """What a batch leads to; panes of before a restart come by again sooner or later."""
        arrived: dict[str, list[Any]] = defaultdict(list)
        if self._shuffle.random() < 0.5:
            self._come_again(arrived)
        for key, message in self._spreader.spread([batch]):
            self._close(key, self._open[key].take([message]), arrived)
        if self._shuffle.random() < 0.5:
            self._come_again(arrived)
        return self._count(arrived)

    def rest(self) -> list[Window | TrendEvent]:
        """What is said once all panes have come by again."""
        arrived: dict[str, list[Any]] = defaultdict(list)
        self._come_again(arrived)
        return self._count(arrived)

    def _count(self, arrived: dict[str, list[Any]]) -> list[Window | TrendEvent]:
        # What one shard says keeps its order; which shard is heard first is anybody's guess.
        keys = list(arrived)
        self._shuffle.shuffle(keys)
        reports: list[ShardReport] = []
        for key in keys:
            reports += self._counts[key].take(arrived[key], key)
        return self._merge.take(reports) if reports else []

    def _close(self, key: str, items: Sequence[Any], arrived: dict[str, list[Any]]) -> None:
        by_key: dict[str, list[Any]] = defaultdict(list)
        for item in items:
            by_key[key if isinstance(item, Progress) else pane_key(key, item.pane)].append(item)
        names = list(by_key)
        self._shuffle.shuffle(names)
        for name in names:
            passed, gone = self._closed.setdefault(name, ClosedPanes(None)).on_batch(by_key[name])
            arrived[key] += passed
            if gone:
                del self._closed[name]

    def _come_again(self, arrived: dict[str, list[Any]]) -> None:
        again, self._again = self._again, []
        for name in again:
            if name in self._closed:
                arrived[name.partition("/")[0]] += self._closed[name].on_notify()[0]


def _arrivals(pick: random.Random) -> list[Arrival]:
    """Two partitions in turns, gaps and repeats among them; nothing is too late."""
    moment = 0.0
    posts: dict[str, list[Any]] = {part: [] for part in _PARTS}
    for number in range(pick.randrange(1, 300)):
        moment += pick.choice((0.1, 0.5, 1.0, 3.0, pick.choice((0.0,) * 6 + (200.0,))))
        tags = [f"t{min(int(pick.paretovariate(1.0)), 9)}" for _ in range(pick.randrange(1, 3))]
        made = post(max(moment - pick.random() * 19, 0.0), *tags, name=f"n{number}")
        posts[pick.choice(_PARTS)] += [made] * pick.choice((1, 1, 1, 2))
    arrivals = []
    while any(posts.values()):
        part = pick.choice([part for part in _PARTS if posts[part]])
        size = pick.randrange(1, 20)
        arrivals.append(Arrival(part, tuple(posts[part][:size])))
        del posts[part][:size]
    return arrivals + [Arrival(part, mark=Mark(ended=True)) for part in _PARTS]


Said = tuple[dict[int, tuple[TagCount, ...]], dict[tuple[str, str, str], tuple[str, float, int, int]]]


def _said(items: Iterable[Window | TrendEvent]) -> Said:
    """Windows with any tag, and events, once what came later has superseded what came before.

    That a silence is told depends on whether anybody looked while it lasted.
    """
    windows: dict[int, Window] = {}
    events: dict[tuple[str, str, str], tuple[str, float, int, int]] = {}
    for item in items:
        if isinstance(item, TrendEvent):
            trend = item.trend
            events[trend.tag, item.at.isoformat(), item.event] = trend.id, trend.score, trend.count, trend.authors
        elif item.end not in windows or windows[item.end].revision <= item.revision:
            windows[item.end] = item
    return {end: window.top for end, window in windows.items() if window.top}, events


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_nothing_that_is_said_depends_on_when_it_was_thrown_away(seed: int) -> None:
    pick = random.Random(seed)
    slide = pick.choice((5, 10))
    options = TrendOptions(
        window=slide * pick.choice((1, 3, 6)),
        slide=slide,
        top=pick.choice((0, 3)),
        disorder=25.0,
        lateness=pick.choice((0, 30)),
        dedupe_horizon=pick.choice((0, 40)),
        detection=pick.choice((None, _DETECTION)),
    )
    batches = [batch_of(arrival) for arrival in _arrivals(pick)]
    undisturbed = _Restartable(options, random.Random(0), 0)
    expected = _said([item for batch in batches for item in undisturbed.feed(batch)])

    age = 1
    engine = _Restartable(options, random.Random(1), age)
    snapshot, resume_at, said, at = b"", 0, [], 0
    while at < len(batches):
        said += engine.feed(batches[at])
        at += 1
        fate = pick.random()
        if fate < 0.15:
            snapshot, resume_at = engine.snapshot(), at
        elif fate < 0.25:
            age += 1
            engine, at = _Restartable(options, random.Random(age), age, snapshot), resume_at
    assert _said(said + engine.rest()) == expected


@pytest.mark.parametrize(
    "changed", [{"window": 1_200}, {"slide": 20}, {"lateness": 600}, {"dedupe_horizon": 3_600}], ids=str
)
def test_panes_of_other_windows_are_refused(changed: dict[str, int]) -> None:
    before = _Restartable(TrendOptions(), random.Random(0), 0)
    before.feed(batch_of(Arrival("p0", (post(1.0, "ash"),))))
    with pytest.raises(StopJob, match=next(iter(changed))):
        _Restartable(TrendOptions(**changed), random.Random(0), 1, before.snapshot())  # type: ignore[arg-type]
