"""Closed panes: passed on, kept apart, given up, and passed on again by whoever resumed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from operators.closed_panes import PANE_KEYS, ClosedPanes, pane_key
from operators.open_panes import Drop
from operators.panes import Chunk, make_chunk


def _chunk(pane: int, number: int = 0) -> Chunk:
    return make_chunk(pane, number, ["ash"], np.array([7], np.uint64), np.array([9], np.uint32), with_authors=True)


def _named(items: Iterable[Any]) -> list[tuple[int, int]]:
    return [(item.pane, item.number) for item in items]


def test_months_of_panes_take_turns_under_the_same_keys() -> None:
    keys = {pane_key("s07", pane) for pane in range(-50_000, 800_000)}
    assert len(keys) == PANE_KEYS


def test_panes_that_share_a_key_are_kept_and_given_up_apart() -> None:
    panes = ClosedPanes(None)
    assert _named(panes.on_batch([_chunk(1), _chunk(1 + PANE_KEYS)])[0]) == [(1, 0), (1 + PANE_KEYS, 0)]
    assert panes.on_batch([Drop(1), _chunk(1 + PANE_KEYS, 1)])[1] is False
    assert list(panes.snapshot()) == [1 + PANE_KEYS]
    assert panes.on_batch([Drop(1 + PANE_KEYS)]) == ([], True)


def test_a_pane_that_closes_and_is_given_up_at_once_is_passed_on_all_the_same() -> None:
    passed, discard = ClosedPanes(None).on_batch([_chunk(1), Drop(1)])
    assert (_named(passed), discard) == ([(1, 0)], True)


def test_who_resumes_passes_everything_on_again_even_what_is_given_up_first() -> None:
    panes = ClosedPanes(None)
    panes.on_batch([_chunk(1), _chunk(1, 1), _chunk(1 + PANE_KEYS)])
    resumed = ClosedPanes(panes.snapshot())
    assert resumed.notify_at() is not None
    passed, discard = resumed.on_batch([Drop(1)])
    assert (_named(passed), discard) == ([(1, 0), (1, 1)], False)
    assert _named(resumed.on_notify()[0]) == [(1 + PANE_KEYS, 0)]
    assert resumed.notify_at() is None
