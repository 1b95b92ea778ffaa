"""How engines that share a device tell each other that live rows wait.

A small file, mapped by every engine of the device, with a slot for each. A live engine
writes into its own slot until when it claims the device; an engine with backfill to run
looks at the slots of the others. A claim runs out by itself, so the file needs no tidying
after a process that was killed.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from groundswell.errors import ModelError

#: Engines of one device that can speak at the same time.
SLOTS: Final = 64
#: Longest claim that is believed, in seconds: what is beyond was written by a clock that has since started anew.
LONGEST: Final = 5.0

#: Whose slot it is (0: nobody's), when it was written, until when it claims the device, and how long live rows of
#: late had waited. Times are seconds of the machine's monotonic clock, which all its processes share.
_SLOT = np.dtype([("owner", "<u8"), ("stamp", "<f8"), ("until", "<f8"), ("wait", "<f8")])


class Claim(NamedTuple):
    """What another engine says: live rows have the device ``until`` then; of late they ``wait``-ed so many seconds."""

    until: float
    wait: float


class LiveLatency:
    """This engine's slot, and the sight of all others; threads may share one.

    Every value is one aligned word that only the owner of the slot writes, so readers need
    no lock. Engines of different machines must not share the file. Raises
    :class:`ModelError` when the file cannot be mapped.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._owner = int.from_bytes(os.urandom(8), "little") | 1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(self._file, 0, SLOTS * _SLOT.itemsize)
                self._map = mmap.mmap(self._file, SLOTS * _SLOT.itemsize)
            except BaseException:
                os.close(self._file)
                raise
        except OSError as error:
            raise ModelError(f"{path} cannot be shared ({error.strerror}): set models.live_latency") from error
        self._slots = np.frombuffer(self._map, dtype=_SLOT)
        self._own: int | None = None

    def claim(self, until: float, wait: float) -> None:
        """Say that live rows have the device until then (the past: no longer) and how long they ``wait`` of late."""
        now = self._clock()
        if self._own is None or self._slots["owner"][self._own] != self._owner:
            self._own = self._free(now)
            if self._own is None:
                return
        slot = self._slots[self._own : self._own + 1]
        slot["wait"] = wait
        slot["until"] = min(until, now + LONGEST)
        slot["stamp"] = now

    def others(self) -> list[Claim]:
        """The claims of other engines that hold now."""
        now = self._clock()
        slots = self._slots
        holds = (slots["until"] > now) & (slots["until"] <= now + LONGEST) & (slots["owner"] != self._owner)
        return [Claim(float(slots["until"][place]), float(slots["wait"][place])) for place in np.flatnonzero(holds)]

    def close(self) -> None:
        """Take the claim back; closing twice is harmless."""
        if self._file < 0:
            return
        if self._own is not None and self._slots["owner"][self._own] == self._owner:
            self._slots["until"][self._own] = 0.0
            self._slots["owner"][self._own] = 0
        del self._slots
        self._map.close()
        os.close(self._file)
        self._file = -1

    def _free(self, now: float) -> int | None:
        """A slot that is nobody's, or the longest silent one that claims nothing; marked as this engine's."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            slots = self._slots
            idle = np.flatnonzero((slots["until"] <= now) | (slots["until"] > now + LONGEST))
            if not len(idle):
                return None
            # A stamp of the future is of a clock before the last start of the machine.
            silence = np.where(slots["owner"] == 0, np.inf, np.abs(now - slots["stamp"]))
            place = int(idle[np.argmax(silence[idle])])
            slots["owner"][place] = self._owner
            return place
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
