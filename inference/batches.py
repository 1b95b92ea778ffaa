"""Which rows go to the device together, and which of them is to blame when it fails.

Pure functions over row numbers; they know nothing of texts or devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence


def plan(lengths: Sequence[int], max_rows: int, max_cells: int) -> Iterator[list[int]]:
    """Cut rows into batches of like length, so that little of a batch is padding.

    A batch costs rows times its longest row. It holds ``max_rows`` rows and ``max_cells``
    cells at most; a row that alone has more than ``max_cells`` is a batch of its own.

    >>> list(plan([9, 1, 1, 9], max_rows=10, max_cells=20))
    [[1, 2], [0, 3]]
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Rows come shortest first: this one is the longest of the batch so far.
        if batch and (len(batch) >= max_rows or (len(batch) + 1) * max(1, lengths[row]) > max_cells):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def bisect(
    rows: Sequence[int],
    run: Callable[[Sequence[int]], None],
    failed: Callable[[int, Exception], None],
    error: type[Exception],
) -> None:
    """Run ``rows``; where that raises ``error``, halve them until each row that fails is alone.

    ``failed`` gets each such row and why. Rows that pass are run once more at most per
    halving; k poison rows among n cost about k · log2(n) runs.
    """
    waiting = [rows] if rows else []
    while waiting:
        part = waiting.pop()
        try:
            run(part)
        except error as reason:
            if len(part) == 1:
                failed(part[0], reason)
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
