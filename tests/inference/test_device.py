"""Devices and the shapes that a GPU prepares."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.errors import ModelError
from inference.device import GPU_BUCKETS, GPU_TOKENS, Device, shapes, smallest

SIDES = st.integers(1, 600)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"provider": "gpu"}, "no execution provider 'gpu': choose one of cpu, cuda, tensorrt"),
        ({"number": -1}, "0 or more"),
        ({"threads": -1}, "0 or more"),
        ({"shapes": ((0, 16),)}, "1 or more"),
        ({"shapes": ((4, -16),)}, "1 or more"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        Device(**fields)


@given(st.sets(SIDES, min_size=1, max_size=8), st.integers(1, 65_536), st.integers(1, 512), st.integers(1, 4))
def test_every_batch_within_its_limits_has_a_shape(lengths: set[int], tokens: int, rows: int, steps: int) -> None:
    buckets = sorted(lengths)
    known = shapes(buckets, tokens, rows, steps)
    assert len(set(known)) == len(known) <= len(buckets) * steps
    for length in buckets:
        full = max(1, min(rows, tokens // length))
        assert smallest(known, full, length) == (full, length)
        assert smallest(known, full + 1, max(buckets)) is None or full < max(1, min(rows, tokens // max(buckets)))


@given(st.lists(st.tuples(SIDES, SIDES), max_size=12), SIDES, SIDES)
def test_the_cheapest_shape_that_holds_a_batch_is_taken(known: list[tuple[int, int]], rows: int, length: int) -> None:
    found = smallest(known, rows, length)
    cells = [a * b for a, b in known if a >= rows and b >= length]
    assert (found is None) == (not cells)
    if found is not None:
        assert found[0] >= rows
        assert found[1] >= length
        assert found[0] * found[1] == min(cells)


def test_the_built_in_shapes_are_few() -> None:
    assert len(shapes(GPU_BUCKETS, GPU_TOKENS, 512)) == 18
