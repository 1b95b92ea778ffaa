"""The canary: a candidate serves a share of the texts, and the champion reads the same to be compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Final

from groundswell.metrics import CANARY_AGREEMENT, CANARY_ERRORS, CANARY_ROWS, CANARY_SHIFT
from inference.comparison import Comparison, Fault, Met
from inference.loaded import Loaded
from inference.meeting import Meeting, compared
from inference.routing import Share
from inference.rows import RowError, Text

#: The figures are shown anew whenever this part of the window is new.
_STEPS: Final = 20


class Sample:
    """A share of all texts, chosen by hash: whether a text belongs to it depends on text and ``salt`` alone."""

    def __init__(self, salt: str, share: float) -> None:
        self._salted = blake2b(salt.encode(), digest_size=8)
        self._below = round(share * 2**64)

    def __contains__(self, text: Text) -> bool:
        hashed = self._salted.copy()
        whole = text if isinstance(text, str) else "\x00".join(text)
        hashed.update(whole.encode("utf-8", "surrogatepass"))
        return int.from_bytes(hashed.digest(), "little") < self._below

    def positions(self, texts: Sequence[Text], among: Sequence[int]) -> list[int]:
        """Those ``among`` the positions whose texts belong to it; about a microsecond each."""
        return [position for position in among if texts[position] in self]


class Canary:
    """``candidate`` beside ``champion``, on ``share`` of the texts, compared over the newest ``rows`` of them."""

    def __init__(self, candidate: Loaded, champion: Loaded, share: float, rows: int) -> None:
        self.candidate: Final = candidate
        self.comparison: Final = Comparison(candidate.codings, champion.codings, rows)
        self._champion = champion
        self._sample = Sample(candidate.ref.version, share)
        self._step = max(1, rows // _STEPS)
        self._unshown = 0
        self._over = False

    def part(self, texts: Sequence[Text], among: Sequence[int]) -> tuple[list[Share], Sequence[int]]:
        """The candidate's share with its shadow, and the positions that remain the champion's."""
        taken = self._sample.positions(texts, among)
        if not taken:
            return [], among
        meeting = Meeting(self.comparison, self.candidate.reader, taken)
        shares = [
            compared(meeting, self.candidate.reader, taken, shadow=False),
            compared(meeting, self._champion.reader, taken, shadow=True),
        ]
        left = set(taken)
        return shares, [position for position in among if position not in left]

    def add(self, tasks: Collection[str], met: Met) -> Fault | None:
        """Take in what both said; says why the candidate loses its share, where it fails on many more texts.

        It is said once. Not thread-safe.
        """
        if self._over:
            return None
        name = self.candidate.ref.name
        CANARY_ROWS.labels(name).inc(len(met.new))
        CANARY_ERRORS.labels(name).inc(sum(type(answer) is RowError for answer in met.new))
        failing = self.comparison.add(tasks, met)
        self._over = failing is not None
        self._unshown += len(met.new)
        if self._unshown >= self._step:
            self._unshown = 0
            for task in self.comparison.tasks:
                figures = self.comparison.figures(task)
                if figures is not None:
                    CANARY_AGREEMENT.labels(name, task).set(figures.agreement)
                    CANARY_SHIFT.labels(name, task).set(figures.shift)
        return failing

    def hide(self) -> None:
        """Show no figures any more."""
        for task in self.comparison.tasks:
            CANARY_AGREEMENT.remove(self.candidate.ref.name, task)
            CANARY_SHIFT.remove(self.candidate.ref.name, task)
