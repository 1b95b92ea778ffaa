"""How far a run has come that ends by itself."""

from __future__ import annotations

from groundswell import metrics


class Progress:
    """Records done and left, measured from the metrics of this process.

    A partition knows the records behind it. Of a file only the bytes are known: they
    count as records at the rate of those read so far.

    >>> estimate(done_records=100, done_bytes=5_000, left_bytes=15_000)
    300
    """

    def __init__(self) -> None:
        self._most_bytes_left = 0

    def measure(self) -> tuple[int, int]:
        """Records read, and records still to read."""
        left_bytes = metrics.file_bytes_left()
        self._most_bytes_left = max(self._most_bytes_left, left_bytes)
        from_files = metrics.records_in("files")
        done = sum(map(metrics.records_in, metrics.SOURCES))
        left = metrics.lag() + estimate(from_files, self._most_bytes_left - left_bytes, left_bytes)
        return done, left


def estimate(done_records: int, done_bytes: int, left_bytes: int) -> int:
    """Records in ``left_bytes``, when ``done_bytes`` held ``done_records``."""
    return round(done_records * left_bytes / done_bytes) if done_bytes else 0
