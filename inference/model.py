"""A version of a model that is loaded, checked, warm and proved on its golden inputs: texts in, analyses out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from groundswell.records import Analysis, Scores
from inference.device import GPU_TOKENS, Device, DeviceError, Shape
from inference.heads import Classes, Embedding, pool
from inference.manifest import NGRAMS, TOKENIZER, VOCABULARY, Golden, Precision
from inference.ngrams import Encoded as Bag
from inference.ngrams import NgramEncoder, Vocabulary, pad
from inference.processors import granted_processors
from inference.rows import Encoded, Outputs, Row, RowError, Text
from inference.session import Session
from inference.tokens import TOKENS, TokenEncoder
from inference.version import ModelVersion

#: The input of a graph that reads a bag of n-grams.
IDS: Final = "ids"

#: A golden answer may lie so many times as far off as all may on average. In eight bits a change of the last place of
#: a sum, as between two kinds of processor, moves the answer to the empty text by up to .08, that to a plain text by
#: .0001 (MiniLM with two branches, all constants shaken by 2e-7; over 21 texts .003 to .012 on average).
AT_MOST: Final = 10

#: Tokens of a batch for each thread of a processor: a transformer of MiniLM's size was fastest between 250 and 1,000
#: (at 8,000, no longer in the caches, a tenth slower). A bag of n-grams costs next to nothing a token.
CPU_TOKENS: Final = 512
BAG_TOKENS: Final = 65_536

_WHOLE: Final = (1.0,)


class Encoder(Protocol):
    """From texts to rows, and from rows to the graph's inputs ``[rows, length]``. Thread-safe."""

    def encode(self, texts: Sequence[Text]) -> list[Encoded]: ...

    def collate(self, rows: Sequence[Row], length: int) -> Mapping[str, NDArray[Any]]: ...


