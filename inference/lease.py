"""A lock for writers who share nothing but an object store: an object that one of them makes, for a limited time."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final

import msgspec

from groundswell.errors import Unavailable
from inference.objects import Objects

#: Seconds that a holder may take for one step; afterwards it counts as dead.
TERM: Final = 900.0
#: Seconds that another one waits before it gives up.
PATIENCE: Final = 20.0
_PAUSE: Final = 0.25


class _Claim(msgspec.Struct):
    holder: str
    secret: str
    until: float


class Lease:
    """The object ``path``, held from construction until :meth:`release`.

    Times are seconds since 1970 by this machine's clock: clocks may differ by much less
    than ``term``. A holder who is dead, or too slow to :meth:`keep` it, is taken over from
    after that. An object store cannot promise that the slow one notices in the very
    instant in which it writes; so what it writes last must be such that it does no harm
    (a version's content decides its name, and a manifest is never replaced).

    Raises :class:`Unavailable` when another one holds it for longer than ``patience``
    seconds, or when the store does not answer.
    """

    def __init__(
        self,
        objects: Objects,
        path: str,
        *,
        term: float = TERM,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._objects = objects
        self._path = path
        self._term = term
        self._clock = clock
        self._holder = f"{socket.gethostname()}, process {os.getpid()}"
        self._secret = secrets.token_hex(8)
        self._since = clock()
        until = self._since + patience
        while (other := self._take()) is not None:
            if clock() >= until:
                raise Unavailable(
                    f"{objects.url}/{path}",
                    f"another publisher is at work ({other}): wait for it; if it is dead, remove that object",
                )
            sleep(_PAUSE)

    def keep(self) -> None:
        """Begin a new term where a third of this one is over; raises as :meth:`renew`."""
        if self._clock() - self._since > self._term / 3:
            self.renew()

    def renew(self) -> None:
        """Begin a new term; raises :class:`Unavailable` where another one has taken over."""
        found = self._found()
        if found is None or found.secret != self._secret:
            raise Unavailable(f"{self._objects.url}/{self._path}", "this publisher was too slow: another took over")
        self._objects.write(self._path, self._claim())

    def release(self) -> None:
        """Let go; whoever else has taken over by now keeps it."""
        found = self._found()
        if found is not None and found.secret == self._secret:
            self._objects.remove(self._path)

    def _take(self) -> str | None:
        """None when it is ours, else who holds it."""
        try:
            self._objects.create(self._path, self._claim())
        except FileExistsError:
            found = self._found()
            if found is None:
                return "it has just gone"
            if found.until > self._clock():
                return found.holder
            self._objects.write(self._path, self._claim())
        # Two may have written at once; the last one has it.
        found = self._found()
        return None if found is not None and found.secret == self._secret else "it began at the same moment"

    def _found(self) -> _Claim | None:
        try:
            return msgspec.json.decode(self._objects.read(self._path), type=_Claim)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            # Half written by one who died: nobody holds it.
            return _Claim("", "", 0.0)

    def _claim(self) -> bytes:
        self._since = self._clock()
        return msgspec.json.encode(_Claim(self._holder, self._secret, self._since + self._term))
