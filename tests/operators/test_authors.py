"""Distinct authors from bottom-k sketches."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.authors import SKETCH_SIZE, Hashes, distinct
from operators.tag_events import mixed

_hashes = st.lists(st.integers(0, 2**32 - 1), max_size=60)


def _sketch(hashes: list[int]) -> Hashes:
    return np.unique(np.array(hashes, dtype=np.uint32))[:SKETCH_SIZE]


@given(st.lists(_hashes, max_size=4))
def test_few_authors_are_counted_exactly(panes: list[list[int]]) -> None:
    everyone = {author for pane in panes for author in pane}
    without = sum(author & 1 for author in everyone)
    assert distinct(_sketch(pane) for pane in panes) == (len(everyone), without)


def test_many_authors_are_estimated_within_the_stated_error() -> None:
    errors = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        authors = mixed(random.integers(0, 2**32, 20_000, dtype=np.uint32))
        panes = [_sketch(part.tolist()) for part in np.array_split(authors, 30)]
        estimate, _ = distinct(panes)
        errors.append(estimate / len(np.unique(authors)) - 1)
    # 1 / sqrt(k - 2) is 6.3 %: 40 tries leave its mean and its spread little room.
    assert abs(float(np.mean(errors))) < 0.03
    assert 0.03 < float(np.std(errors)) < 0.1


def test_the_order_of_panes_and_repeated_panes_change_nothing() -> None:
    random = np.random.default_rng(7)
    panes = [_sketch(random.integers(0, 2**32, 500, dtype=np.uint32).tolist()) for _ in range(9)]
    assert distinct(panes) == distinct([*reversed(panes), panes[3]])
