"""The contract of what says how probably documents are about a topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from groundswell.candidates import Found
from groundswell.topics import Topic

Weigh = Callable[[Sequence[Found]], NDArray[np.float64]]


class Judge(Protocol):
    """Says how probably documents are about a topic; ``model`` names what says so."""

    @property
    def model(self) -> str: ...

    def against(self, topics: Sequence[Topic]) -> Weigh:
        """What gives documents calibrated probabilities ``[documents, topics]`` by the evidence of the tags."""
        ...

    def undecided(self, topic: Topic, evidence: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Where the cross-encoder may still change the verdict."""
        ...

    def alone(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probabilities where the cross-encoder is not asked."""
        ...

    def verdicts(self, topic: Topic, documents: Sequence[Found], evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probabilities once the cross-encoder has read these documents."""
        ...
