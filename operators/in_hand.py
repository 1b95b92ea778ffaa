"""Decoding and analysing with a note of what is in hand, so that a crash can be traced to its record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from groundswell import step_ids
from groundswell.records import Batch, RawBatch
from operators.analyse import Analyses
from operators.dead_share import DeadShare
from operators.decode import Decodes
from operators.isolate import Span, decoded_span, span_of


class Marks(Protocol):
    """Where a worker thread notes the records it has in hand."""

    def enter(self, step: str, ranges: Iterable[tuple[str, int, int, int]]) -> None:
        """These records are in hand now, and no others."""

    def leave(self) -> None:
        """Nothing is in hand."""


class TracedDecoder:
    """A decoder that leaves a trail and watches the share of dead letters."""

    def __init__(self, decoder: Decodes, marks: Marks, share: DeadShare | None) -> None:
        self._decoder = decoder
        self._marks = marks
        self._share = share

    def decode(self, batch: RawBatch) -> Batch:
        """Decode; raises ``StopJob`` when too much of the stream is dead."""
        if not batch.offsets:
            return self._decoder.decode(batch)
        self._marks.enter(step_ids.DECODE, [_range(span_of(batch))])
        decoded = self._decoder.decode(batch)
        self._marks.leave()
        if self._share is not None:
            self._share.count(len(decoded.changes) + len(decoded.dead), decoded.dead)
        return decoded


class TracedAnalyser:
    """An analyser that leaves a trail and says when it has finished a piece of work.

    ``one_by_one`` keeps the batches apart while a guilty record is sought.
    """

    def __init__(self, analyser: Analyses, marks: Marks, on_done: Callable[[], None], *, one_by_one: bool) -> None:
        self._analyser = analyser
        self._marks = marks
        self._on_done = on_done
        self._one_by_one = one_by_one

    def analyse_all(self, batches: Sequence[Batch]) -> None:
        """Give every envelope of the batches its document."""
        for together in [[batch] for batch in batches] if self._one_by_one else [batches]:
            spans = [span for span in map(decoded_span, together) if span is not None]
            self._marks.enter(step_ids.ANALYSE, map(_range, spans))
            self._analyser.analyse_all(together)
            self._marks.leave()
            self._on_done()


def _range(span: Span) -> tuple[str, int, int, int]:
    return span.stream, span.partition, span.first, span.last
