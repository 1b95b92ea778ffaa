"""Which version reads which text: the engine asks a router anew for every submit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from groundswell.records import Analysis
from inference.rows import Reader, RowError, Text


class Share(NamedTuple):
    """Part of a submit for one version: ``positions`` of its texts.

    A ``shadow`` share is read to be compared; its answers are not the submitter's.
    """

    reader: Reader
    positions: Sequence[int]
    shadow: bool = False


class Router(Protocol):
    """Knows the versions that serve. Thread-safe."""

    def route(self, texts: Sequence[Text], tasks: Collection[str]) -> list[Share]:
        """Shares that together serve every text exactly once, shadows apart.

        Raises :class:`~groundswell.errors.ModelError` for tasks that no model answers, or no single one.
        """
        ...

    def observe(self, share: Share, tasks: Collection[str], answers: Sequence[Analysis | RowError]) -> None:
        """Learn what became of a share: one answer a position. Called on the submitter's thread; quick."""
        ...

    def tasks(self) -> frozenset[str]:
        """What can be asked now."""
        ...

    def close(self) -> None:
        """Stop looking for new versions; never raises."""
        ...
