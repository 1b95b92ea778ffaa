"""Posts of the whole stream, summed up while the window moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.stream_totals import StreamTotals

_SIZE, _RECENT, _HALF_LIFE = 6, 2, 10.0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), st.booleans()), min_size=1, max_size=25))
def test_sums_are_those_of_all_panes_wherever_it_stops_and_restarts(moves: list[tuple[int, int, bool]]) -> None:
    totals = StreamTotals(_SIZE, _RECENT, _HALF_LIFE)
    posts: dict[int, int] = {}
    position = 0
    for pace, count, restart in moves:
        totals.add({position: count})
        posts[position] = posts.get(position, 0) + count
        position += pace
        totals.move(position)
        if restart:
            totals = StreamTotals(_SIZE, _RECENT, _HALF_LIFE, totals.state())
        # What is at the position itself comes with the next move.
        behind = {pane: number for pane, number in posts.items() if pane < position}
        assert totals.window == sum(number for pane, number in behind.items() if pane >= position - _SIZE)
        assert totals.recent == sum(number for pane, number in behind.items() if pane >= position - _RECENT)
        ages = {pane: position - _SIZE - 1 - pane for pane in behind if pane < position - _SIZE}
        faded = sum(behind[pane] * 2.0 ** (-age / _HALF_LIFE) for pane, age in ages.items())
        assert totals.history == pytest.approx(faded)


def test_what_has_left_counts_half_after_a_half_life() -> None:
    totals = StreamTotals(_SIZE, _RECENT, _HALF_LIFE)
    totals.add({0: 8})
    for position in range(1, _SIZE + 2):
        totals.move(position)
    assert (totals.window, totals.history) == (0, 8.0)
    totals.move(_SIZE + 1 + 10)
    assert totals.history == pytest.approx(4.0)


def test_what_comes_behind_the_position_is_not_counted() -> None:
    totals = StreamTotals(_SIZE, _RECENT, _HALF_LIFE)
    totals.move(5)
    totals.add({4: 3, 5: 2})
    totals.move(6)
    assert (totals.recent, totals.window) == (2, 2)
