"""Which files are there to be read: files, globs and folders, looked at again and again.

A file in a folder may still be growing when it is seen first. It counts as arrived
once two looks some time apart found the same size and time, which an atomic rename
into the folder passes as well. Names that begin with a dot or end in ``.tmp`` or
``.part`` are left alone.
"""

from __future__ import annotations

import glob
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from groundswell.errors import SettingsError

log = logging.getLogger(__name__)

#: Seconds between two looks; also how long a file must have stayed the same.
LOOK_SECONDS = 1.0
#: At most this part of the time goes into looking, however large a folder is.
_LOOK_SHARE = 0.05
_UNFINISHED = (".tmp", ".part")


class FoundFile(NamedTuple):
    """A file as it was seen; another size or time makes it another file."""

    path: str
    size: int
    mtime_ns: int


class FileWatch:
    """The files behind ``inputs``; shared by all lanes, thread-safe.

    With ``once``, the first look is the only one and takes the files as they are.
    """

    def __init__(self, inputs: Sequence[str], *, once: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._inputs = list(inputs)
        self._once = once
        self._clock = clock
        self._lock = threading.Lock()
        self._due = float("-inf")
        self._seen: dict[str, tuple[FoundFile, float]] = {}
        self._arrived: tuple[FoundFile, ...] = ()

    def check(self) -> None:
        """Raise :class:`SettingsError` for an input that names nothing that can be read."""
        for given in self._inputs:
            if _is_pattern(given):
                if self._once and not any(_matches(given)):
                    raise SettingsError(f"no file matches {given!r}")
                continue
            path = Path(given)
            if not given or not path.exists():
                raise SettingsError(f"there is no file or folder {given!r}")
            if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
                raise SettingsError(f"no permission to read {given!r}")

    def arrived(self) -> tuple[FoundFile, ...]:
        """All files that are there and finished, sorted by path; looks again when it is time."""
        now = self._clock()
        if now >= self._due:
            with self._lock:
                if now >= self._due:
                    self._look(now)
        return self._arrived

    def _look(self, now: float) -> None:
        found = {}
        for path in dict.fromkeys(path for given in self._inputs for path in _matches(given)):
            try:
                status = Path(path).stat()
            except OSError as error:
                log.warning("%s was seen but cannot be looked at: %s", path, error.strerror)
                continue
            found[path] = FoundFile(path, status.st_size, status.st_mtime_ns)
        known = self._seen
        self._seen = {
            path: known[path] if path in known and known[path][0] == file else (file, now)
            for path, file in found.items()
        }
        settled = now if self._once else now - LOOK_SECONDS
        self._arrived = tuple(sorted(file for file, since in self._seen.values() if since <= settled))
        took = self._clock() - now
        self._due = float("inf") if self._once else now + max(LOOK_SECONDS, took / _LOOK_SHARE)


def _is_pattern(given: str) -> bool:
    return glob.has_magic(given) and not Path(given).exists()


def _matches(given: str) -> Iterator[str]:
    """The files behind one input, as paths that begin the way the input does."""
    if _is_pattern(given):
        candidates = glob.iglob(given, recursive=True)  # noqa: PTH207 (the pattern may be absolute)
        yield from (path for path in candidates if _is_finished_name(Path(path).name) and Path(path).is_file())
    elif Path(given).is_dir():
        for folder, folders, names in os.walk(given):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (os.path.join(folder, name) for name in names if _is_finished_name(name))  # noqa: PTH118
    elif Path(given).exists():
        yield given


def _is_finished_name(name: str) -> bool:
    return not name.startswith(".") and not name.lower().endswith(_UNFINISHED)
