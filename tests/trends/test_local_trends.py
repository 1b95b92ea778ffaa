"""Counting is exact: whatever arrives in whatever order, every window is what the oracle says.

The engine runs without a flow around it here; :mod:`tests.trends.test_trends_flow` runs the same in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundswell import metrics
from groundswell.records import Mark
from groundswell.trends import TrendEvent, Window
from operators.local_trends import LocalTrends
from tests.trends.oracle import Arrival, Rules, Windows, accept, count_windows, tags_of
from tests.trends.streams import (
    NOON_SECONDS,
    activations,
    after_noon,
    arrivals,
    batch_of,
    ended,
    options_of,
    post,
    rules,
    superseded,
)

_RULES = Rules(window=20, slide=10, top=0, disorder=5, lateness=0, dedupe_horizon=20)
PARTS = ("a", "b", "c")


def emitted(groups: Iterable[Sequence[Arrival]], parts: Sequence[str], by: Rules) -> list[Window | TrendEvent]:
    """Everything that the engine says, one group of arrivals after the other."""
    trends = LocalTrends(options_of(by), parts)
    return [item for group in groups for item in trends.feed([batch_of(arrival) for arrival in group])]


def counted(found: Sequence[Arrival], parts: Sequence[str], by: Rules) -> Windows:
    """What the windows hold in the end, with ends in seconds after noon."""
    return after_noon(superseded(emitted([[arrival] for arrival in found], parts, by)))


def expected(found: Sequence[Arrival], parts: Sequence[str], by: Rules) -> Windows:
    """What the oracle says of the same arrivals."""
    return count_windows(accept(found, parts, by)[0], by)


# --- named cases


def test_a_window_is_emitted_once_the_watermark_has_passed_it() -> None:
    """
    ::

        seconds     0         10        20        30
        arrives     |--1------|----16---|---------|
        watermark              11 = 16 - 5          window 10 is due, 20 is not
    """
    trends = LocalTrends(options_of(_RULES), ["a"])
    assert trends.feed([batch_of(Arrival("a", (post(1, "ash"),)))]) == []
    said = trends.feed([batch_of(Arrival("a", (post(16, "birch"),)))])
    assert after_noon(superseded(said)) == {10: [("ash", 1)]}
    rest = trends.feed([batch_of(arrival) for arrival in ended(["a"])])
    assert after_noon(superseded(rest)) == {20: [("ash", 1), ("birch", 1)], 30: [("birch", 1)]}


def test_a_late_post_corrects_the_windows_that_hold_it() -> None:
    """
    ::

        seconds     0         10        20        30        40
        arrives     |--1------|---------|----26---|             watermark 21: windows 10 and 20 go out
                    |------8--|                                 lateness 30: pane 0 is open until 40
        window 10   1 ash; then 1 ash 1 birch, revision up
    """
    by = replace(_RULES, lateness=30)
    trends = LocalTrends(options_of(by), ["a"])
    first = trends.feed([batch_of(Arrival("a", (post(1, "ash"), post(26, "cedar"))))])
    then = trends.feed([batch_of(Arrival("a", (post(8, "birch"),)))])
    assert after_noon(superseded(first)) == {10: [("ash", 1)], 20: [("ash", 1)]}
    both = [("ash", 1), ("birch", 1)]
    assert after_noon(superseded([*first, *then])) == {10: both, 20: both}


def test_a_post_after_the_lateness_is_counted_as_late_and_nowhere_else() -> None:
    """
    ::

        seconds     0         10        20        30        40
        arrives     |--1------|---------|---------|-----36--|   watermark 31 = end of pane 0 + lateness 20, and 1
                    |------8--|                                 too late
    """
    by = replace(_RULES, lateness=20)
    before = metrics.HASHTAGS_LATE._value.get()
    found = [Arrival("a", (post(1, "ash"), post(36, "cedar"), post(8, "birch", "elm"))), *ended(["a"])]
    assert counted(found, ["a"], by) == {10: [("ash", 1)], 20: [("ash", 1)], 40: [("cedar", 1)], 50: [("cedar", 1)]}
    assert metrics.HASHTAGS_LATE._value.get() - before == 2


@pytest.mark.parametrize("ahead", [600, 172_800], ids=["ten-minutes", "two-days"])
def test_a_partition_that_is_ahead_makes_nothing_late(ahead: int) -> None:
    """
    ::

        a   ──0──5──10──15──▶
        b   ─────────────────────── ... ──ahead──ahead + 5──▶     waits for a
    """
    found = []
    for step in range(20):
        found.append(Arrival("b", (post(ahead + 5 * step, "birch"),)))
        found.append(Arrival("a", (post(5 * step, "ash"),)))
    found += ended(["a", "b"])
    assert accept(found, ["a", "b"], _RULES)[1] == []
    assert counted(found, ["a", "b"], _RULES) == after_noon(expected(found, ["a", "b"], _RULES))


def test_a_partition_without_any_data_holds_everything_up_until_it_is_idle() -> None:
    """
    ::

        a   ──1────────26──▶
        b   ────────────────── idle ──▶     now a alone rules: watermark 21
    """
    trends = LocalTrends(options_of(_RULES), ["a", "b"])
    assert trends.feed([batch_of(Arrival("a", (post(1, "ash"), post(26, "ash"))))]) == []
    said = trends.feed([batch_of(Arrival("b", mark=Mark(idle_for=30)))])
    assert after_noon(superseded(said)) == {10: [("ash", 1)], 20: [("ash", 1)]}


def test_a_partition_that_wakes_up_behind_is_exact_within_the_lateness_and_late_after_it() -> None:
    """
    ::

        a   ──1──────────36──▶                    b is idle: watermark 31
        b        idle          ──9 late──15 ok──▶ lateness 15: pane 0 was open until 25, pane 10 is until 35
    """
    by = replace(_RULES, lateness=15)
    found = [
        Arrival("b", mark=Mark(idle_for=30)),
        Arrival("a", (post(1, "ash"), post(36, "ash"))),
        Arrival("b", (post(9, "birch"), post(15, "cedar"))),
        *ended(["a", "b"]),
    ]
    assert counted(found, ["a", "b"], by) == {
        10: [("ash", 1)],
        20: [("ash", 1), ("cedar", 1)],
        30: [("cedar", 1)],
        40: [("ash", 1)],
        50: [("ash", 1)],
    }


def test_a_partition_that_wakes_up_rules_by_the_newest_that_it_ever_brought() -> None:
    """
    ::

        a   ──50──▶  idle           ──4──5 late──▶    with its first post a alone rules again: watermark 45
        b            never came, idle
    """
    found = [
        Arrival("a", (post(50, "ash"),)),
        Arrival("a", mark=Mark(idle_for=30)),
        Arrival("b", mark=Mark(idle_for=30)),
        Arrival("a", (post(4, "birch"), post(5, "cedar"))),
        *ended(["a", "b"]),
    ]
    assert counted(found, ["a", "b"], _RULES) == {
        10: [("birch", 1)],
        20: [("birch", 1)],
        60: [("ash", 1)],
        70: [("ash", 1)],
    }


def test_when_everything_is_idle_the_time_that_passes_empties_the_windows() -> None:
    """
    ::

        a   ──4──▶ idle for 30 s ... 60 s       watermark -1, then 29, then 59
        10 [ash]  20 [ash]  30 []               the last one says that nothing is left
    """
    trends = LocalTrends(options_of(_RULES), ["a"])
    said = trends.feed([batch_of(Arrival("a", (post(4, "ash"),)))])
    for passed in (30, 60):
        said += trends.feed([batch_of(Arrival("a", mark=Mark(idle_for=passed)))])
    windows = [(item.end - NOON_SECONDS, item.top) for item in said if isinstance(item, Window)]
    assert [end for end, _ in windows] == [10, 20, 30]
    assert [len(top) for _, top in windows] == [1, 1, 0]


def test_without_that_setting_event_time_stands_still() -> None:
    by = replace(_RULES, advance_when_idle=False)
    found = [Arrival("a", (post(4, "ash"),)), Arrival("a", mark=Mark(idle_for=3600))]
    assert emitted([found], ["a"], by) == []


def test_a_clock_that_jumps_ahead_makes_what_follows_late_and_counts_it_so() -> None:
    """
    ::

        a   ──1──2──▶ 172801 ──▶ 3 late ──▶ 172802
    """
    before = metrics.HASHTAGS_LATE._value.get()
    moments = (1, 2, 172_801, 3, 172_802)
    found = [*(Arrival("a", (post(at, "ash"),)) for at in moments), *ended(["a"])]
    assert counted(found, ["a"], _RULES) == {
        10: [("ash", 2)],
        20: [("ash", 2)],
        172_810: [("ash", 2)],
        172_820: [("ash", 2)],
    }
    assert metrics.HASHTAGS_LATE._value.get() - before == 1


def test_equal_counts_go_by_code_point_in_the_merged_top() -> None:
    tags = [f"tag{number:02}" for number in range(30)]
    found = [Arrival("a", tuple(post(1, tag) for tag in reversed(tags))), *ended(["a"])]
    top = counted(found, ["a"], replace(_RULES, top=20))[10]
    assert top == [(tag, 1) for tag in tags[:20]]


def test_a_slide_that_does_not_divide_the_window() -> None:
    """
    ::

        seconds   0    5    10   15   20   25   30
                  |----|-4--|----|----|----|----|
        10 ends   -15..10
        20 ends    -5..........20
        30 ends         5..............30            4 has left
    """
    found = [Arrival("a", (post(4, "ash"),)), *ended(["a"])]
    assert counted(found, ["a"], Rules(window=25, slide=10, top=0)) == {10: [("ash", 1)], 20: [("ash", 1)]}


# --- properties


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_window_is_what_the_oracle_says(data: st.DataObject) -> None:
    by = data.draw(rules())
    parts = PARTS[: data.draw(st.integers(1, 3))]
    found = [*data.draw(arrivals(parts)), *ended(parts)]
    late = metrics.HASHTAGS_LATE._value.get()
    in_time = metrics.HASHTAGS_COUNTED._value.get()
    said = emitted(data.draw(activations(found)), parts, by)
    assert superseded(said) == expected(found, parts, by)
    accepted, refused = accept(found, parts, by)
    assert metrics.HASHTAGS_LATE._value.get() - late == sum(len(tags_of(each, by)) for each in refused)
    assert metrics.HASHTAGS_COUNTED._value.get() - in_time == sum(len(tags_of(each, by)) for each in accepted)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_windows_come_in_order_but_for_corrections(data: st.DataObject) -> None:
    """Without lateness there are no corrections; with it, one may be the first word on a window that was empty."""
    by = replace(data.draw(rules()), lateness=data.draw(st.sampled_from([0, 60])))
    found = [*data.draw(arrivals(PARTS)), *ended(PARTS)]
    windows = [item for item in emitted([[each] for each in found], PARTS, by) if isinstance(item, Window)]
    first = [window.end for window in windows if window.revision == 0]
    assert len(first) == len(set(first))
    assert by.lateness or all(earlier < later for earlier, later in pairwise(first))
    assert all(window.end % by.slide == 0 and window.size == by.window for window in windows)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_live_and_replayed_are_the_same_when_nothing_is_late(data: st.DataObject) -> None:
    """Any order of arrival of the same posts: partitions may be anywhere, each within its disorder."""
    by = replace(data.draw(rules()), disorder=200.0, lateness=60)
    steps = data.draw(st.lists(st.tuples(st.sampled_from(PARTS), st.integers(0, 100)), min_size=1, max_size=60))
    posts = {part: [post(moment, "ash", name=str(moment)) for it, moment in steps if it == part] for part in PARTS}
    apart = [Arrival(part, tuple(posts[part])) for part in PARTS]
    turns = data.draw(st.permutations([part for part, _ in steps]))
    queues = {part: iter(each) for part, each in posts.items()}
    mixed = [Arrival(part, (next(queues[part]),)) for part in turns]
    assert counted([*apart, *ended(PARTS)], PARTS, by) == counted([*mixed, *ended(PARTS)], PARTS, by)
