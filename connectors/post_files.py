"""Writes records to a file, one a line, packed as its name says."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast

import zstandard


def write_to_file(records: Iterable[bytes], path: Path) -> int:
    """Write the records to ``path`` (``.gz`` and ``.zst`` pack) and return their number.

    The file appears under its name only when it is whole: a watched folder never sees
    a piece of it. Raises :class:`OSError` when it cannot be written.
    """
    unfinished = path.with_name(path.name + ".part")
    written = 0
    try:
        with _open(unfinished, path.suffix) as out:
            for record in records:
                out.write(record + b"\n")
                written += 1
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return written


def _open(path: Path, suffix: str) -> IO[bytes]:
    match suffix.lower():
        case ".gz":
            return cast("IO[bytes]", gzip.open(path, "wb", compresslevel=6))
        case ".zst" | ".zstd":
            return cast("IO[bytes]", zstandard.open(path, "wb"))
        case _:
            return path.open("wb")
