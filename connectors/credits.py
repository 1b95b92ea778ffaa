"""Credits: the bound on how far the sources of a process read ahead of its sinks.

The engine itself bounds reading ahead by nothing but the epoch. A source takes
credits for every batch it emits, the sink gives them back once the batch is handed
over, and a source that finds them exhausted emits nothing.
"""

from __future__ import annotations

import threading

from groundswell import metrics


class Credits:
    """Records and bytes in flight between the sources and the sinks of one process.

    ``acquire`` never refuses: what is used may exceed a limit by one batch for each
    partition. Thread-safe.

    >>> credits = Credits(max_records=1000, max_bytes=1_000_000)
    >>> credits.acquire(records=1000, size=5000)
    >>> credits.exhausted
    True
    >>> credits.release(records=1000, size=5000)
    >>> credits.exhausted
    False
    """

    def __init__(self, max_records: int, max_bytes: int) -> None:
        if max_records < 1 or max_bytes < 1:
            raise ValueError("credits need room for at least one record and one byte")
        self.max_records = max_records
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._records = 0
        self._bytes = 0

    def acquire(self, records: int, size: int) -> None:
        """Take credits for an emitted batch of ``records`` records and ``size`` bytes."""
        self._add(records, size)

    def release(self, records: int, size: int) -> None:
        """Give back what one batch took, once it has been handed over."""
        self._add(-records, -size)

    @property
    def exhausted(self) -> bool:
        """Whether sources must not emit now."""
        return self._records >= self.max_records or self._bytes >= self.max_bytes

    @property
    def used(self) -> tuple[int, int]:
        """Records and bytes in flight."""
        with self._lock:
            return self._records, self._bytes

    def _add(self, records: int, size: int) -> None:
        with self._lock:
            self._records += records
            self._bytes += size
            metrics.CREDITS_USED.set(self._records)
