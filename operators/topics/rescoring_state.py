"""How far a re-reading goes, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import msgspec

from groundswell.candidates import Cursor, Span
from groundswell.topics import Topic

Phase = Literal["first", "nearest", "slices", "whole", "tagged", "scored", "closing", "settled", "over"]

#: What people read.
PHASES: Final[dict[Phase, str]] = {
    "first": "the best candidates",
    "nearest": "the nearest documents",
    "slices": "the nearest documents of each stretch of time",
    "whole": "all documents",
    "tagged": "documents with the tag",
    "scored": "documents scored before",
    "closing": "documents that came in meanwhile",
    "settled": "up to date",
    "over": "over",
}


@dataclass(frozen=True)
class RescoringOptions:
    """How far a re-reading goes.

    ``threshold`` makes a document a member; below ``least_score`` none is given a
    probability. ``first`` documents come at once, out of ``first_nearest``. At most
    ``most_judged`` are read by the cross-encoder, ``judged_at_once`` of them in a step.
    ``tolerated_loss`` is the share of all members that may be missed when the rest are hopeless.
    """

    coverage: Literal["candidates", "all"] = "candidates"
    threshold: float = 0.5
    least_score: float = 0.05
    first: int = 100
    first_nearest: int = 400
    most_judged: int = 2_000
    judged_at_once: int = 128
    tolerated_loss: float = 0.02


class RescoringState(msgspec.Struct, array_like=True):
    """Where a re-reading stands: enough to go on after a crash."""

    topic: Topic
    began: datetime
    anew: bool
    phase: Phase = "first"
    round: int = 0
    spans: list[Span] = []
    cursor: Cursor | None = None
    covered: datetime | None = None
    closing_until: datetime | None = None
    ended: bool = False
    examined: int = 0
    scored: int = 0
    members: int = 0
    judged: int = 0
    expected: int | None = None
