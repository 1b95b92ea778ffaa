"""The tasks whose answers have a place of their own, and the labels that those places may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTIMENT: Final = "sentiment"
EMOTION: Final = "emotion"
EMBEDDING: Final = "embedding"
#: Whether a premise entails a hypothesis; it reads pairs.
NLI: Final = "nli"

#: Task → its labels. The first two are fields of the strict mapping, and zero-shot scores rest on the third,
#: so a model with other labels cannot serve them. A task that is not here may have any labels.
LABELS: Final[Mapping[str, frozenset[str]]] = {
    SENTIMENT: frozenset({"negative", "neutral", "positive"}),
    EMOTION: frozenset({"anger", "joy", "optimism", "sadness"}),
    NLI: frozenset({"entailment", "neutral", "contradiction"}),
}

#: Tasks that fill fields of a document.
OF_DOCUMENTS: Final = (SENTIMENT, EMOTION, EMBEDDING)