class Model:
    """A version ready to serve ``tasks`` (all that it has, when None); a :class:`~inference.rows.Reader`.

    ``device`` is what runs it; ``provider`` and ``threads`` are a short way to say so.
    ``precision`` chooses among its graphs; for TensorRT, which makes half precision
    itself, it is that of the arithmetic. Each of ``buckets``, shapes ``(rows, length)``
    of the batches to come, and each of the device's own is run once.

    Raises :class:`ModelError`, which names the model, what is wrong and what to do, when
    the version has no head for a task, labels, calibration or tokenizer do not fit, its
    graph does not fit its manifest, or its golden inputs do not give what they gave when
    it was published.
    """

    def __init__(
        self,
        version: ModelVersion,
        *,
        tasks: Collection[str] | None = None,
        provider: str = "cpu",
        precision: str = "auto",
        threads: int = 0,
        buckets: Collection[Shape] = (),
        device: Device | None = None,
    ) -> None:
        manifest = version.manifest
        self.ref: Final = version.ref
        try:
            heads = _heads(version, tasks)
            self.tasks: Final = frozenset(head.task for head in heads)
            self._heads: Final = {head.task: head for head in heads}
            self._encoder = _encoder(version)
            device, graph = _graph(version, precision, device or Device(provider, threads=threads))
            self._session = Session(graph, manifest.inputs, manifest.outputs, device=device)
            self._session.warm([*device.shapes, *buckets], self.outputs(self.tasks))
            self._prove(manifest.golden, manifest.tolerance)
        except ModelError as error:
            raise ModelError(f"{self.ref.name}@{self.ref.version} must not serve: {error}") from error
        self.provider: Final = self._session.provider
        self.batch_tokens: Final = _batch_tokens(manifest.encoder, device)

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """Each text as rows; raises :class:`ModelError` for pairs where it reads single texts, or the reverse."""
        return self._encoder.encode(texts)

    def outputs(self, tasks: Collection[str]) -> tuple[str, ...]:
        """The outputs that these tasks are read from; raises :class:`ModelError` for a task that it does not serve."""
        return tuple(self._head(task).output for task in sorted(set(tasks)))

    def run(self, rows: Sequence[Row], length: int, outputs: Sequence[str]) -> Outputs:
        """Run rows of at most ``length`` tokens, padded to it; raises :class:`DeviceError` when the device fails."""
        return self._session.run(self._encoder.collate(rows, length), outputs)

    def analyse(
        self, encoded: Sequence[Encoded], outputs: Outputs, tasks: Collection[str]
    ) -> list[Analysis | RowError]:
        """One answer a text, in order; ``outputs`` has a line for each row of each text."""
        if not encoded:
            return []
        scores: dict[str, list[Scores | RowError]] = {}
        embeddings: list[bytes | RowError] = []
        space = None
        for task in sorted(set(tasks)):
            head = self._head(task)
            pooled = pool(outputs[head.output], encoded)
            if isinstance(head, Embedding):
                embeddings, space = head.read(pooled), head.space
            else:
                scores[task] = head.read(pooled)
        names = tuple(scores)
        vectors: Sequence[bytes | RowError | None] = embeddings or [None] * len(encoded)
        answers: list[Analysis | RowError] = []
        for text, vector, *found in zip(encoded, vectors, *scores.values(), strict=True):
            error = next((one for one in (vector, *found) if type(one) is RowError), None)
            answers.append(
                error
                or Analysis(
                    self.ref,
                    dict(zip(names, cast(list[Scores], found), strict=True)),
                    cast(bytes | None, vector),
                    space,
                    text.truncated,
                )
            )
        return answers

    def _head(self, task: str) -> Classes | Embedding:
        try:
            return self._heads[task]
        except KeyError:
            raise ModelError(
                f"{self.ref.name}@{self.ref.version} does not serve {task} (it serves {', '.join(sorted(self.tasks))})"
            ) from None

    def _prove(self, goldens: Sequence[Golden], tolerance: float) -> None:
        if not goldens:
            raise ModelError("its manifest has no golden inputs: publish the model again")
        distances: dict[str, list[float]] = {task: [] for task in self._heads}
        for golden in goldens:
            text = golden.text if golden.second is None else (golden.text, golden.second)
            answer = self._alone(text)
            if isinstance(answer, RowError):
                raise ModelError(f"the golden input {_short(text)} fails: {answer.detail}")
            for task, head in self._heads.items():
                most = AT_MOST * tolerance
                if isinstance(head, Embedding):
                    far = _compare_embedding(text, golden.embedding, answer.embedding or b"", most)
                else:
                    far = _compare(text, task, golden.expected.get(task, {}), answer.scores[task], most)
                distances[task].append(far)
        for task, found in distances.items():
            mean = sum(found) / len(found)
            if not mean <= tolerance:
                raise ModelError(
                    f"over its {len(found)} golden inputs {task} lies {mean:.4f} from what it was on average, more "
                    f"than {tolerance}: the model or this release's text handling changed"
                )

    def _alone(self, text: Text) -> Analysis | RowError:
        """The answer to one text, each of its rows in a batch of its own."""
        (encoded,) = self.encode([text])
        outputs = self.outputs(self.tasks)
        try:
            found = [self.run([row], row.size, outputs) for row in encoded.rows]
        except DeviceError as error:
            raise ModelError(f"the golden input {_short(text)} fails: {error}") from error
        whole = {name: np.concatenate([part[name] for part in found]) for name in outputs}
        return self.analyse([encoded], whole, self.tasks)[0]


class _Bags:
    """The bag of n-grams behind :class:`Encoder`: one row a text."""

    def __init__(self, encoder: NgramEncoder) -> None:
        self._encoder = encoder

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        encoded = []
        for text in texts:
            if not isinstance(text, str):
                raise ModelError("the model reads single texts, not pairs: ask another model, or for another task")
            row = self._encoder.encode(text)
            encoded.append(Encoded((row,), _WHOLE, row.truncated))
        return encoded

    def collate(self, rows: Sequence[Row], length: int) -> Mapping[str, NDArray[Any]]:
        return {IDS: pad(cast(Sequence[Bag], rows), length)}


