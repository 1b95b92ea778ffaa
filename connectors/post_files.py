"""Writes records to a file, one a line, packed as its name says."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import zstandard


class RecordFile:
    """A file that is written record by record, as a context manager (``.gz`` and ``.zst`` pack).

    It appears under its name only when it is whole: a watched folder never sees a piece
    of it, and what ends in an exception leaves nothing. What is there and is no plain
    file (a pipe, a device) is written to directly. Raises :class:`OSError` when the file
    cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path if path.exists() and not path.is_file() else path.with_name(path.name + ".part")
        self._out = _open(self._unfinished, path.suffix)

    def write(self, record: bytes) -> None:
        """Add one record."""
        self._out.write(record + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._out.close()
            if kind is None and self._unfinished != self._path:
                self._unfinished.replace(self._path)
        finally:
            if self._unfinished != self._path:
                self._unfinished.unlink(missing_ok=True)


def write_to_file(records: Iterable[bytes], path: Path) -> int:
    """Write the records to ``path`` as a :class:`RecordFile` and return their number.

    Raises :class:`OSError` when it cannot be written.
    """
    written = 0
    with RecordFile(path) as out:
        for record in records:
            out.write(record)
            written += 1
    return written


def _open(path: Path, suffix: str) -> IO[bytes]:
    match suffix.lower():
        case ".gz":
            return cast("IO[bytes]", gzip.open(path, "wb", compresslevel=6))
        case ".zst" | ".zstd":
            return cast("IO[bytes]", zstandard.open(path, "wb"))
        case _:
            return path.open("wb")
