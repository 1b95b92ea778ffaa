"""A model that is loaded, checked and proved on its golden inputs: texts in, probabilities out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from groundswell.records import Analysis, Scores
from inference.manifest import MODEL, VOCABULARY, Manifest
from inference.ngrams import Encoded, NgramEncoder, Vocabulary, pad
from inference.repository import ModelVersion
from inference.session import DeviceError, Session
from inference.tasks import LABELS as TASKS

#: The value of ``encoder`` in the manifest of a bag-of-n-grams model, and its graph's input.
NGRAMS: Final = "ngrams"
IDS: Final = "ids"


class NotFinite(DeviceError):
    """The device answered, but not with numbers."""


class _Head(NamedTuple):
    task: str
    output: str
    labels: tuple[str, ...]
    temperature: float


class Model:
    """A version ready to serve the tasks asked of it; threads may share one.

    Raises :class:`ModelError`, which names the model and what is wrong, when the version
    has no head for a task, its labels are not that task's, its graph does not fit its
    manifest, or its golden inputs do not give what they gave when it was published.
    """

    def __init__(
        self, version: ModelVersion, tasks: Collection[str], *, provider: str = "cpu", threads: int = 0
    ) -> None:
        manifest = version.manifest
        self.ref = version.ref
        try:
            self._encoder = _encoder(version)
            self._heads = [_head(version, task) for task in tasks]
            self._session = Session(
                version.read(MODEL), manifest.inputs, manifest.outputs, provider=provider, threads=threads
            )
            self._prove(manifest)
        except ModelError as error:
            raise ModelError(f"{self.ref.name}@{self.ref.version} must not serve: {error}") from error
        self.provider = self._session.provider

    def encode(self, text: str) -> Encoded:
        """The text as the device reads it; never fails."""
        return self._encoder.encode(text)

    def probabilities(self, rows: Sequence[Encoded]) -> dict[str, NDArray[np.float64]]:
        """Calibrated probabilities ``[rows, labels]`` of each task; raises :class:`DeviceError`."""
        outputs = self._session.run({IDS: pad(rows)})
        return {head.task: _softmax(outputs[head.output] / head.temperature) for head in self._heads}

    def analyse(self, rows: Sequence[Encoded]) -> list[Analysis]:
        """One analysis a row, in order; raises :class:`DeviceError` when any row fails."""
        answers = [self._scores(head, found) for head, found in self._by_head(rows)]
        names = [head.task for head in self._heads]
        return [
            Analysis(self.ref, dict(zip(names, scores, strict=True)), truncated=row.truncated)
            for row, *scores in zip(rows, *answers, strict=True)
        ]

    def _by_head(self, rows: Sequence[Encoded]) -> list[tuple[_Head, NDArray[np.float64]]]:
        found = self.probabilities(rows)
        return [(head, found[head.task]) for head in self._heads]

    @staticmethod
    def _scores(head: _Head, found: NDArray[np.float64]) -> list[Scores]:
        if not np.isfinite(found).all():
            raise NotFinite(f"{head.output} is not finite")
        best = found.argmax(axis=1).tolist()
        labels = head.labels
        return [
            Scores(labels[top], row[top], dict(zip(labels, row, strict=True)))
            for top, row in zip(best, np.round(found, 6).tolist(), strict=True)
        ]

    def _prove(self, manifest: Manifest) -> None:
        if not manifest.golden:
            raise ModelError("its manifest has no golden inputs: publish the model again")
        for golden in manifest.golden:
            try:
                (analysis,) = self.analyse([self.encode(golden.text)])
            except DeviceError as error:
                raise ModelError(f"the golden input {golden.text!r} fails: {error}") from error
            for head in self._heads:
                expected = golden.expected.get(head.task, {})
                found = analysis.scores[head.task]
                if expected.keys() != found.scores.keys() or any(
                    abs(expected[label] - found.scores[label]) > manifest.tolerance for label in expected
                ):
                    raise ModelError(
                        f"the golden input {golden.text!r} gives {head.task} {found.scores}, "
                        f"not {expected}: the model, its labels or this release's text handling changed"
                    )


def _encoder(version: ModelVersion) -> NgramEncoder:
    manifest = version.manifest
    if manifest.encoder != NGRAMS:
        raise ModelError(f"its texts are encoded by {manifest.encoder!r}, which this release does not know: update it")
    if [tensor.name for tensor in manifest.inputs] != [IDS]:
        raise ModelError(f"an {NGRAMS} graph has one input, {IDS!r}: publish the model again")
    try:
        vocabulary = msgspec.json.decode(version.read(VOCABULARY), type=Vocabulary)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{version.folder / VOCABULARY} cannot be used ({error}): publish the model again") from error
    return NgramEncoder(vocabulary)


def _head(version: ModelVersion, task: str) -> _Head:
    manifest = version.manifest
    if task not in TASKS:
        raise ModelError(f"there is no task {task!r}: tasks are {', '.join(TASKS)}")
    outputs = {head.task: head.output for head in manifest.heads}
    if task not in outputs:
        raise ModelError(f"it has no head for {task} (it has {', '.join(outputs) or 'none'}): choose another model")
    labels = version.labels().get(task, [])
    if len(labels) != len(TASKS[task]) or set(labels) != TASKS[task]:
        raise ModelError(f"its labels for {task} are {labels}, they must be {sorted(TASKS[task])}: publish it again")
    shapes: dict[str, tuple[Any, ...]] = {tensor.name: tensor.shape for tensor in manifest.outputs}
    if shapes.get(outputs[task], ())[1:] != (len(labels),):
        raise ModelError(f"its output {outputs[task]!r} has not one column a label of {labels}: publish it again")
    calibration = version.calibration().get(task)
    if calibration is None or not 0 < calibration.temperature < float("inf"):
        raise ModelError(f"its calibration gives no positive temperature for {task}: publish it again")
    return _Head(task, outputs[task], tuple(labels), calibration.temperature)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