def _encoder(version: ModelVersion) -> Encoder:
    manifest = version.manifest
    if manifest.encoder == TOKENS:
        if manifest.tokens is None:
            raise ModelError("its manifest does not say how texts are cut into tokens: publish the model again")
        return TokenEncoder(version.read(TOKENIZER), manifest.tokens, manifest.inputs)
    if manifest.encoder != NGRAMS:
        raise ModelError(f"its texts are encoded by {manifest.encoder!r}, which this release does not know: update it")
    if [tensor.name for tensor in manifest.inputs] != [IDS]:
        raise ModelError(f"an {NGRAMS} graph has one input, {IDS!r}: publish the model again")
    try:
        vocabulary = msgspec.json.decode(version.read(VOCABULARY), type=Vocabulary)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"its {VOCABULARY} cannot be used ({error}): publish the model again") from error
    return _Bags(NgramEncoder(vocabulary))


def _graph(version: ModelVersion, precision: str, device: Device) -> tuple[Device, bytes]:
    """The graph to run, and the device with the precision that it is to compute in."""
    if device.provider == "tensorrt":
        _, file = version.graph("fp32", device.provider)
        chosen = cast(Precision, "fp16" if precision == "auto" else precision)
    else:
        chosen, file = version.graph(precision, device.provider)
    return replace(device, precision=chosen), version.read(file)


def _batch_tokens(encoder: str, device: Device) -> int:
    if device.on_gpu:
        return GPU_TOKENS
    return BAG_TOKENS if encoder == NGRAMS else CPU_TOKENS * (device.threads or granted_processors())


def _heads(version: ModelVersion, tasks: Collection[str] | None) -> list[Classes | Embedding]:
    manifest = version.manifest
    known = {head.task: head for head in manifest.heads}
    if len(known) != len(manifest.heads):
        raise ModelError("its manifest has two heads for one task: publish it again")
    for task in tasks or ():
        if task not in known:
            raise ModelError(f"it has no head for {task} (it has {', '.join(known) or 'none'}): choose another model")
    if not known or (tasks is not None and not tasks):
        raise ModelError("it has no heads, or none was asked for: name a task that it serves")
    labels, calibration = version.labels(), version.calibration()
    outputs = {tensor.name: tensor for tensor in manifest.outputs}
    return [
        Embedding(head, outputs.get(head.output), manifest.embedding_space)
        if head.kind == "embedding"
        else Classes(head, outputs.get(head.output), labels.get(head.task, []), calibration.get(head.task))
        for head in known.values()
        if tasks is None or head.task in tasks
    ]


def _compare(text: Text, task: str, expected: Mapping[str, float], found: Scores, most: float) -> float:
    """The largest difference of a label's probability; raises :class:`ModelError` beyond ``most``."""
    if expected.keys() == found.scores.keys():
        far = max(abs(expected[label] - found.scores[label]) for label in expected)
        if far <= most:
            return far
    raise ModelError(
        f"the golden input {_short(text)} gives {task} {found.scores}, "
        f"not {expected}: the model, its labels or this release's text handling changed"
    )


def _compare_embedding(text: Text, expected: str | None, found: bytes, most: float) -> float:
    """By how much the cosine misses 1; raises :class:`ModelError` beyond ``most``."""
    try:
        wanted = np.frombuffer(bytes.fromhex(expected or ""), dtype=np.int8).astype(np.float64)
    except ValueError:
        wanted = np.zeros(0)
    vector = np.frombuffer(found, dtype=np.int8).astype(np.float64)
    if wanted.shape != vector.shape:
        raise ModelError(f"the golden input {_short(text)} has no embedding of {len(vector)} dimensions: publish again")
    cosine = float(wanted @ vector) / max(float(np.linalg.norm(wanted) * np.linalg.norm(vector)), 1e-9)
    if not 1 - cosine <= most:
        raise ModelError(
            f"the embedding of the golden input {_short(text)} has a cosine of {cosine:.4f} to what it was: "
            "the model or this release's text handling changed"
        )
    return max(0.0, 1 - cosine)


def _short(text: Text) -> str:
    said = repr(text)
    return said if len(said) <= 80 else f"{said[:76]} ..."
