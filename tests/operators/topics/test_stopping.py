"""Looking stops when hardly any member is to be expected, and not before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.topics.stopping import FEWEST, expected_rest, hopeless

PROBABILITIES = st.lists(st.floats(0, 1), min_size=FEWEST, max_size=400)


def decaying(half: float, size: int = 1_000) -> np.ndarray:
    """Probabilities that halve every ``half`` candidates."""
    return 0.99 * 0.5 ** (np.arange(size) / half)


def test_candidates_that_soon_are_about_something_else_are_hopeless_and_a_plateau_is_not() -> None:
    assert hopeless(decaying(50), 70, 0.5, 0.02)
    assert not hopeless(decaying(2_000), 900, 0.5, 0.02)
    assert not hopeless(np.full(1_000, 0.9), 900, 0.5, 0.02)


def test_where_there_is_nothing_there_is_no_hope_and_few_candidates_tell_nothing() -> None:
    assert hopeless(np.zeros(0), 0, 0.5, 0.02)
    assert hopeless(np.zeros(1_000), 0, 0.5, 0.02)
    assert not hopeless(np.zeros(FEWEST - 1), 0, 0.5, 0.02)


def test_what_lies_far_below_the_threshold_is_no_member_however_much_there_is() -> None:
    assert hopeless(np.concatenate([np.ones(200), np.full(800, 0.04)]), 200, 0.5, 0.02)


@given(PROBABILITIES, st.integers(0, 10_000), st.floats(0.01, 0.5))
def test_to_tolerate_more_or_to_have_found_more_never_makes_it_less_hopeless(
    found: list[float], members: int, tolerated: float
) -> None:
    evidence = np.array(sorted(found, reverse=True))
    if hopeless(evidence, members, 0.5, tolerated):
        assert hopeless(evidence, members, 0.5, 2 * tolerated)
        assert hopeless(evidence, members + 100, 0.5, tolerated)


@given(st.floats(5, 150), st.floats(0.01, 0.2))
def test_members_that_fall_off_geometrically_are_missed_by_no_more_than_was_tolerated(
    half: float, tolerated: float
) -> None:
    whole = decaying(half, 20_000)
    seen = whole[:1_000]
    if hopeless(seen, 0, 0.5, tolerated):
        rest = whole[1_000:]
        members = whole[whole >= 0.1].sum()
        assert rest[rest >= 0.1].sum() <= tolerated * members + 1e-9


def test_the_rest_of_a_series_that_does_not_fall_is_without_end() -> None:
    assert expected_rest(1.0, 1.0) == np.inf
    assert expected_rest(0.0, 1.0) == 0
