"""Which version reads which text: the engine asks a router anew for every submit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from groundswell.errors import ModelError
from groundswell.metrics import MODEL_INFO
from groundswell.records import Analysis
from inference.rows import Reader, RowError, Text


class Share(NamedTuple):
    """Part of a submit for one version: ``positions`` of its texts.

    A ``shadow`` share is read to be compared; its answers are the submitter's only where
    the version that serves a text failed on it.
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


class FixedRouter:
    """Serves the same readers for ever: for tools, measurements and tests.

    Tasks go to the first reader that answers them all. Each reader is named by the metric
    of the models in use until :meth:`close`.
    """

    def __init__(self, *readers: Reader) -> None:
        self._readers = readers
        for reader in readers:
            MODEL_INFO.labels(*_info(reader)).set(1)

    def route(self, texts: Sequence[Text], tasks: Collection[str]) -> list[Share]:
        """All texts to one reader; raises :class:`ModelError` where none answers all tasks."""
        for reader in self._readers:
            if reader.tasks.issuperset(tasks):
                return [Share(reader, range(len(texts)))]
        known = "; ".join(f"{reader.ref.name}: {', '.join(sorted(reader.tasks))}" for reader in self._readers)
        raise ModelError(f"no model answers {', '.join(tasks)} together (there: {known or 'no model'})")

    def observe(self, share: Share, tasks: Collection[str], answers: Sequence[Analysis | RowError]) -> None:
        """Nothing follows from answers."""

    def tasks(self) -> frozenset[str]:
        """What any of the readers answers."""
        return frozenset().union(*(reader.tasks for reader in self._readers))

    def close(self) -> None:
        """The readers are no longer in use; closing twice is harmless."""
        for reader in self._readers:
            with suppress(KeyError):
                MODEL_INFO.remove(*_info(reader))


def _info(reader: Reader) -> tuple[str, str, str]:
    return reader.ref.name, reader.ref.version, reader.provider
