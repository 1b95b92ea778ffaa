"""What a job process tells its supervisor, one JSON line each."""

from __future__ import annotations

import msgspec


class Totals(msgspec.Struct):
    """Counts since the process started.

    ``read`` counts posts after unfolding plus records that could not be decoded, so
    ``read = documents + duplicates + dead`` once everything in hand is written. ``scores``
    are probabilities given to documents that were there.
    """

    read: int = 0
    documents: int = 0
    duplicates: int = 0
    deleted: int = 0
    dead: dict[str, int] = {}
    skipped: dict[str, int] = {}
    retries: int = 0
    scores: int = 0

    def plus(self, other: Totals) -> Totals:
        """The sum, for several processes."""
        return Totals(
            self.read + other.read,
            self.documents + other.documents,
            self.duplicates + other.duplicates,
            self.deleted + other.deleted,
            _added(self.dead, other.dead),
            _added(self.skipped, other.skipped),
            self.retries + other.retries,
            self.scores + other.scores,
        )


def _added(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {key: left.get(key, 0) + right.get(key, 0) for key in (*left, *(right.keys() - left.keys()))}


class Status(msgspec.Struct, tag="status"):
    """Sent about twice a second while the process runs.

    ``done`` and ``left`` are the work read and still to read up to the end of the
    sources, in the sources' own units (records or bytes), for a progress bar. ``models``
    are those that read posts now, as ``name@version``, on ``provider``, with embeddings in
    ``embedding_space`` where they give any.
    """

    totals: Totals
    epochs: int
    lag: int
    waits: dict[str, str]
    done: int = 0
    left: int = 0
    models: tuple[str, ...] = ()
    provider: str = ""
    embedding_space: str | None = None


class Ended(msgspec.Struct, tag="ended"):
    """Sent once: ``how`` the process ended and why."""

    how: str
    reason: str
    totals: Totals


FINISHED = "finished"
DRAINED = "drained"
STOPPED = "stopped"
CRASHED = "crashed"
REFUSED = "refused"

Report = Status | Ended
