"""Tiny models that are judged: published, opened, and asked without an engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundswell.records import Analysis, ModelRef, Scores
from inference.drift import Coding
from inference.loaded import Loaded
from inference.manifest import Reference
from inference.model import Model
from inference.rows import DEVICE, Reader, RowError
from inference.version import ModelVersion, open_version
from tests.inference.tiny import NAME, SENTIMENT, published

TASK = "sentiment"
CODING = Coding(TASK, SENTIMENT)


def load(version: ModelVersion) -> Reader:
    """A version as the job loads it."""
    return Model(version, threads=1)


def loaded(root: Path, **changes: Any) -> Loaded:
    """A tiny model, published below ``root`` with ``changes``, and loaded."""
    folder = published(root, **changes)
    return Loaded(open_version(folder, changes.get("name", NAME), folder.name), load)


def read(reader: Reader, texts: Sequence[str]) -> list[Analysis | RowError]:
    """What a reader says of texts, one at a time, without an engine."""
    return [answer for text in texts for answer in _alone(reader, text)]


def _alone(reader: Reader, text: str) -> list[Analysis | RowError]:
    encoded = reader.encode([text])
    rows = list(encoded[0].rows)
    return reader.analyse(encoded, reader.run(rows, max(row.size for row in rows), reader.outputs([TASK])), [TASK])


def said(label: str, score: float, version: str = "v1") -> Analysis:
    """An answer without a model; the other labels share what is left."""
    rest = (1 - score) / (len(SENTIMENT) - 1)
    scores = {name: score if name == label else rest for name in SENTIMENT}
    return Analysis(ModelRef(NAME, version), {TASK: Scores(label, score, scores)})


def failed(cause: str = DEVICE) -> RowError:
    """No answer."""
    return RowError(cause, "as the test wants it")


def reference(answers: Sequence[Analysis | RowError]) -> Reference:
    """What was said, as a manifest tells it."""
    return CODING.distribution(CODING.codes(answers))


def stream(seed: int, count: int, good: float = 0.4, bad: float = 0.3) -> list[str]:
    """Texts that the tiny model can read: a share of good ones, of bad ones, and the rest neither."""
    kinds = np.random.default_rng(seed).choice(3, size=count, p=(good, bad, 1 - good - bad))
    return [f"{('good day', 'bad', 'the day')[kind]} n{number}" for number, kind in enumerate(kinds.tolist())]
