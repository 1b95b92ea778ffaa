"""From crashes to the guilty record, and when to stop trying."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from operators.blame import Blame, Restarts
from operators.isolate import Span

BATCH = Span("posts", 0, 100, 199)
RECORD = Span("posts", 0, 150, 150)


def test_a_range_is_isolated_after_two_crashes_and_a_record_blamed_after_two_more() -> None:
    #  crash:   batch   batch → isolated   record   record → guilty
    blame = Blame(2)
    assert not blame.crashed([[BATCH]]).learned
    verdict = blame.crashed([[BATCH]])
    assert verdict.learned
    assert verdict.repeated
    assert blame.isolation.suspects == (BATCH,)
    assert blame.crashed([[RECORD]]).guilty == ()
    assert blame.crashed([[RECORD]]).guilty == (RECORD,)
    assert blame.isolation.guilty == (RECORD,)


def test_a_record_that_was_in_hand_together_with_the_guilty_one_is_not_blamed() -> None:
    #  crash:   both   both → isolated   record   record → guilty
    blame = Blame(2)
    beside = Span("posts", 1, 7, 7)
    assert not blame.crashed([[RECORD, beside]]).learned
    assert blame.crashed([[RECORD, beside]]).guilty == ()
    assert blame.isolation.suspects == (RECORD, beside)
    assert blame.crashed([[RECORD]]).guilty == ()
    assert blame.crashed([[RECORD]]).guilty == (RECORD,)
    assert blame.isolation.guilty == (RECORD,)


def test_nothing_more_is_learned_when_a_record_that_was_set_aside_crashes_all_the_same() -> None:
    blame = Blame(2)
    learned = [blame.crashed([[RECORD]]).learned for _ in range(4)]
    assert learned == [False, True, False, False]
    assert blame.isolation.guilty == (RECORD,)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=30, unique=True))
def test_crashes_at_different_places_blame_nobody(firsts: list[int]) -> None:
    blame = Blame(2)
    for first in firsts:
        verdict = blame.crashed([[Span("posts", 0, first * 10, first * 10 + 9)]])
        assert not verdict.guilty
        assert not verdict.repeated
    assert not blame.isolation


def test_overlap_needs_the_same_partition() -> None:
    assert not BATCH.overlaps(Span("posts", 1, 100, 199))
    assert BATCH.overlaps(Span("posts", 0, 199, 300))
    assert not BATCH.overlaps(Span("posts", 0, 200, 300))


def test_waits_double_up_to_the_longest_and_then_it_gives_up() -> None:
    restarts = Restarts(limit=4, first=0.5, longest=2.0)
    assert [restarts.next_delay(progressed=False) for _ in range(5)] == [0.5, 1.0, 2.0, 2.0, None]


def test_progress_starts_the_count_again() -> None:
    restarts = Restarts(limit=2, first=1.0, longest=8.0)
    delays = [restarts.next_delay(progressed=progressed) for progressed in (False, False, True, False)]
    assert delays == [1.0, 2.0, 1.0, 2.0]
    assert restarts.total == 4
