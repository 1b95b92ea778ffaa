"""Where the answers of two versions to the same texts of one submit meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from groundswell.records import Analysis
from inference.comparison import Comparison, Met
from inference.routing import Share
from inference.rows import Reader, RowError

_Answers = Sequence[Analysis | RowError]


class Meeting:
    """The texts of one submit at ``positions`` that ``new`` reads, and another version too.

    Each version's answers are brought once; whoever comes second hears of both.
    Not thread-safe.
    """

    def __init__(self, comparison: Comparison, new: Reader, positions: Sequence[int]) -> None:
        self.comparison: Final = comparison
        self._new = new
        self._positions = positions
        self._first: _Answers | None = None

    def bring(self, share: Share, answers: _Answers) -> Met | None:
        """The answers of a share that holds the meeting's texts, and perhaps others."""
        if share.positions is not self._positions:
            at = dict(zip(share.positions, answers, strict=True))
            answers = [at[position] for position in self._positions]
        if self._first is None:
            self._first = answers
            return None
        return Met(answers, self._first) if share.reader is self._new else Met(self._first, answers)


class MetShare(Share):
    """A share whose answers are compared with those of another; it must come back to the router as it went."""

    meeting: Meeting


def compared(meeting: Meeting, reader: Reader, positions: Sequence[int], *, shadow: bool) -> Share:
    """The share that brings its answers to ``meeting``."""
    share = MetShare(reader, positions, shadow)
    share.meeting = meeting
    return share
