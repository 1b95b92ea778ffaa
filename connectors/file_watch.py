"""Which files are there to be read: files, globs and folders, looked at again and again.

A file in a folder may still be growing when it is seen first. It counts as arrived
once two looks some time apart found the same size and time, which an atomic rename
into the folder passes as well. Names that begin with a dot or end in ``.tmp`` or
``.part`` are left alone.
"""

from __future__ import annotations

import errno
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
#: What a file system that answers says of a file or folder that cannot be read; other failures pass.
LASTING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP})


class FoundFile(NamedTuple):
    """A file as it was seen; another size or time makes it another file."""

    path: str
    size: int
    mtime_ns: int


class Look(NamedTuple):
    """What a look found, sorted by path: files to be read, and those that may still be growing.

    ``since`` and ``until`` are when the first and the last of the looks began which found
    out everything, with none in between that did not; ``None`` when the last one did not.
    """

    arrived: tuple[FoundFile, ...]
    growing: tuple[FoundFile, ...]
    since: float | None
    until: float | None


class FileWatch:
    """The files behind ``inputs``; shared by all lanes, thread-safe.

    With ``once``, the first look that finds out everything is the last and takes the
    files as they are. What a file system does not tell is as it was before.
    """

    def __init__(self, inputs: Sequence[str], *, once: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._inputs = list(inputs)
        self._once = once
        self._clock = clock
        self._lock = threading.Lock()
        self._due = float("-inf")
        self._seen: dict[str, tuple[FoundFile, float]] = {}
        self._last = Look((), (), None, None)
        self._troubled = False

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

    def look(self) -> Look:
        """All files that are there; the same object until it was time to look again."""
        now = self._clock()
        if now >= self._due:
            with self._lock:
                if now >= self._due:
                    self._look(now)
        return self._last

    def _look(self, now: float) -> None:
        troubles: list[OSError] = []
        found = {}
        for path in self._paths(troubles):
            try:
                status = Path(path).stat()
            except OSError as error:
                log.warning("%s was seen but cannot be looked at: %s", path, error.strerror)
                troubles.append(error)
                continue
            found[path] = FoundFile(path, status.st_size, status.st_mtime_ns)
        unknown = [trouble for trouble in troubles if trouble.errno not in LASTING]
        known = self._seen
        if unknown:
            if not self._troubled:
                log.warning("not all files could be looked at: %s", unknown[0])
            found = {path: file for path, (file, _) in known.items()} | found
        self._seen = {
            path: known[path] if path in known and known[path][0] == file else (file, now)
            for path, file in found.items()
        }
        self._troubled = bool(unknown)
        settled = now if self._once else now - LOOK_SECONDS
        since = None if unknown else now if self._last.since is None else self._last.since
        self._last = Look(
            tuple(sorted(file for file, at in self._seen.values() if at <= settled)),
            tuple(sorted(file for file, at in self._seen.values() if at > settled)),
            since,
            None if unknown else now,
        )
        took = self._clock() - now
        finished = self._once and not unknown
        self._due = float("inf") if finished else now + max(LOOK_SECONDS, took / _LOOK_SHARE)

    def _paths(self, troubles: list[OSError]) -> list[str]:
        """What the inputs name, each once; what could not be found out goes into ``troubles``."""
        paths: dict[str, None] = {}
        for given in self._inputs:
            try:
                paths.update(dict.fromkeys(_matches(given, troubles.append)))
            except OSError as error:
                troubles.append(error)
        return list(paths)


def _is_pattern(given: str) -> bool:
    return glob.has_magic(given) and not Path(given).exists()


def _matches(given: str, on_error: Callable[[OSError], None] | None = None) -> Iterator[str]:
    """The files behind one input, as paths that begin the way the input does.

    ``on_error`` is told of folders that cannot be listed.
    """
    if _is_pattern(given):
        if on_error is not None:
            _list_root(given, on_error)
        candidates = glob.iglob(given, recursive=True)  # noqa: PTH207 (the pattern may be absolute)
        yield from (path for path in candidates if _is_finished_name(Path(path).name) and Path(path).is_file())
    elif Path(given).is_dir():
        for folder, folders, names in os.walk(given, onerror=on_error):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (os.path.join(folder, name) for name in names if _is_finished_name(name))  # noqa: PTH118
    elif Path(given).exists():
        yield given


def _list_root(pattern: str, on_error: Callable[[OSError], None]) -> None:
    """Tell of a pattern's folder that does not answer, for ``glob`` takes it for an empty one."""
    folders = Path(pattern).parts
    root = Path(*folders[: next(at for at, part in enumerate(folders) if glob.has_magic(part))])
    try:
        os.scandir(root).close()
    except OSError as error:
        on_error(error)


def _is_finished_name(name: str) -> bool:
    return not name.startswith(".") and not name.lower().endswith(_UNFINISHED)
