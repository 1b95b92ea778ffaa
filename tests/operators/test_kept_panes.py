"""Kept panes: what counts once, and what is left out when there is no room."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.kept_panes import KeptPanes
from operators.panes import Chunk, make_chunk
from operators.tag_table import TagTable

_HORIZON = 3


def _chunk(pane: int, number: int, pairs: list[tuple[str, int]]) -> Chunk:
    posts = np.array([post for _, post in pairs], dtype=np.uint64)
    return make_chunk(
        pane, number, [tag for tag, _ in pairs], posts, np.zeros(len(pairs), np.uint32), with_authors=False
    )


def _counts(table: TagTable, panes: KeptPanes, number: int) -> dict[str, int]:
    pane = panes.get(number)
    if pane is None:
        return {}
    named = zip(pane.tags.tolist(), pane.counts.tolist(), strict=True)
    return {table.names[tag]: count for tag, count in named if count}


_pairs = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6)), min_size=1, max_size=6)


@given(st.lists(st.tuples(st.integers(0, 9), _pairs), max_size=14))
def test_a_pair_counts_where_it_is_earliest_in_whatever_order_panes_come(
    arrivals: list[tuple[int, list[tuple[str, int]]]],
) -> None:
    table = TagTable()
    panes = KeptPanes(table, _HORIZON, 1_000, 10)
    held: dict[int, set[tuple[str, int]]] = {}
    numbers: Counter[int] = Counter()
    for pane, pairs in arrivals:
        panes.add(_chunk(pane, numbers[pane], pairs))
        numbers[pane] += 1
        held.setdefault(pane, set()).update(pairs)
    for pane, pairs_of in held.items():
        earlier = set().union(*(held.get(other, set()) for other in range(pane - _HORIZON, pane)))
        assert _counts(table, panes, pane) == Counter(tag for tag, _ in pairs_of - earlier)


def test_a_repeat_is_known_as_long_as_any_of_its_panes_is_near() -> None:
    #   pane    0   1   2   3   4   5   6
    #   post x  ●       ○           ○            ● counted   ○ a repeat of one at most 3 panes before
    table = TagTable()
    panes = KeptPanes(table, _HORIZON, 1_000, 10)
    for pane in range(7):
        panes.add(_chunk(pane, 0, [("a", 1)] if pane in (0, 2, 5) else [("b", pane + 10)]))
    assert [_counts(table, panes, pane).get("a", 0) for pane in (0, 2, 5)] == [1, 0, 0]


@given(st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), min_size=1, max_size=25), max_size=8))
def test_without_room_a_count_is_short_of_no_more_than_the_stated_error(loads: list[list[tuple[int, int]]]) -> None:
    room, least = 10, 2
    table = TagTable()
    panes = KeptPanes(table, 0, room, least)
    exact: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    error = 0
    for pane, load in enumerate(loads):
        pairs = [(f"t{tag}", tag * 100 + post) for tag, count in load for post in range(count)]
        exact.update(tag for tag, _ in set(pairs))
        panes.add(_chunk(pane, 0, pairs))
        kept.update(_counts(table, panes, pane))
        held = panes.get(pane)
        assert held is not None
        error += held.error
        assert held.error * (least + 1) <= len(set(pairs))
    assert all(kept[tag] <= count <= kept[tag] + error for tag, count in exact.items())
    assert len(table) <= room + least * len(loads)
    if len(exact) <= room:
        assert error == 0


def test_a_pane_that_comes_late_before_all_that_are_near_is_known_too() -> None:
    #   pane    3   4   5   6
    #   post x  ●           ○       pane 5 came first, then 3, then 6
    table = TagTable()
    panes = KeptPanes(table, _HORIZON, 1_000, 10)
    for pane, post in ((5, 2), (3, 1), (6, 1)):
        panes.add(_chunk(pane, 0, [("a", post)]))
    assert [_counts(table, panes, pane).get("a", 0) for pane in (3, 5, 6)] == [1, 1, 0]
