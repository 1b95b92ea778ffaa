"""What a draft says of itself: golden answers, figures and the reference for drift, read by the code that serves it.

A version with answers that stand in for the real ones is published into a folder of its own, and asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from groundswell.errors import ModelError
from groundswell.records import Analysis
from inference.drift import NO_ANSWER, Coding
from inference.engine import Engine
from inference.limits import Limits
from inference.manifest import MODEL, Golden, Precision, Reference
from inference.model import Model
from inference.repository import Repository
from inference.routing import FixedRouter
from inference.rows import RowError, Text
from model_export import goldens
from model_export.evaluate import evaluate
from model_export.evidence import Evidence
from model_export.exported_run import ExportedRun
from model_export.judgement import Subject, true_labels
from model_export.publish import Draft, publish

#: Texts of one submit, and decimal places of what a manifest keeps.
_AT_ONCE: Final = 2_048
_PLACES: Final = 6

#: Called while figures are taken: of what, texts done, of how many.
Progress = Callable[[str, int, int], None]


class Judged(NamedTuple):
    """What a head says of labelled texts: figures by ``task/data set``, and the shares to tell drift by."""

    metrics: dict[str, dict[str, float]]
    reference: Reference


class DraftAnswers:
    """The version with stand-ins for its golden answers, and the exported graph beside what is shipped."""

    def __init__(self, place: Path, plain: Draft, run: ExportedRun, threads: int) -> None:
        self._classes = {task: head.labels for task, head in run.classes.items()}
        self._pairs = run.tokens.pairs
        self._precision: Precision = next(iter(plain.graphs))
        graphs: dict[Precision, str] = {"fp32": MODEL, **plain.graphs}
        stand_in = msgspec.structs.replace(
            plain,
            files={MODEL: run.source, **plain.files},
            graphs=graphs,
            golden=(self._stand_in(run),),
        )
        ref = publish(place, stand_in, "draft")
        version = Repository(place).open(f"{ref.name}@{ref.version}")
        self._model = Model(version, precision=self._precision, threads=threads)
        self._fp32 = None if self._precision == "fp32" else Model(version, precision="fp32", threads=threads)

    def golden(self) -> tuple[Golden, ...]:
        """The golden inputs with the answers of what is shipped."""
        texts: Sequence[Text] = goldens.PAIRS if self._pairs else goldens.SENTIMENT
        return tuple(_golden(text, _alone(self._model, text)) for text in texts)

    def distances(self, golden: Sequence[Golden]) -> dict[str, float]:
        """The largest distances on the golden inputs from the fp32 graph, of probabilities and of 1 - cosine."""
        if self._fp32 is None:
            return {}
        found: defaultdict[str, float] = defaultdict(float)
        for each in golden:
            answer = _alone(self._fp32, each.text if each.second is None else (each.text, each.second))
            for task, scores in each.expected.items():
                moved = max(abs(score - answer.scores[task].scores[label]) for label, score in scores.items())
                found[f"{task}/{self._precision}"] = max(found[f"{task}/{self._precision}"], moved)
            if each.embedding is not None and answer.embedding is not None:
                name = f"embedding/{self._precision}"
                found[name] = max(found[name], 1 - _cosine(bytes.fromhex(each.embedding), answer.embedding))
        return dict(found)

    def judged(self, evidence: Mapping[str, Evidence], progress: Progress) -> dict[str, Judged]:
        """What the engine answers to the evidence, by task."""
        with Engine(FixedRouter(self._model), Limits(linger=0)) as engine:
            return {
                task: self._judge(engine, task, each, progress)
                for task, each in evidence.items()
                if task in self._classes
            }

    def _judge(self, engine: Engine, task: str, evidence: Evidence, progress: Progress) -> Judged:
        labels = self._classes[task]
        subject = Subject(
            task=task,
            model=self._model.ref.name,
            precision=self._precision,
            provider=self._model.provider,
            labels=labels,
            pairs=self._pairs,
        )
        true = true_labels(subject, evidence.rows, evidence.name)
        answers: list[Analysis | RowError] = []
        for start in range(0, len(true), _AT_ONCE):
            answers += engine.submit([row.text for row in evidence.rows[start : start + _AT_ONCE]], (task,))
            progress(task, len(answers), len(true))
        sets: defaultdict[str, list[int]] = defaultdict(list)
        names = set(evidence.name.split("+"))
        for place, (row, answer) in enumerate(zip(evidence.rows, answers, strict=True)):
            if isinstance(answer, Analysis):
                # Rows of several data sets say of which they are; a file is one set, whatever its rows say.
                sets[str(row.source) if row.source in names else Path(evidence.name).name].append(place)
        if not sets:
            raise ModelError(f"{evidence.name}: not one row could be read: {answers[:1]}")
        metrics = {}
        for name, places in sets.items():
            known = [answers[place] for place in places]
            probabilities = np.array(
                [[each.scores[task].scores[label] for label in labels] for each in known if isinstance(each, Analysis)]
            )
            metrics[f"{task}/{name}"] = evaluate([true[place] for place in places], probabilities, labels).flat()
        return Judged(metrics, _reference(task, labels, answers))

    def _stand_in(self, run: ExportedRun) -> Golden:
        widths = {tensor.name: int(tensor.shape[1]) for tensor in run.outputs}
        return Golden(
            text="a",
            second="a" if self._pairs else None,
            expected={task: dict.fromkeys(labels, 0.0) for task, labels in self._classes.items()},
            embedding="00" * widths[run.embedding] if run.embedding else None,
        )


def _alone(model: Model, text: Text) -> Analysis:
    """The answer to one text, each of its rows in a batch of its own, as golden inputs are proved."""
    (encoded,) = model.encode([text])
    outputs = model.outputs(model.tasks)
    parts = [model.run([row], row.size, outputs) for row in encoded.rows]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in outputs}
    (answer,) = model.analyse([encoded], whole, model.tasks)
    if isinstance(answer, RowError):
        raise ModelError(f"the golden input {text!r:.80} fails: {answer.detail}")
    return answer


def _golden(text: Text, answer: Analysis) -> Golden:
    first, second = (text, None) if isinstance(text, str) else text
    return Golden(
        text=first,
        second=second,
        expected={task: dict(scores.scores) for task, scores in answer.scores.items()},
        embedding=answer.embedding.hex() if answer.embedding is not None else None,
    )


def _reference(task: str, labels: Sequence[str], answers: Sequence[Analysis | RowError]) -> Reference:
    coding = Coding(task, labels)
    codes = coding.codes(answers)
    found = coding.distribution(codes[codes != NO_ANSWER])
    return Reference(
        classes={label: round(share, _PLACES) for label, share in found.classes.items()},
        confidence=tuple(round(share, _PLACES) for share in found.confidence),
    )


def _cosine(first: bytes, second: bytes) -> float:
    one, other = (np.frombuffer(each, dtype=np.int8).astype(np.float64) for each in (first, second))
    return float(one @ other) / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9)
