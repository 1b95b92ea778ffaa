"""Cutting rows into batches, and finding the rows that break one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from inference.batches import bisect, plan


@given(st.lists(st.integers(0, 50)), st.integers(1, 10), st.integers(1, 100))
def test_a_plan_holds_each_row_once_within_the_limits(lengths: list[int], max_rows: int, max_cells: int) -> None:
    batches = list(plan(lengths, max_rows, max_cells))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= max_rows
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= max_cells


@given(st.lists(st.integers(0, 50)), st.integers(1, 10))
def test_a_plan_puts_like_lengths_together(lengths: list[int], max_rows: int) -> None:
    order = [lengths[row] for batch in plan(lengths, max_rows, 10_000) for row in batch]
    assert order == sorted(order)
    assert len(list(plan(lengths, max_rows, 10_000))) == ceil(len(lengths) / max_rows)


class PoisonError(Exception):
    """What a batch with a poison row raises."""


def isolate(rows: Sequence[int], poison: set[int]) -> tuple[Counter[int], list[int], int]:
    """Bisect; the rows that passed, those that were found to fail, and the number of runs."""
    passed: Counter[int] = Counter()
    failed: list[int] = []
    runs = 0

    def run(part: Sequence[int]) -> None:
        nonlocal runs
        runs += 1
        if poison.intersection(part):
            raise PoisonError
        passed.update(part)

    bisect(rows, run, lambda row, _: failed.append(row), PoisonError)
    return passed, failed, runs


@given(st.integers(0, 64).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(0, n - 1)), max_size=n))))
def test_each_poison_row_is_found_and_every_other_row_passes_once(case: tuple[int, set[int]]) -> None:
    rows, poison = case
    passed, failed, runs = isolate(range(rows), poison)
    assert sorted(failed) == sorted(poison)
    assert passed == Counter(set(range(rows)) - poison)
    assert runs <= 1 + 2 * len(poison) * ceil(log2(max(2, rows)))


def test_without_poison_there_is_one_run() -> None:
    assert isolate(range(1000), set())[2] == 1


def test_all_poison_is_found_in_fewer_than_two_runs_a_row() -> None:
    assert isolate(range(8), set(range(8)))[1:] == (list(range(8)), 15)
