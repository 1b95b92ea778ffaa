"""Writing so that a reader, or a machine that loses power, sees all of it or nothing."""

from __future__ import annotations

import os
from pathlib import Path
from threading import get_native_id


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file that is on the disk when this returns; raises :class:`OSError`."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, after a rename in it; raises :class:`OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, content: bytes) -> None:
    """Replace a file, or make it, in one step; on failure the old one stands. Raises :class:`OSError`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{get_native_id()}")
    try:
        write_durably(beside, content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)
