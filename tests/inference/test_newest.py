"""The ring of the newest lines, against a deque."""

from __future__ import annotations

from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.newest import Newest


@given(st.integers(1, 7), st.lists(st.integers(0, 20), max_size=8))
def test_holds_the_newest_lines_and_no_others(size: int, pushes: list[int]) -> None:
    ring, naive = Newest(size, columns=2), deque[tuple[float, float]](maxlen=size)
    number = 0.0
    for count in pushes:
        lines = [(number + i, -number - i) for i in range(count)]
        number += count
        ring.push(np.array(lines, dtype=np.float32).reshape(count, 2))
        naive.extend(lines)
        assert sorted(map(tuple, ring.values().tolist())) == sorted(naive)
        assert (len(ring), ring.full) == (len(naive), len(naive) == size)


def test_one_column_takes_plain_numbers() -> None:
    ring = Newest(2)
    ring.push(np.array([1, 2, 3], dtype=np.float32))
    assert sorted(ring.values()[:, 0].tolist()) == [2, 3]
