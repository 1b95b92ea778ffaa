"""How far event time has come."""

from __future__ import annotations

from groundswell.records import Mark
from operators.watermarks import NEVER, Watermarks


def _watermarks(*parts: str, advance: bool = True) -> Watermarks:
    return Watermarks(parts, 10.0, advance_when_idle=advance)


def test_the_slowest_partition_rules_and_time_never_goes_back() -> None:
    watermarks = _watermarks("a", "b")
    watermarks.observe("a", 1_000.0)
    assert watermarks.value == NEVER  # b may bring anything
    watermarks.observe("b", 400.0)
    assert watermarks.value == 390.0
    watermarks.observe("b", 300.0)
    assert watermarks.value == 390.0


def test_an_idle_partition_holds_nobody_up_until_it_wakes() -> None:
    #   a  ──1000────────────1100──▶
    #   b  ──400──idle───450───────▶     450 lies behind the watermark: it is for others to say what is late
    watermarks = _watermarks("a", "b")
    watermarks.observe("a", 1_000.0)
    watermarks.observe("b", 400.0)
    watermarks.mark("b", Mark(idle_for=30.0))
    assert watermarks.value == 990.0
    watermarks.observe("b", 450.0)
    watermarks.observe("a", 1_100.0)
    assert watermarks.value == 990.0


def test_idleness_that_is_taken_back_counts_no_longer() -> None:
    watermarks = _watermarks("a", "b")
    watermarks.observe("a", 1_000.0)
    watermarks.mark("b", Mark(idle_for=30.0))
    watermarks.mark("b", Mark())
    watermarks.observe("a", 2_000.0)
    assert watermarks.value == 990.0


def test_when_all_are_idle_wall_time_moves_it_on() -> None:
    watermarks = _watermarks("a", "b")
    for part in ("a", "b"):
        watermarks.observe(part, 1_000.0)
    watermarks.mark("a", Mark(idle_for=30.0))
    assert watermarks.value == 990.0
    watermarks.mark("b", Mark(idle_for=31.0))
    watermarks.mark("a", Mark(idle_for=50.0))
    assert watermarks.value == 990.0 + 31.0
    watermarks.mark("b", Mark(idle_for=51.0))
    assert watermarks.value == 990.0 + 50.0


def test_it_stands_still_where_that_is_not_wanted() -> None:
    watermarks = _watermarks("a", advance=False)
    watermarks.observe("a", 1_000.0)
    watermarks.mark("a", Mark(idle_for=500.0))
    assert watermarks.value == 990.0


def test_the_end_of_the_input_is_no_time() -> None:
    watermarks = _watermarks("a", "b")
    watermarks.observe("a", 1_000.0)
    watermarks.mark("b", Mark(ended=True))
    assert (watermarks.value, watermarks.ended) == (990.0, False)
    watermarks.mark("a", Mark(ended=True))
    assert (watermarks.value, watermarks.ended) == (990.0, True)


def test_after_a_restart_nothing_is_idle_and_nothing_has_ended() -> None:
    before = _watermarks("a", "b")
    before.observe("a", 1_000.0)
    before.mark("b", Mark(idle_for=60.0))
    after = Watermarks(["a", "b", "c"], 10.0, advance_when_idle=True, resume=before.state())
    after.observe("a", 3_000.0)
    assert (after.value, after.ended) == (990.0, False)
