"""Folders that appear whole or not at all: one writer at a time, and a place beside to write in."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PREFIX: Final = ".staging-"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder, which is made where it is not there; whoever else wants it waits, and a killed holder lets go.

    Raises :class:`OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _hold(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A new hidden folder inside ``folder``, to be renamed when it is whole; what is left of it goes at the end.

    What killed processes left behind goes first: nobody holds it. Raises :class:`OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_PREFIX}*"):
        _sweep(left)
    fresh, descriptor = _fresh(folder)
    try:
        fresh.chmod(0o755)
        yield fresh
    finally:
        os.close(descriptor)
        shutil.rmtree(fresh, ignore_errors=True)


def put_away(folder: Path) -> None:
    """Remove a folder so that nobody sees it half removed; raises :class:`OSError`."""
    hidden = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder.parent))
    folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _fresh(folder: Path) -> tuple[Path, int]:
    while True:
        fresh = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        try:
            descriptor = _hold(fresh, fcntl.LOCK_EX)
        except FileNotFoundError:
            continue  # swept before it was held
        if fresh.exists():
            return fresh, descriptor
        os.close(descriptor)


def _sweep(left: Path) -> None:
    try:
        descriptor = _hold(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return  # its writer is at work, or has just renamed it
    try:
        shutil.rmtree(left, ignore_errors=True)
    finally:
        os.close(descriptor)


def _hold(folder: Path, how: int) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
