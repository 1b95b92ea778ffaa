"""The classical sentiment baseline: train, calibrate, judge, export and publish, in one call."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.calibration import softmax
from inference.manifest import CALIBRATION, LABELS, MODEL, NGRAMS, VOCABULARY, Calibration, Golden, Head, Source
from inference.model import IDS
from inference.ngrams import MAX_WORDS, pad
from inference.session import Session
from inference.version import CARD
from model_export import bag, goldens
from model_export.calibrate import fit_temperature
from model_export.card import card
from model_export.datasets import Example, Fingerprint, distinct, read_semeval, read_tweeteval, split, without_leaks
from model_export.evaluate import Evaluation, evaluate
from model_export.graph import INPUT, bag_graph, output
from model_export.publish import Draft, publish

NAME: Final = "sentiment-baseline"
TASK: Final = "sentiment"
LICENCE: Final = "Apache-2.0"
#: Share of the training texts that the temperature is fitted on.
CALIBRATION_SHARE: Final = 0.1
#: How far the graph's logits may be from scikit-learn's, and probabilities from the golden ones.
PARITY: Final = 1e-3
TOLERANCE: Final = 1e-3


class Corpus(NamedTuple):
    """What the baseline is made of: no text of one part is, or nearly is, in another."""

    train: list[Example]
    calibration: list[Example]
    validation: list[Example]
    sources: tuple[Source, ...]
    read: int
    distinct: int
    leaked: int
    near_calibration: int


def corpus(data: Path) -> Corpus:
    """Read, clean and part the public data below ``data``; raises :class:`~model_export.datasets.DataError`."""
    rows, train_files = read_semeval(data)
    validation, validation_files = read_tweeteval(data)
    kept = distinct(rows)
    clean = without_leaks(kept, validation)
    rest, calibration = split(clean, CALIBRATION_SHARE)
    train = without_leaks(rest, calibration)
    sources = [*_sources(train_files, "training"), *_sources(validation_files, "validation")]
    return Corpus(
        train=train,
        calibration=calibration,
        validation=validation,
        sources=tuple(sources),
        read=len(rows),
        distinct=len(kept),
        leaked=len(kept) - len(clean),
        near_calibration=len(rest) - len(train),
    )


def build(parts: Corpus) -> tuple[Draft, dict[str, Evaluation]]:
    """Train on ``parts`` and make a version that is ready to publish, with its figures by data set.

    Raises :class:`ModelError` when the graph's answers are not those of scikit-learn.
    """
    fitted = bag.fit(parts.train)
    labels = fitted.labels
    columns = [labels.index(label) for _, label in parts.calibration]
    temperature = fit_temperature(fitted.logits(text for text, _ in parts.calibration), columns)
    graph = bag_graph(TASK, fitted.table(), fitted.bias())
    _require_parity(fitted, graph, [text for text, _ in parts.validation])

    def figures(examples: Sequence[Example]) -> Evaluation:
        logits = fitted.logits(text for text, _ in examples)
        return evaluate([label for _, label in examples], softmax(logits, temperature), labels)

    evaluations = {"validation": figures(parts.validation), "calibration": figures(parts.calibration)}
    probabilities = softmax(fitted.logits(goldens.SENTIMENT), temperature)
    vocabulary = fitted.encoder.vocabulary
    text = card(
        NAME,
        ids=vocabulary.size - 1,
        evaluations=evaluations,
        temperature=temperature,
        sizes={
            "read": parts.read,
            "distinct": parts.distinct,
            "leaked": parts.leaked,
            "near_calibration": parts.near_calibration,
            "trained": len(parts.train),
            "calibrated": len(parts.calibration),
        },
        sources=parts.sources,
        licence=LICENCE,
        words=MAX_WORDS,
    )
    draft = Draft(
        name=NAME,
        files={
            MODEL: graph,
            VOCABULARY: msgspec.json.encode(vocabulary) + b"\n",
            LABELS: msgspec.json.encode({TASK: labels}) + b"\n",
            CALIBRATION: msgspec.json.encode({TASK: Calibration(temperature=temperature)}) + b"\n",
            CARD: text.encode(),
        },
        encoder=NGRAMS,
        inputs=(INPUT,),
        outputs=(output(TASK, len(labels)),),
        heads=(Head(task=TASK, output=TASK),),
        tools={"python": platform.python_version()}
        | {tool: metadata.version(tool) for tool in ("numpy", "scikit-learn", "scipy", "onnx")},
        metrics={name: evaluation.flat() for name, evaluation in evaluations.items()},
        data=parts.sources,
        golden=tuple(
            Golden(text=golden, expected={TASK: dict(zip(labels, np.round(row, 6).tolist(), strict=True))})
            for golden, row in zip(goldens.SENTIMENT, probabilities, strict=True)
        ),
        tolerance=TOLERANCE,
        licence=LICENCE,
    )
    return draft, evaluations


def make(data: Path, root: Path | str, cache: Path | None = None) -> tuple[ModelRef, dict[str, Evaluation]]:
    """From the public data to a published champion below ``root``; raises as :func:`corpus` and :func:`publish` do."""
    draft, evaluations = build(corpus(data))
    return publish(root, draft, cache=cache), evaluations


def _require_parity(fitted: bag.Bag, graph: bytes, texts: Sequence[str]) -> None:
    session = Session(graph, (INPUT,), (output(TASK, len(fitted.labels)),), threads=1)
    for start in range(0, len(texts), 256):
        part = texts[start : start + 256]
        found = session.run({IDS: pad([fitted.encoder.encode(text) for text in part])})[TASK]
        distance = float(np.abs(found - fitted.logits(part)).max())
        if distance > PARITY:
            raise ModelError(f"the graph's logits are {distance:.2g} from the trained model's, at most {PARITY} may be")


def _sources(files: Sequence[Fingerprint], use: str) -> list[Source]:
    return [Source(path=file.path, sha256=file.sha256, rows=file.rows, use=use) for file in files]
