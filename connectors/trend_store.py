"""The contract of every store of windows and trends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from groundswell.trends import TrendEvent, Window

KeepWaiting = Callable[[], bool]


class TrendStore(Protocol):
    """Where the trends engine leaves what it found; used by one thread at a time.

    Writes are absolute and fenced, so that whatever is repeated changes nothing: a window
    holds by ``(generation, revision)`` of its end, an event of a trend by
    ``(generation, at, revision)``. A store takes from a write what it keeps and ignores the
    rest (a topic of events has no use for windows).
    """

    @property
    def name(self) -> str:
        """What it is called in logs and messages."""
        ...

    def prepare(self) -> None:
        """Make what is missing, and find out whether the store can be used at all.

        Raises:
            Unavailable: it does not answer now.
            StopJob: it never will.
            SettingsError: it cannot be used with these settings.
        """
        ...

    def write(self, windows: Sequence[Window], events: Sequence[TrendEvent], keep_waiting: KeepWaiting) -> None:
        """Return once all of it is durable, or superseded by what is; ``events`` in their order.

        Waits out an outage.

        Raises:
            Draining: the store does not answer and ``keep_waiting()`` said to give up.
            StopJob: it never will.
        """
        ...

    def close(self) -> None:
        """Free connections; harmless when called again."""
        ...
