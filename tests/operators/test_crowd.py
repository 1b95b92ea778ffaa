"""A crowd and a ring of accounts, told apart by how often authors come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.crowd import is_crowd


@pytest.mark.parametrize("ring", [2, 20, 60])
@pytest.mark.parametrize("count", [15, 24, 50, 100, 500, 6_000])
def test_a_ring_is_hardly_ever_taken_for_a_crowd(ring: int, count: int) -> None:
    posts = np.random.default_rng(5).integers(0, ring, (400, count))
    taken = sum(is_crowd(count, len(np.unique(row)), 60) for row in posts)
    assert taken <= 400 * 0.015


@pytest.mark.parametrize(("count", "authors"), [(24, 24), (50, 40), (100, 60), (1_000, 300)])
def test_people_are_a_crowd(count: int, authors: int) -> None:
    assert is_crowd(count, authors, 60)


def test_few_posts_prove_nothing() -> None:
    assert not any(is_crowd(count, count, 60) for count in range(24))


@given(st.integers(1, 5_000), st.integers(1, 300), st.integers(1, 300))
def test_more_authors_are_never_less_of_a_crowd(count: int, authors: int, ring: int) -> None:
    assert not is_crowd(count, authors, ring) or is_crowd(count, authors + 1, ring)
    assert not is_crowd(count, authors, ring + 1) or is_crowd(count, authors, ring)
