"""The contract of every store of dead letters: records that cannot become documents.

A letter's identity is its origin's key, so a record that fails again after a restart
or a replay is the same letter, and counts are distinct by key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from connectors.document_store import Answer
from groundswell.records import DeadLetter

KeepWaiting = Callable[[], bool]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters are meant: those that fit everything given; all when nothing is."""

    keys: frozenset[str] | None = None
    cause: str | None = None
    step: str | None = None

    def fits(self, key: str, cause: str, step: str) -> bool:
        """Whether the letter with this key, cause and step is meant."""
        return (
            (self.keys is None or key in self.keys)
            and (self.cause is None or cause == self.cause)
            and (self.step is None or step == self.step)
        )


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did: letters sent round again, and letters left because their bytes are not whole."""

    sent: int
    truncated: int = 0


class DeadLetterStore(Protocol):
    """Where dead letters lie. Thread-safe.

    Everything but :meth:`put` raises :class:`~groundswell.errors.Unavailable` when the
    store does not answer; everything raises :class:`~groundswell.errors.StopJob` when
    it never will.
    """

    def prepare(self) -> None:
        """Make the topic or the table; harmless when it is there."""
        ...

    def ping(self) -> Answer:
        """Ask for the version."""
        ...

    def put(self, letters: Sequence[DeadLetter], keep_waiting: KeepWaiting) -> None:
        """Return once the letters are durable; one with a known key replaces the old one.

        Waits out an outage; raises :class:`~groundswell.errors.Draining` once
        ``keep_waiting()`` is false while the store does not answer.
        """
        ...

    def list(self, selection: Selection, limit: int) -> Sequence[DeadLetter]:
        """At most ``limit`` letters."""
        ...

    def counts(self) -> dict[str, int]:
        """Letters by cause, the most frequent first."""
        ...

    def show(self, key: str) -> DeadLetter | None:
        """The letter with this key."""
        ...

    def replay(self, selection: Selection) -> Replayed:
        """Send letters round again under their first origin.

        A letter whose record is then stored is gone; one that fails again is here again.
        """
        ...

    def close(self) -> None:
        """Free connections."""
        ...
