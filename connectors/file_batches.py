"""One file from its first record to its last, cut into batches as a source cuts them, without a flow around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from connectors.file_formats import FileOptions, FileRecords
from connectors.source import BATCH_BYTES, BATCH_RECORDS
from groundswell.records import RawBatch


class FileBatches:
    """The records of a file, whatever it is, as raw batches of the partition ``part``.

    Iterated once. Raises :class:`OSError` when the file cannot be opened.
    """

    def __init__(self, path: Path, options: FileOptions, part: str) -> None:
        self.size = path.stat().st_size
        self._records = FileRecords(path, options)
        self._path = path
        self._part = part

    @property
    def done(self) -> int:
        """Bytes read so far, of ``size``; of a Parquet file none before its end."""
        return self.size if self._records.exhausted else min(self._records.bytes_read, self.size)

    def __iter__(self) -> Iterator[RawBatch]:
        records = self._records
        try:
            while not records.exhausted:
                first = records.position.ordinal
                values = records.take(BATCH_RECORDS, BATCH_BYTES)
                if values:
                    offsets = list(range(first, first + len(values)))
                    yield RawBatch(str(self._path), 0, offsets, values, records.shape, part=self._part)
        finally:
            records.close()
