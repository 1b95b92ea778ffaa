"""The most frequent tags, kept by what rises, against sorting all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tag_table import TagTable
from operators.top_tags import TopTags

_steps = st.lists(
    st.dictionaries(st.sampled_from([f"t{n}" for n in range(60)]), st.integers(-30, 30), max_size=40), max_size=25
)


@settings(max_examples=200)
@given(_steps, st.integers(0, 4))
def test_the_best_are_those_that_sorting_all_would_give(steps: list[dict[str, int]], top: int) -> None:
    table = TagTable()
    best = TopTags(table, top)
    totals: dict[str, int] = {}
    for step in steps:
        changes = {tag: max(change, -totals.get(tag, 0)) for tag, change in step.items()}
        raised = [tag for tag, change in changes.items() if change > 0]
        for tag, change in changes.items():
            totals[tag] = totals.get(tag, 0) + change
            table.total[table.numbers([tag])] += change
        best.raised(table.numbers(raised))
        best.lowered()
        ranked = sorted(((-count, tag) for tag, count in totals.items() if count))
        assert best.best() == tuple((tag, -count) for count, tag in (ranked[:top] if top else ranked))


def test_a_forgotten_number_begins_anew() -> None:
    table = TagTable()
    best = TopTags(table, 2)
    first = table.numbers(["ash", "birch"])
    table.total[first] = [5, 3]
    best.raised(first)
    table.total[first[:1]] = 0
    table.forget(first[:1].tolist())
    again = table.numbers(["cedar"])
    assert again.tolist() == first[:1].tolist()
    table.total[again] += 1
    best.raised(again)
    assert best.best() == (("birch", 3), ("cedar", 1))


def test_columns_grow_with_the_tags() -> None:
    table = TagTable()
    numbers = table.numbers([f"t{n}" for n in range(5_000)])
    table.total[numbers] = np.arange(5_000)
    assert (len(table), int(table.total.sum())) == (5_000, 5_000 * 4_999 // 2)
