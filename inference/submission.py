"""What one submit has before the device: its chunks of encoded texts, and their answers as they come."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np

from groundswell.metrics import INFERENCE_ERRORS, INFERENCE_ROWS, INFERENCE_TRUNCATED
from groundswell.records import Analysis
from inference.limits import Lane
from inference.routing import Share
from inference.rows import CANCELLED, Encoded, Outputs, Reader, Row, RowError

#: Seconds between two looks at whether a submit was cancelled.
CANCEL_POLL: Final = 0.05

_CANCELLED: Final = RowError(CANCELLED, "the submit was cancelled")


class Flag(Protocol):
    """Whether a submit is no longer wanted, as :class:`threading.Event` tells it."""

    def is_set(self) -> bool: ...


class Cancelled(Exception):
    """The submit is no longer wanted."""


class Group(NamedTuple):
    """Rows that may share a batch: what the device runs, and what is fetched from it."""

    reader: Reader
    outputs: tuple[str, ...]


class _Part(NamedTuple):
    """Lines ``places`` of a batch's outputs are the chunk's rows ``indexes``."""

    outputs: Outputs
    places: list[int]
    indexes: list[int]


class Chunk:
    """Encoded texts of one share on their way over the device; ``since`` is when their turn came, in seconds."""

    def __init__(self, submission: Submission, group: Group, encoded: Sequence[Encoded], since: float) -> None:
        self.submission: Final = submission
        self.group: Final = group
        self.since: Final = since
        self.rows: Final[list[Row]] = [row for text in encoded for row in text.rows]
        #: Rows that were queued, and rows that have no answer.
        self.offered = 0
        self.left = len(self.rows)
        self._encoded = encoded
        self._parts: list[_Part] = []
        self._errors: dict[int, RowError] = {}

    def arrived(self, outputs: Outputs, places: list[int], indexes: list[int]) -> bool:
        """Some rows have their outputs; whether it was the last of the chunk."""
        self._parts.append(_Part(outputs, places, indexes))
        self.left -= len(indexes)
        return not self.left

    def failed(self, index: int, error: RowError) -> bool:
        """A row broke the device; whether it was the last of the chunk."""
        self._errors[index] = error
        self.left -= 1
        return not self.left

    def answers(self, tasks: Collection[str]) -> list[Analysis | RowError]:
        """One answer a text; every row must have arrived or failed."""
        analyse = self.group.reader.analyse
        if not self._errors:
            return analyse(self._encoded, self._outputs(range(len(self.rows))), tasks)
        found: list[Analysis | RowError | None] = []
        sound: list[Encoded] = []
        kept: list[int] = []
        start = 0
        for text in self._encoded:
            rows = range(start, start + len(text.rows))
            start = rows.stop
            error = next((self._errors[row] for row in rows if row in self._errors), None)
            found.append(error)
            if error is None:
                sound.append(text)
                kept += rows
        read = iter(analyse(sound, self._outputs(kept), tasks) if sound else ())
        return [next(read) if answer is None else answer for answer in found]

    def _outputs(self, rows: Sequence[int]) -> Outputs:
        """The outputs of these rows, in their order."""
        if len(self._parts) == 1 and self._parts[0].indexes == list(rows):
            part = self._parts[0]
            return {name: part.outputs[name][part.places] for name in self.group.outputs}
        gathered = {}
        for name in self.group.outputs:
            columns = self._parts[0].outputs[name].shape[1:]
            whole = np.empty((len(self.rows), *columns), dtype=np.float32)
            for part in self._parts:
                whole[part.indexes] = part.outputs[name][part.places]
            gathered[name] = whole if len(rows) == len(self.rows) else whole[rows]
        return gathered


class Submission:
    """One submit: who waits, for which chunks, and whether they are still wanted.

    ``pending`` are the chunks without answers, in order; ``ready`` wakes the submitter.
    """

    def __init__(self, lane: Lane, tasks: Collection[str], cancelled: Flag | None, lock: threading.Lock) -> None:
        self.lane: Final = lane
        self.tasks: Final = tasks
        self.ready: Final = threading.Condition(lock)
        self.pending: deque[tuple[Chunk, list[Analysis | RowError]]] = deque()
        self._cancelled = cancelled

    def wait(self) -> None:
        """Wait until something has happened; the lock must be held."""
        self.ready.wait(None if self._cancelled is None else CANCEL_POLL)

    def check(self) -> None:
        """Raise :class:`Cancelled` once the submit is no longer wanted."""
        if self._cancelled is not None and self._cancelled.is_set():
            raise Cancelled

    def collect(self) -> None:
        """Read the answers of the first pending chunks as far as they are complete."""
        while self.pending and not self.pending[0][0].left:
            chunk, answers = self.pending.popleft()
            answers += chunk.answers(self.tasks)


def complete(share: Share, answers: list[Analysis | RowError]) -> None:
    """Give the texts that were not read an error."""
    answers += [_CANCELLED] * (len(share.positions) - len(answers))


def merged(texts: int, shares: Sequence[tuple[Share, Sequence[Analysis | RowError]]]) -> list[Analysis | RowError]:
    """The answer to each text: of the share that serves it, or else of a shadow that could read it."""
    answers: list[Analysis | RowError | None] = [None] * texts
    # In this order, whatever the router's: shadows last.
    for share, found in sorted(shares, key=lambda one: one[0].shadow):
        for position, answer in zip(share.positions, found, strict=True):
            if not share.shadow or (type(answer) is Analysis and _failed(answers[position])):
                answers[position] = answer
    return [answer for answer in answers if answer is not None]


def count(share: Share, answers: Sequence[Analysis | RowError]) -> None:
    """Count what became of the texts of a share; a shadow's are those of another."""
    if share.shadow:
        return
    own = [answers[position] for position in share.positions]
    errors = sum(type(answer) is RowError for answer in own)
    truncated = sum(type(answer) is Analysis and answer.truncated for answer in own)
    model = share.reader.ref.name
    INFERENCE_ROWS.labels(model).inc(len(own) - errors)
    if errors:
        INFERENCE_ERRORS.labels(model).inc(errors)
    if truncated:
        INFERENCE_TRUNCATED.labels(model).inc(truncated)


def _failed(answer: Analysis | RowError | None) -> bool:
    return isinstance(answer, RowError) and answer.cause != CANCELLED
