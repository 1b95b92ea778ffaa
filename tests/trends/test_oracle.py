"""The oracle says what one finds with pencil and paper."""

from __future__ import annotations

from math import inf

from groundswell.records import Mark
from tests.trends.oracle import Arrival, Clock, Rules, accept, count_windows
from tests.trends.streams import NOON_SECONDS, after_noon, post

_RULES = Rules(window=20, slide=10, top=0, disorder=5, lateness=0, dedupe_horizon=20)


def test_a_post_is_in_every_window_that_holds_its_moment() -> None:
    """
    ::

        seconds   0         10        20        30
                  |---------|---------|---------|
                       5 ash          20 ash birch
        10 ends   [=========]
        20 ends   [===================]
        30 ends             [===================]
        40 ends                       [===================]
    """
    found = count_windows([post(5, "ash"), post(20, "ash", "birch")], _RULES)
    assert after_noon(found) == {
        10: [("ash", 1)],
        20: [("ash", 1)],
        30: [("ash", 1), ("birch", 1)],
        40: [("ash", 1), ("birch", 1)],
    }


def test_equal_counts_go_by_code_point_and_a_top_cuts() -> None:
    posts = [post(1, "b", "Ω", "a"), post(2, "b")]
    rules = Rules(window=10, slide=10, top=2)
    assert after_noon(count_windows(posts, rules)) == {10: [("b", 2), ("a", 1)]}


def test_a_repeat_counts_again_only_beyond_the_horizon() -> None:
    """
    ::

        seconds   0    10   20   30   40   50
                  x    x         x              x: post 1, horizon 2 panes
                  1    0         0              the one at 30 has its like at 10, which had been delivered
    """
    posts = [post(second, "ash", name="1") for second in (30, 0, 10)]
    rules = Rules(window=10, slide=10, top=0, dedupe_horizon=20)
    assert after_noon(count_windows(posts, rules)) == {10: [("ash", 1)]}
    beyond = [post(second, "ash", name="1") for second in (0, 30)]
    assert after_noon(count_windows(beyond, rules)) == {10: [("ash", 1)], 40: [("ash", 1)]}


def test_what_a_repost_repeats_counts_if_the_rules_say_so() -> None:
    posts = [post(1, "ash", original=["ash", "birch"])]
    assert after_noon(count_windows(posts, Rules(10, 10)))[10] == [("ash", 1), ("birch", 1)]
    assert after_noon(count_windows(posts, Rules(10, 10, count_original=False)))[10] == [("ash", 1)]


def test_the_slowest_partition_that_has_something_to_say_decides() -> None:
    clock = Clock(["a", "b", "c"], _RULES)
    clock.saw("a", post(100))
    clock.saw("b", post(30))
    assert clock.watermark == -inf
    clock.marked("c", Mark(idle_for=30))
    assert clock.watermark == (NOON_SECONDS + 25) * 1e6
    clock.marked("b", Mark(ended=True))
    assert clock.watermark == (NOON_SECONDS + 95) * 1e6
    clock.saw("c", post(0))
    assert clock.watermark == (NOON_SECONDS + 95) * 1e6


def test_when_all_are_idle_the_time_that_passed_moves_it() -> None:
    clock = Clock(["a", "b"], _RULES)
    clock.saw("a", post(100))
    clock.marked("b", Mark(idle_for=50))
    clock.marked("a", Mark(idle_for=30))
    assert clock.watermark == (NOON_SECONDS + 95 + 30) * 1e6
    clock.marked("b", Mark(idle_for=90))
    clock.marked("a", Mark(idle_for=70))
    assert clock.watermark == (NOON_SECONDS + 95 + 70) * 1e6


def test_a_post_is_late_when_its_pane_is_closed_for_good() -> None:
    early, ahead, late, just = post(1, "ash"), post(15, "ash"), post(9, "birch"), post(10, "cedar")
    arrivals = [Arrival("a", (early, ahead, late)), Arrival("a", (just,))]
    assert accept(arrivals, ["a"], _RULES) == ([early, ahead, just], [late])
