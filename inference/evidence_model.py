"""The evidence model: what the features of a topic and a post say together, and how common words are.

A post's probability is that of a logistic regression over named features, one for each
*form* of evidence: what a topic and a post have between them. The words of a topic weigh
by how much more frequent they are in its posts than in posts at large, which the model
knows from a table of document frequencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from inference.manifest import EVIDENCE, EVIDENCE_MODEL
from inference.version import ModelVersion, decoded

#: The one label of a golden answer.
ABOUT: Final = "about"


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A logistic regression: ``sigmoid(bias + sum(weights[name] * feature[name]))``.

    ``share`` of what it was fitted on was about the topic; ``shift`` is what is added where
    nobody knows yet how frequent a topic is among the documents: most are rare.
    """

    bias: float
    weights: dict[str, float]
    share: float = 0.5
    shift: float = 0.0


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much a cross-encoder that reads topic and post may add.

    ``sigmoid(bias + evidence * logit(p) + clip(reader * logit(q), -limit, limit))`` for the
    probability ``p`` by the evidence and ``q`` by the cross-encoder.
    """

    bias: float
    evidence: float
    reader: float
    limit: float


class EvidenceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file of an evidence model.

    ``forms`` are the regressions by form; ``texts`` is how many posts were counted, and
    ``words`` in how many of them each word occurs, parted by spaces: those of the entry
    ``n`` occur in n of them. ``readings`` are what cross-encoders may add, by their names.
    """

    forms: dict[str, Weights]
    texts: int
    words: dict[int, str]
    readings: dict[str, Reading] = {}


class EvidenceModel:
    """Probabilities from features, and how common words are; threads may share one.

    ``name`` is what scores are marked with, ``space`` the embedding space whose
    similarities it knows. Raises :class:`ModelError` for a file that contradicts itself.
    """

    def __init__(self, file: EvidenceFile, name: str, space: str | None) -> None:
        if file.texts < 1 or not file.forms:
            raise ModelError("an evidence model needs counted posts and at least one form: fit it again")
        for form, weights in file.forms.items():
            if not all(isfinite(value) for value in (weights.bias, *weights.weights.values())):
                raise ModelError(f"the evidence model's form {form} has weights that are no numbers: fit it again")
        self.name: Final = name
        self.space: Final = space
        self.forms: Final[Mapping[str, Weights]] = file.forms
        self.readings: Final[Mapping[str, Reading]] = file.readings
        self._texts = file.texts
        self._counts = {word: count for count, line in file.words.items() for word in line.split()}

    @classmethod
    def load(cls, version: ModelVersion) -> EvidenceModel:
        """The evidence model of a version; raises :class:`ModelError` where it has none."""
        if version.manifest.encoder != EVIDENCE:
            raise ModelError(
                f"{version.ref.name}@{version.ref.version} is no evidence model: name one that groundswell models "
                "evidence has made"
            )
        file = decoded(version.folder / EVIDENCE_MODEL, version.read(EVIDENCE_MODEL), EvidenceFile)
        return cls(file, f"{version.ref.name}@{version.ref.version}", version.manifest.embedding_space)

    def knows(self, word: str) -> bool:
        """Whether the word was seen in posts at large."""
        return word in self._counts

    def share(self, word: str) -> float:
        """The share of posts at large with the word; of one never seen half a post's."""
        return (self._counts.get(word, 0) + 0.5) / (self._texts + 1)

    def logits(self, form: str, features: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """The log-odds for features of one shape; raises :class:`ModelError` for a form or feature it does not know."""
        weights = self.forms.get(form)
        if weights is None or not weights.weights.keys() <= features.keys():
            raise ModelError(f"{self.name} does not fit this release (form {form}): fit the evidence model again")
        total = np.asarray(weights.bias, dtype=np.float64)
        for name, weight in weights.weights.items():
            total = total + weight * features[name]
        return total


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function, for any logits.

    >>> probabilities(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    found: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return found


def prove(version: ModelVersion) -> EvidenceModel:
    """The evidence model of a version, after it gave the golden rows the probabilities that its manifest says.

    A golden input names a form and has features; raises :class:`ModelError` where the model
    cannot be read or answers otherwise.
    """
    model = EvidenceModel.load(version)
    goldens = version.manifest.golden
    if {golden.text for golden in goldens} != model.forms.keys():
        raise ModelError(f"{model.name} has not golden rows of all its forms: publish the model again")
    for golden in goldens:
        features = {name: np.array([value]) for name, value in golden.features.items()}
        found = float(probabilities(model.logits(golden.text, features))[0])
        expected = golden.expected.get(EVIDENCE, {}).get(ABOUT)
        if expected is None or not abs(found - expected) <= version.manifest.tolerance:
            raise ModelError(
                f"{model.name} gives a golden row of the form {golden.text} {found:.4f}, its manifest expects "
                f"{expected}: publish the model again"
            )
    return model
