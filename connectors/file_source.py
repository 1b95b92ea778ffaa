"""Posts from files and watched folders, each file run once, also across restarts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict
from zlib import crc32

from connectors.credits import Credits
from connectors.file_bytes import is_ascii_superset
from connectors.file_formats import FileOptions, FileRecords, Position, unreadable
from connectors.file_watch import LASTING, FileWatch, FoundFile, Look
from connectors.idleness import Emptiness
from connectors.json_values import Mark
from connectors.source import (
    BATCH_BYTES,
    BATCH_RECORDS,
    LONGEST_PAUSE,
    BatchGate,
    EndOfInput,
    PostPartition,
    StopFlag,
)
from groundswell import metrics
from groundswell.errors import SettingsError
from groundswell.records import RawBatch
from groundswell.waits import Waits

log = logging.getLogger(__name__)

#: The name of the dependency while a file system does not answer.
FILES = "files"


class LaneState(TypedDict):
    """What recovery keeps of a lane; plain values only.

    ``done`` maps the path of a finished file to its size and time, ``current`` is the
    file at hand with its size, time and :class:`~connectors.file_formats.Position`.
    """

    done: dict[str, tuple[int, int]]
    current: tuple[str, int, int, tuple[int, tuple[int, bool, int]]] | None


class FileSource:
    """Files, globs and folders, spread over ``lanes`` partitions by the CRC of their paths.

    ``until_end`` reads what is there and ends; otherwise folders and globs are watched,
    and a file that has changed since it was read is read again. ``options`` holds what
    is known of the files. Raises :class:`SettingsError` for an input that is not there,
    or an encoding that is not known.
    """

    name = FILES

    def __init__(
        self,
        inputs: Sequence[str],
        credits: Credits,  # noqa: A002 (their proper name)
        stop: StopFlag,
        waits: Waits,
        *,
        lanes: int = 4,
        until_end: bool = False,
        options: FileOptions = FileOptions(),  # noqa: B008 (immutable)
        watch: FileWatch | None = None,
    ) -> None:
        try:
            is_ascii_superset(options.encoding)
        except LookupError as error:
            raise SettingsError(f"unknown encoding {options.encoding!r}") from error
        self._credits = credits
        self._stop = stop
        self._waits = waits
        self._lanes = lanes
        self._until_end = until_end
        self._options = options
        self._watch = watch or FileWatch(inputs, once=until_end)
        self._watch.check()

    def partitions(self) -> list[str]:
        """One for each lane: ``00``, ``01`` and so on."""
        return [f"{lane:02d}" for lane in range(self._lanes)]

    def open(self, partition: str, resume_state: Any | None) -> FileLane:
        lane = int(partition)
        return FileLane(
            resume_state,
            _LaneFiles(self._watch, lane, self._lanes),
            BatchGate(self.name, self._credits, self._stop),
            self._options,
            self._waits,
            until_end=self._until_end,
        )


class _LaneFiles:
    """The files of one lane among all that are watched."""

    def __init__(self, watch: FileWatch, lane: int, lanes: int) -> None:
        self._watch = watch
        self.lane = lane
        self._lanes = lanes
        self._look: Look | None = None
        self._arrived: list[FoundFile] = []
        self._growing = False

    def arrived(self) -> list[FoundFile]:
        """The files to be read; the same object until there was another look."""
        look = self._watch.look()
        if look is not self._look:
            self._look = look
            self._arrived = self._mine(look.arrived)
            self._growing = bool(self._mine(look.growing))
        return self._arrived

    @property
    def complete(self) -> bool:
        """Whether the last look found out everything."""
        return self._look is not None and self._look.until is not None

    def emptiness(self) -> Emptiness | None:
        """What the looks say, provided that all files which have arrived are read."""
        look = self._look
        if look is None or look.since is None or look.until is None or self._growing:
            return None
        return Emptiness(look.since, look.until)

    def _mine(self, files: Sequence[FoundFile]) -> list[FoundFile]:
        return [file for file in files if lane_of(file.path, self._lanes) == self.lane]


def lane_of(path: str, lanes: int) -> int:
    """The lane that reads a file; it must stay the same for the life of the recovery store."""
    return crc32(path.encode("utf-8", "surrogateescape")) % lanes


class FileLane(PostPartition[LaneState]):
    """Reads its files one after another, in the order of their paths."""

    def __init__(
        self,
        resume_state: LaneState | None,
        files: _LaneFiles,
        gate: BatchGate,
        options: FileOptions,
        waits: Waits,
        *,
        until_end: bool,
    ) -> None:
        self._files = files
        self._gate = gate
        self._options = options
        self._waits = waits
        self._until_end = until_end
        self._done: dict[str, tuple[int, int]] = {}
        self._current: FoundFile | None = None
        self._position = Position()
        self._reader: FileRecords | None = None
        self._waiting = False
        if resume_state is not None:
            self._done = dict(resume_state["done"])
            if resume_state["current"] is not None:
                path, size, mtime_ns, (ordinal, mark) = resume_state["current"]
                self._current = FoundFile(path, size, mtime_ns)
                self._position = Position(ordinal, Mark(*mark))
        #: What snapshots share; made anew after a file was finished, never changed.
        self._done_snapshot: dict[str, tuple[int, int]] | None = None
        self._listed: list[FoundFile] = []
        self._next = 0
        #: Bytes of the listed files after the present one.
        self._bytes_behind = 0
        self._bytes_left = metrics.FILE_BYTES_LEFT.labels(str(files.lane))

    def next_batch(self) -> list[RawBatch]:
        if self._gate.closed():
            return []
        if self._current is None:
            self._current = self._next_file()
        if self._current is None:
            if self._until_end and self._files.complete:
                raise EndOfInput
            self._gate.pause(LONGEST_PAUSE)
            return []
        try:
            read = self._read(self._current)
            self._report()
            return self._gate.emit(read)
        except OSError as error:
            return self._gate.emit(self._failed(self._current, error))

    def next_awake(self) -> datetime | None:
        return self._gate.awake

    def emptiness(self, now: float) -> Emptiness | None:  # noqa: ARG002 (what is known is as old as the look)
        """Known from the last look at all files: each of this lane is read, and none is still growing."""
        if self._current is not None or self._next < len(self._listed):
            return None
        return self._files.emptiness()

    def snapshot(self) -> LaneState:
        if self._done_snapshot is None:
            self._done_snapshot = dict(self._done)
        if self._current is None:
            return {"done": self._done_snapshot, "current": None}
        ordinal, (offset, nested, parts) = self._position
        return {"done": self._done_snapshot, "current": (*self._current, (ordinal, (offset, nested, parts)))}

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _next_file(self) -> FoundFile | None:
        arrived = self._files.arrived()
        if arrived is not self._listed:
            self._listed, self._next = arrived, 0
            self._forget_gone(arrived)
            self._bytes_behind = sum(file.size for file in arrived if self._is_new(file))
        while self._next < len(arrived):
            file = arrived[self._next]
            self._next += 1
            if self._is_new(file):
                self._position = Position()
                self._bytes_behind -= file.size
                return file
        return None

    def _is_new(self, file: FoundFile) -> bool:
        return self._done.get(file.path) != (file.size, file.mtime_ns)

    def _report(self) -> None:
        left = self._bytes_behind
        if self._current is not None and self._reader is not None:
            left += max(0, self._current.size - self._reader.bytes_read)
        self._bytes_left.set(left)

    def _forget_gone(self, arrived: list[FoundFile]) -> None:
        """Files that are gone need not be remembered for ever."""
        if len(self._done) > 2 * len(arrived) + 1000:
            paths = {file.path for file in arrived}
            self._done = {path: stamp for path, stamp in self._done.items() if path in paths}
            self._done_snapshot = None

    def _read(self, file: FoundFile) -> RawBatch | None:
        if self._reader is None:
            if self._has_changed(file):
                self._current = None
                return None
            self._reader = FileRecords(Path(file.path), self._options, self._position)
        first = self._position.ordinal
        values = self._reader.take(BATCH_RECORDS, BATCH_BYTES)
        self._position = self._reader.position
        shape = self._reader.shape
        if self._waiting:
            self._waiting = False
            self._waits.end(FILES, file.path)
        if self._reader.exhausted:
            self._finish(file)
        return RawBatch(file.path, 0, list(range(first, first + len(values))), values, shape)

    def _has_changed(self, file: FoundFile) -> bool:
        """Whether the stored position was taken in another state of the file, and so means nothing."""
        if self._position == Position():
            return False
        status = Path(file.path).stat()
        changed = (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns)
        if changed:
            log.warning("%s has changed since record %d was read; reading it anew", file.path, self._position.ordinal)
        return changed

    def _finish(self, file: FoundFile) -> None:
        self.close()
        self._done[file.path] = (file.size, file.mtime_ns)
        self._done_snapshot = None
        self._current = None
        log.info("%s: %d records read", file.path, self._position.ordinal)

    def _failed(self, file: FoundFile, error: OSError) -> RawBatch | None:
        self.close()
        reason = error.strerror or str(error)
        if error.errno not in LASTING:
            if not self._waiting:
                log.warning("%s cannot be read now: %s", file.path, reason)
            self._waiting = True
            self._waits.begin(FILES, f"{file.path}: {reason}", file.path)
            self._gate.pause(LONGEST_PAUSE)
            return None
        log.error("%s cannot be read: %s", file.path, reason)
        ordinal = self._position.ordinal
        self._position = Position(ordinal + 1)
        self._finish(file)
        return RawBatch(file.path, 0, [ordinal], [unreadable(f"{file.path}: {reason}")])
