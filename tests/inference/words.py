"""A reader that does what a test tells it, in memory: where timing or failure has to be in the test's hands."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

import numpy as np

from groundswell.errors import ModelError
from groundswell.records import Analysis, ModelRef, Scores
from inference.rows import Encoded, Outputs, Row, RowError, Text
from inference.session import DeviceError


class Window(str):
    """A row of the reader below: a word; it is as long as it has letters."""

    __slots__ = ()

    @property
    def size(self) -> int:
        return len(self)


class Words:
    """A reader whose rows are the words of a text, and whose answer names them; batches wait while ``gate`` is shut.

    ``bad`` in a word fails the batch. ``seen`` are the batches, in order.
    """

    def __init__(self, name: str = "words", tasks: Collection[str] = ("sentiment",)) -> None:
        self.ref = ModelRef(name, "1")
        self.tasks = frozenset(tasks)
        self.provider = "none"
        self.batch_tokens = 8192
        self.gate = threading.Event()
        self.gate.set()
        self.seen: list[list[str]] = []
        self.encoded = 0
        self._known: list[str] = []

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        self.encoded += len(texts)
        if any(isinstance(text, tuple) for text in texts):
            raise ModelError("it reads single texts")
        found = []
        for text in texts:
            words = [Window(word) for word in str(text).split()] or [Window("-")]
            found.append(Encoded(words, [1 / len(words)] * len(words), truncated="cut" in words))
        return found

    def outputs(self, tasks: Collection[str]) -> tuple[str, ...]:
        return tuple(sorted(tasks))

    def run(self, rows: Sequence[Row], length: int, outputs: Sequence[str]) -> Outputs:
        words = [str(row) for row in rows]
        assert max(map(len, words)) <= length
        self.seen.append(words)
        assert self.gate.wait(60)
        if any("bad" in word for word in words):
            raise DeviceError("a bad word")
        return {name: np.array([[_number(word)] for word in words], dtype=np.float32) for name in outputs}

    def analyse(
        self, encoded: Sequence[Encoded], outputs: Outputs, tasks: Collection[str]
    ) -> list[Analysis | RowError]:
        answers: list[Analysis | RowError] = []
        for task in tasks:
            assert len(outputs[task]) == sum(len(text.rows) for text in encoded)
        start = 0
        for text in encoded:
            stop = start + len(text.rows)
            for task in tasks:
                assert outputs[task][start:stop, 0].tolist() == [_number(str(word)) for word in text.rows]
            start = stop
            said = " ".join(str(word) for word in text.rows)
            answers.append(
                Analysis(self.ref, {task: Scores(said, 1.0, {}) for task in tasks}, truncated=text.truncated)
            )
        return answers


def _number(word: str) -> float:
    """What the device says of a word."""
    return float(np.float32(sum(map(ord, word)) % 9973 + len(word) / 64))


def label(answer: Analysis | RowError) -> str:
    return answer.cause if isinstance(answer, RowError) else next(iter(answer.scores.values())).label
