"""What says how probably documents are about a topic: the evidence, and a cross-encoder on what it leaves uncertain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from groundswell.candidates import Found
from groundswell.topics import Topic
from inference.evidence_model import EvidenceModel
from operators.topics.judge import Weigh
from operators.topics.score import TopicScorer
from operators.topics.verdict import Verdict

#: Probabilities that texts are about what a label says, by a cross-encoder; ``None`` where it cannot read one.
Read = Callable[[str, Sequence[str]], Sequence[float | None]]


class EvidenceJudge:
    """Evidence first; ``read`` is asked only where it can change the verdict. Threads may share one.

    ``reader`` names the cross-encoder, as the evidence model knows it. A document that it
    cannot read keeps its evidence.
    """

    def __init__(self, model: EvidenceModel, read: Read | None, reader: str, threshold: float) -> None:
        self._evidence = model
        self._read = read
        known = model.readings.get(reader) if read is not None else None
        self._verdict = Verdict(known)
        self._threshold = threshold
        self.model: Final = model.name if known is None else f"{model.name}+{reader}"

    def against(self, topics: Sequence[Topic]) -> Weigh:
        """See :class:`operators.topics.judge.Judge`."""
        scorer = TopicScorer(topics, self._evidence)
        space = self._evidence.space

        def weigh(documents: Sequence[Found]) -> NDArray[np.float64]:
            return scorer.score(
                [each.text for each in documents],
                [each.vector if each.space == space else None for each in documents],
                [each.hashtags for each in documents],
            )

        return weigh

    def undecided(self, topic: Topic, evidence: NDArray[np.float64]) -> NDArray[np.bool_]:  # noqa: ARG002
        """See :class:`operators.topics.judge.Judge`."""
        return self._verdict.undecided(evidence, self._threshold)

    def alone(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`operators.topics.judge.Judge`."""
        return self._verdict.alone(evidence)

    def verdicts(self, topic: Topic, documents: Sequence[Found], evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`operators.topics.judge.Judge`."""
        assert self._read is not None  # noqa: S101 - else nothing is undecided
        answers = self._read(topic.label, [each.text for each in documents])
        there = np.array([answer is not None for answer in answers], dtype=bool)
        said = np.array([0.5 if answer is None else answer for answer in answers])
        return np.where(there, self._verdict.combined(evidence, said), self._verdict.alone(evidence))


class LabelJudge:
    """The plain zero-shot score: whether a cross-encoder thinks that the text is about the label, and nothing else.

    Every candidate is undecided until it was read.
    """

    def __init__(self, read: Read, reader: str) -> None:
        self._read = read
        self.model: Final = reader

    def against(self, topics: Sequence[Topic]) -> Weigh:
        """Half for everything: only reading tells."""
        return lambda documents: np.full((len(documents), len(topics)), 0.5)

    def undecided(self, topic: Topic, evidence: NDArray[np.float64]) -> NDArray[np.bool_]:  # noqa: ARG002
        """Everything is."""
        return np.ones(len(evidence), dtype=bool)

    def alone(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """Still half."""
        return evidence

    def verdicts(self, topic: Topic, documents: Sequence[Found], evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the cross-encoder says of the tag as words."""
        answers = self._read(topic.phrase, [each.text for each in documents])
        return np.array(
            [before if answer is None else answer for answer, before in zip(answers, evidence, strict=True)]
        )
