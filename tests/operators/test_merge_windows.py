"""The merging of shards: what is decided once stays decided, whatever is corrected, restarted or silent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from groundswell.step_ids import SHARDS
from groundswell.trends import Candidate, Evidence, Sample, TrendEvent, Window
from operators.merge_windows import MergeState, MergeWindows
from operators.shard_report import END, ShardReport, ShardWindow
from operators.tag_events import shard_key
from operators.trend_options import DetectionOptions, TrendOptions

_OPTIONS = TrendOptions(
    window=60,
    slide=10,
    detection=DetectionOptions(
        start_score=1.0, stop_score=0.5, hold=60, min_count=1, min_authors=1, min_author_share=0.0, ring=1
    ),
)


def _now(hours_ago: int = 0) -> datetime:
    return datetime(2024, 5, 6, tzinfo=UTC) - timedelta(hours=hours_ago)


def _merge(resume: MergeState | None = None) -> MergeWindows:
    return MergeWindows(_OPTIONS, _now, resume)


def _reports(reached: int, *windows: ShardWindow, shards: Iterable[int] = range(SHARDS)) -> list[ShardReport]:
    """All of the shards have come to a window end; the windows are those of the first."""
    return [
        ShardReport(shard_key(shard), reached, reached - 60.0, windows if shard == 0 else (), ()) for shard in shards
    ]


def _window(end: int, count: int, *candidates: Candidate) -> ShardWindow:
    return ShardWindow(end, (("ash", count),), 0, candidates)


def _burst(evidence: Evidence | None = None) -> Candidate:
    return Candidate("ash", 9.0, 5, 5, evidence=evidence)


def _events(said: Iterable[Window | TrendEvent]) -> list[tuple[str, int]]:
    return [(item.event, int(item.at.timestamp())) for item in said if isinstance(item, TrendEvent)]


def test_a_restart_in_a_silence_goes_on_with_the_next_decision() -> None:
    """
    ::

        windows     1000
        silence          1010  1020  1030 ✗ 1040  1050  1060  1070
        #ash        began                                     ended
    """
    merge = _merge()
    assert _events(merge.take(_reports(1_000, _window(1_000, 5, _burst())))) == [("began", 1_000)]
    for end in (1_010, 1_020, 1_030):
        assert _events(merge.take(_reports(end))) == []
    merge = _merge(merge.state())
    said = [each for end in range(1_040, 1_100, 10) for each in _events(merge.take(_reports(end)))]
    assert said == [("ended", 1_070)]


def test_a_correction_before_the_last_shard_has_come_takes_no_burst_away() -> None:
    """
    ::

        first shard    1000 (#ash bursts)   1000 corrected
        the others                                          1000
    """
    merge = _merge()
    others = range(1, SHARDS)
    assert merge.take(_reports(1_000, _window(1_000, 5, _burst()), shards=[0])) == []
    assert merge.take(_reports(1_000, _window(1_000, 6), shards=[0])) == []
    said = merge.take(_reports(1_000, shards=others))
    assert [count.count for item in said if isinstance(item, Window) for count in item.top] == [6]
    assert _events(said) == [("began", 1_000)]


def test_evidence_is_not_kept_once_it_was_decided_on() -> None:
    evidence = Evidence(samples=tuple(Sample("s", str(number), "a post of some length") for number in range(300)))
    merge = _merge()
    merge.take(_reports(1_000, _window(1_000, 5, _burst(evidence))))
    kept = [part for parts in merge.state().windows.values() for part in parts.values()]
    assert kept and not any(part.candidates for part in kept)


@pytest.mark.parametrize(("complete", "at"), [(1_020, 1_020), (END, 1_010)], ids=["live", "at-the-end"])
def test_what_trended_ends_when_trends_are_looked_for_no_more(complete: int, at: int) -> None:
    merge = _merge()
    merge.take(_reports(1_000, _window(1_000, 5, _burst())))
    only_counting = MergeWindows(replace(_OPTIONS, detection=None), _now, merge.state())
    # Thrown away before all shards were heard of, it has still to say so.
    only_counting = MergeWindows(replace(_OPTIONS, detection=None), _now, only_counting.state())
    assert _events(only_counting.take(_reports(complete))) == [("ended", at)]
    assert only_counting.state().board == b""
    assert _events(only_counting.take(_reports(complete))) == []


def test_a_window_that_was_empty_all_along_is_neither_said_nor_kept() -> None:
    """
    ::

        windows       1000   1010        1200
        corrected                 1100         with a late post; its shard tells those up to 1200 again
    """
    merge = _merge()
    merge.take(_reports(1_200, _window(1_000, 5), _window(1_200, 5)))
    empty = [ShardWindow(end, (), 0, ()) for end in range(1_110, 1_200, 10)]
    said = merge.take(_reports(1_200, _window(1_100, 1), *empty))
    assert [item.end for item in said if isinstance(item, Window)] == [1_100]
    assert merge.take(_reports(1_200)) == []
    assert set(merge.state().windows) <= {1_000, 1_100, 1_200}


def test_revisions_rise_with_every_restart_even_when_the_clock_was_set_back() -> None:
    merge, revisions = _merge(), []
    for restart in range(4):
        merge = MergeWindows(_OPTIONS, partial(_now, hours_ago=restart), merge.state())
        said = merge.take(_reports(1_000, _window(1_000, restart + 1)))
        revisions += [item.revision for item in said if isinstance(item, Window)]
    assert revisions == sorted(set(revisions)) and len(revisions) == 4
