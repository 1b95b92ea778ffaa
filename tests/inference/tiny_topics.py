"""A tiny evidence model and a tiny word model, published: what topics are described and scored with."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from inference.evidence_model import ABOUT, EvidenceFile, EvidenceModel, Reading, Weights, probabilities
from inference.manifest import EVIDENCE, EVIDENCE_MODEL, WORD_MODEL, WORDS, Golden, Source
from inference.version import CARD
from inference.word_model import WordFile, WordModel
from model_export.publish import Draft, publish
from model_export.words import WEIGHTS
from operators.topics.evidence import FORMS, TAGGED, VOCABULARY

EVIDENCE_NAME: Final = "topic-evidence"
_DATA = (Source(path="none", sha256="0" * 64, rows=0, use="training"),)
#: Words do nearly all of it: the vectors of a tiny model say little.
_WEIGHTS = {VOCABULARY: 2.0, TAGGED: 4.0}
_COMMON = "the a to of and in is for on my we are so at with this it not good day what was"
_TOKENS = ("pray", "for", "oklahoma", "flood", "river", "high", "water", "storm")


def published_evidence(root: Path, space: str, *, rare: Sequence[str] = (), reader: str = "nli") -> None:
    """Publish an evidence model for vectors of ``space``, in which the cross-encoder ``reader`` has a vote.

    It knows a few words that are common, and those that are ``rare``.
    """
    forms = {
        form: Weights(-4.0, {name: _WEIGHTS.get(name, 0.1) for name in names}, share=0.5)
        for form, names in FORMS.items()
    }
    file = EvidenceFile(
        forms=forms,
        texts=10_000,
        words={6_000: _COMMON, 20: " ".join(rare)},
        readings={reader: Reading(bias=0.0, evidence=1.0, reader=0.5, limit=1.5)},
    )
    model = EvidenceModel(file, EVIDENCE_NAME, space)
    golden = []
    for form, names in FORMS.items():
        features = dict.fromkeys(names, 1.0)
        odds = model.logits(form, {name: np.array([value]) for name, value in features.items()})
        golden.append(Golden(text=form, features=features, expected={EVIDENCE: {ABOUT: float(probabilities(odds)[0])}}))
    publish(root, _draft(EVIDENCE_NAME, EVIDENCE, {EVIDENCE_MODEL: msgspec.json.encode(file)}, golden, space))


def published_words(root: Path) -> None:
    """Publish a word model that knows a few words."""
    step = 0.5
    level = round(log(1_000) / step)
    file = WordFile(step=step, weights=WEIGHTS, words=[*[""] * level, " ".join(_TOKENS)], pairs=[])
    words, cost = WordModel(file).read("prayforoklahoma")
    golden = [Golden(text="prayforoklahoma", expected={WORDS: {" ".join(words): round(cost, 9)}})]
    publish(root, _draft(WORDS, WORDS, {WORD_MODEL: file.encoded()}, golden, None))


def _draft(name: str, encoder: str, files: dict[str, bytes], golden: list[Golden], space: str | None) -> Draft:
    return Draft(
        name=name,
        files={**files, CARD: b"# tiny\n"},
        graphs={},
        encoder=encoder,
        inputs=(),
        outputs=(),
        heads=(),
        tools={},
        metrics={},
        data=_DATA,
        golden=tuple(golden),
        tolerance=1e-6,
        licence="Apache-2.0",
        embedding_space=space,
    )
