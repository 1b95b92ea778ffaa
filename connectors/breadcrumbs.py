"""Which records each worker thread has in hand, readable after the process was killed.

A memory-mapped file a thread: writing one is a copy of some bytes, and what was
written outlives the process (not the machine, which no crash here takes down).
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

_SIZE = 64 * 1024
_HEADER = 4


class InHand(msgspec.Struct, frozen=True):
    """A step and the record ranges ``(stream, partition, first, last)`` it was working on."""

    step: str
    ranges: tuple[tuple[str, int, int, int], ...]


class Breadcrumbs:
    """The trail of one process."""

    def __init__(self, folder: Path, process: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._process = process
        self._lock = threading.Lock()
        # By the system's thread id and not in a threading.local: the engine's threads are not
        # Python's, and each of their calls into Python begins with empty thread-local storage.
        self._trails: dict[int, mmap.mmap] = {}
        self._encoder = msgspec.json.Encoder()
        forget_breadcrumbs(folder, [process])

    def enter(self, step: str, ranges: Iterable[tuple[str, int, int, int]]) -> None:
        """This thread now works on these records; replaces what it noted before."""
        text = self._encoded(step, tuple(ranges))
        trail = self._trail()
        trail[:_HEADER] = bytes(_HEADER)
        trail[_HEADER : _HEADER + len(text)] = text
        trail[:_HEADER] = len(text).to_bytes(_HEADER, "little")

    def leave(self) -> None:
        """This thread is done with what it had in hand."""
        self._trail()[:_HEADER] = bytes(_HEADER)

    def _encoded(self, step: str, ranges: tuple[tuple[str, int, int, int], ...]) -> bytes:
        try:
            text = self._encoder.encode(InHand(step, ranges))
        except UnicodeEncodeError:
            text = b""  # a path may hold bytes that are no text
        return text if 0 < len(text) <= _SIZE - _HEADER else self._encoder.encode(InHand(step, ()))

    def _trail(self) -> mmap.mmap:
        thread = threading.get_native_id()
        trail = self._trails.get(thread)
        if trail is None:
            with self._lock:
                path = self._folder / f"{self._process}-{len(self._trails)}.crumb"
                with path.open("w+b") as file:
                    file.truncate(_SIZE)
                    trail = mmap.mmap(file.fileno(), _SIZE)
                self._trails[thread] = trail
        return trail


def forget_breadcrumbs(folder: Path, processes: Iterable[int]) -> None:
    """Remove what these processes left, or a process that ends before it has read a record would be taken for them."""
    for path in _trails_of(folder, processes):
        path.unlink()


def read_breadcrumbs(folder: Path, processes: Iterable[int]) -> list[InHand]:
    """What every thread of these ended processes had in hand when they ended."""
    found = []
    for path in _trails_of(folder, processes):
        content = path.read_bytes()
        length = int.from_bytes(content[:_HEADER], "little")
        if length:
            try:
                found.append(msgspec.json.decode(content[_HEADER : _HEADER + length], type=InHand))
            except msgspec.DecodeError:
                continue  # killed while it was noting: nothing was in hand yet
    return found


def _trails_of(folder: Path, processes: Iterable[int]) -> list[Path]:
    return [path for process in processes for path in sorted(folder.glob(f"{process}-*.crumb"))]
