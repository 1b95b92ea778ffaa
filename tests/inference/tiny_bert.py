"""A tiny real BERT, made without torch: two layers, a WordPiece tokenizer, an ONNX graph and an oracle in numpy.

Its weights come from a seed, so several versions are several seeds. Each label's weights
are drawn for its name, so the order of the labels in the graph changes no named score.
"""

from __future__ import annotations

import hashlib
import math
import string
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from inference.manifest import (
    CALIBRATION,
    FORMAT,
    LABELS,
    MANIFEST,
    MODEL,
    TOKENIZER,
    Calibration,
    Golden,
    Head,
    Manifest,
    Source,
    Tensor,
    Tokens,
)
from inference.rows import Text
from inference.tasks import EMBEDDING
from inference.version import ModelVersion, open_version
from model_export.graph import IR_VERSION, OPSET
from model_export.publish import Draft, publish

NAME: Final = "tiny-bert"
#: A word whose id lies beyond the table of embeddings: the look-up itself fails on the device.
POISON: Final = "poison"
#: A word whose embedding is not a number.
NOTHING: Final = "nothing"

#: Tasks and labels of the model that reads single texts, and of the one that reads pairs.
HEADS: Final[Mapping[str, Sequence[str]]] = {
    "sentiment": ("negative", "neutral", "positive"),
    "emotion": ("anger", "joy", "optimism", "sadness"),
}
NLI_HEADS: Final[Mapping[str, Sequence[str]]] = {"nli": ("entailment", "neutral", "contradiction")}

HIDDEN: Final = 32
_LAYERS = 2
_ATTENTION_HEADS = 4
_INNER = 64
_POSITIONS = 512
_EPSILON = 1e-12

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = (
    "good bad great awful happy sad angry love hate hope the a an is it was not no and of to in on for with this that "
    "i you we they day night city rain train news game user http rt never always very really best worst ##s ##ed ##ing"
)
_CHARACTERS = [character for character in string.printable if not character.isspace() and not character.isupper()]
_TOKENS = (*_SPECIAL, *_WORDS.split(), *_CHARACTERS, *(f"##{character}" for character in _CHARACTERS), NOTHING, POISON)
VOCABULARY: Final = {token: number for number, token in enumerate(dict.fromkeys(_TOKENS))}

Weights = dict[str, NDArray[np.float32]]


class TinyBert:
    """The network of a seed: mean pooling over the mask, a linear head a task, an embedding of unit length.

    ``heads`` maps tasks to labels in the order of the graph's columns; ``embedding`` is
    the number of its dimensions, 0 for none; ``token_types`` says whether the graph has
    that input; ``poison`` gives :data:`POISON` and :data:`NOTHING` their power, otherwise
    they are words like any other.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        heads: Mapping[str, Sequence[str]] = HEADS,
        embedding: int = HIDDEN,
        token_types: bool = True,
        poison: bool = False,
    ) -> None:
        self.seed = seed
        self.heads = {task: list(labels) for task, labels in heads.items()}
        self.embedding = embedding
        self.token_types = token_types
        self.poison = poison

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The graph's inputs."""
        names = ("input_ids", "attention_mask", *(("token_type_ids",) if self.token_types else ()))
        return tuple(Tensor(name=name, dtype="int64", shape=("rows", "length")) for name in names)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The graph's outputs: logits a task, and the embedding."""
        widths = {task: len(labels) for task, labels in self.heads.items()}
        if self.embedding:
            widths[EMBEDDING] = self.embedding
        return tuple(Tensor(name=name, dtype="float32", shape=("rows", width)) for name, width in widths.items())

    @cached_property
    def weights(self) -> Weights:
        """Every weight, drawn from the seed."""
        words = self._draw("words", len(VOCABULARY), HIDDEN)
        if self.poison:
            words[VOCABULARY[NOTHING]] = np.nan
            words = words[: VOCABULARY[POISON]]
        found = {
            "words": words,
            "positions": self._draw("positions", _POSITIONS, HIDDEN) * np.float32(0.3),
            "types": self._draw("types", 2, HIDDEN),
            **self._norm("embeddings"),
        }
        for layer in range(_LAYERS):
            for name, rows, columns in (
                *((part, HIDDEN, HIDDEN) for part in ("query", "key", "value", "attended")),
                ("inner", HIDDEN, _INNER),
                ("outer", _INNER, HIDDEN),
            ):
                found[f"{layer}.{name}"] = self._draw(f"{layer}.{name}", rows, columns) / np.float32(math.sqrt(rows))
                found[f"{layer}.{name}.bias"] = self._draw(f"{layer}.{name}.bias", columns) * np.float32(0.1)
            found |= self._norm(f"{layer}.first") | self._norm(f"{layer}.second")
        for task, labels in self.heads.items():
            found[task] = np.stack([self._draw(f"{task}.{label}", HIDDEN) * np.float32(0.5) for label in labels], 1)
        if self.embedding:
            found[EMBEDDING] = self._draw(EMBEDDING, HIDDEN, self.embedding)
        return found

    def answer(self, ids: Sequence[int], types: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        """The outputs ``[columns]`` for one row without padding, worked out in numpy apart from the graph."""
        weights = {name: value.astype(np.float64) for name, value in self.weights.items()}
        state = weights["words"][list(ids)] + weights["positions"][: len(ids)]
        state = _normed(state + weights["types"][list(types) if self.token_types else 0], weights, "embeddings")
        for layer in range(_LAYERS):

            def dense(name: str, value: NDArray[np.float64], layer: int = layer) -> NDArray[np.float64]:
                return value @ weights[f"{layer}.{name}"] + weights[f"{layer}.{name}.bias"]

            def split(value: NDArray[np.float64]) -> NDArray[np.float64]:
                return value.reshape(len(value), _ATTENTION_HEADS, -1).transpose(1, 0, 2)

            query, key, value = (split(dense(name, state)) for name in ("query", "key", "value"))
            powers = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(HIDDEN // _ATTENTION_HEADS))
            mixed = (powers / powers.sum(axis=-1, keepdims=True)) @ value
            attended = dense("attended", mixed.transpose(1, 0, 2).reshape(len(ids), HIDDEN))
            state = _normed(state + attended, weights, f"{layer}.first")
            inner = dense("inner", state)
            inner *= 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
            state = _normed(state + dense("outer", inner), weights, f"{layer}.second")
        pooled = state.mean(axis=0)
        found = {task: pooled @ weights[task] for task in self.heads}
        if self.embedding:
            vector = pooled @ weights[EMBEDDING]
            found[EMBEDDING] = vector / np.linalg.norm(vector)
        return found

    def graph(self) -> bytes:
        """The same network as ONNX, for padded rows."""
        build = _Graph(self.weights)
        state = build.add("Gather", "words", "input_ids")
        length = build.add("Gather", build.add("Shape", "input_ids"), build.constant(1, np.int64))
        zero, one = build.constant(0, np.int64), build.constant(1, np.int64)
        positions = build.add("Gather", "positions", build.add("Range", zero, length, one))
        # A graph without the input takes the first kind for every token, as DistilBERT and RoBERTa have only one.
        types = build.add("Gather", "types", "token_type_ids" if self.token_types else zero)
        state = build.norm(build.add("Add", build.add("Add", state, positions), types), "embeddings")

        mask = build.add("Cast", "attention_mask", to=TensorProto.FLOAT)
        # In the very steps that exported graphs have, which fusing knows.
        hidden = build.add("Unsqueeze", "attention_mask", build.constant([1], np.int64))
        hidden = build.add("Unsqueeze", hidden, build.constant([2], np.int64))
        hidden = build.add("Sub", build.constant(1.0), build.add("Cast", hidden, to=TensorProto.FLOAT))
        hidden = build.add("Mul", hidden, build.constant(-1e9))
        for layer in range(_LAYERS):
            state = build.layer(state, hidden, layer)

        columns = build.add("Unsqueeze", mask, build.constant([2], np.int64))
        total = build.add("ReduceSum", build.add("Mul", state, columns), build.constant([1], np.int64), keepdims=0)
        number = build.add("ReduceSum", mask, build.constant([1], np.int64), keepdims=1)
        pooled = build.add("Div", total, number)
        for task in self.heads:
            build.add("MatMul", pooled, f"{task}.weight", output=task)
        if self.embedding:
            vector = build.add("MatMul", pooled, f"{EMBEDDING}.weight")
            norm = build.add("ReduceL2", vector, build.constant([1], np.int64), keepdims=1)
            build.add("Div", vector, norm, output=EMBEDDING)
        return build.model(self.inputs, self.outputs)

    def _draw(self, name: str, *shape: int) -> NDArray[np.float32]:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())]).standard_normal(shape).astype(np.float32)

    def _norm(self, name: str) -> Weights:
        return {
            f"{name}.scale": 1 + self._draw(f"{name}.scale", HIDDEN) * np.float32(0.1),
            f"{name}.shift": self._draw(f"{name}.shift", HIDDEN) * np.float32(0.1),
        }


def tiny_tokenizer() -> Tokenizer:
    """WordPiece over :data:`VOCABULARY`; it pads and truncates by itself, as published ones often do."""
    tokenizer = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, VOCABULARY[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8, pad_id=VOCABULARY["[PAD]"], pad_token="[PAD]")
    return tokenizer


def tiny_bert_draft(
    seed: int = 0,
    *,
    pairs: bool = False,
    heads: Mapping[str, Sequence[str]] | None = None,
    embedding: int | None = None,
    token_types: bool = True,
    poison: bool = False,
    temperature: float = 1.0,
    max_length: int = 32,
    overlap: int = 8,
    max_windows: int = 3,
    **changes: Any,
) -> Draft:
    """A draft that proves itself; ``changes`` replace fields of it (see :class:`TinyBert` for the rest)."""
    bert = TinyBert(
        seed,
        heads=(NLI_HEADS if pairs else HEADS) if heads is None else heads,
        embedding=(0 if pairs else HIDDEN) if embedding is None else embedding,
        token_types=token_types,
        poison=poison,
    )
    tokens = (
        Tokens(max_length=max_length, pairs=True, normaliser="social")
        if pairs
        else Tokens(max_length=max_length, overlap=overlap, max_windows=max_windows, normaliser="social")
    )
    fields: dict[str, Any] = {
        "name": NAME,
        "files": {
            MODEL: bert.graph(),
            TOKENIZER: tiny_tokenizer().to_str().encode(),
            LABELS: msgspec.json.encode(bert.heads),
            CALIBRATION: msgspec.json.encode({task: Calibration(temperature=temperature) for task in bert.heads}),
        },
        "encoder": "tokens",
        "tokens": tokens,
        "inputs": bert.inputs,
        "outputs": bert.outputs,
        "heads": (
            *(Head(task=task, output=task) for task in bert.heads),
            *((Head(task=EMBEDDING, output=EMBEDDING, kind="embedding"),) if bert.embedding else ()),
        ),
        "tools": {},
        "metrics": {},
        "data": (Source(path="none", sha256="0" * 64, rows=0, use="training"),),
        "golden": tuple(
            _golden(bert, text, temperature)
            for text in (
                [("a train in the rain", "it is not a good day"), ("we love it", "")]
                if pairs
                else ["what a good day!", "not bad", "I hate rain :(", ""]
            )
        ),
        "tolerance": 1e-3,
        "embedding_space": f"tiny-{seed}" if bert.embedding else None,
        "licence": "Apache-2.0",
    }
    return Draft(**{**fields, **changes})


def published_bert(root: Path, seed: int = 0, *, alias: str = "champion", **options: Any) -> Path:
    """Publish the tiny model of a seed below ``root`` (options as of :func:`tiny_bert_draft`); its folder."""
    ref = publish(root, tiny_bert_draft(seed, **options), alias)
    return root / ref.name / ref.version


def unproved(root: Path, draft: Draft) -> ModelVersion:
    """The version that a draft would become, written below ``root`` without being proved: it may be a bad one."""
    manifest = Manifest(
        format=FORMAT,
        version=draft.version,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        **{
            **msgspec.structs.asdict(draft),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in draft.files.items()},
        },
    )
    folder = root / draft.name / draft.version
    folder.mkdir(parents=True)
    for name, content in {**draft.files, MANIFEST: msgspec.json.encode(manifest)}.items():
        (folder / name).write_bytes(content)
    return open_version(folder, draft.name, draft.version)


def tiny_bert_scores(bert: TinyBert, text: Text, temperature: float = 1.0) -> dict[str, dict[str, float]]:
    """What the model must say of a text that fits into one window and needs no normalising."""
    answer = _answer(bert, text)
    found = {}
    for task, labels in bert.heads.items():
        powers = np.exp((answer[task] - answer[task].max()) / temperature)
        found[task] = dict(zip(labels, (powers / powers.sum()).tolist(), strict=True))
    return found


def tiny_bert_embedding(bert: TinyBert, text: Text) -> bytes:
    """The quantised embedding of a text that fits into one window and needs no normalising."""
    vector = _answer(bert, text)[EMBEDDING]
    return bytes(np.rint(vector * 127 / np.abs(vector).max()).astype(np.int8).tobytes())


def _answer(bert: TinyBert, text: Text) -> dict[str, NDArray[np.float64]]:
    tokenizer = tiny_tokenizer()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoding = tokenizer.encode(text) if isinstance(text, str) else tokenizer.encode(*text)
    return bert.answer(encoding.ids, encoding.type_ids)


def _golden(bert: TinyBert, text: Text, temperature: float) -> Golden:
    first, second = (text, None) if isinstance(text, str) else text
    return Golden(
        text=first,
        second=second,
        expected=tiny_bert_scores(bert, text, temperature),
        embedding=tiny_bert_embedding(bert, text).hex() if bert.embedding else None,
    )


def _normed(state: NDArray[np.float64], weights: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float64]:
    centred = state - state.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _EPSILON)
    return np.asarray(scaled * weights[f"{name}.scale"] + weights[f"{name}.shift"])


class _Graph:
    """Collects the nodes and constants of a graph; every method answers with the name of a tensor."""

    def __init__(self, weights: Weights) -> None:
        self._nodes: list[Any] = []
        # An output has its task's name: its weights need another.
        outputs = {name for name in weights if name not in ("words", "positions", "types") and "." not in name}
        self._constants: dict[str, NDArray[Any]] = {
            f"{name}.weight" if name in outputs else name: value for name, value in weights.items()
        }

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], name=f"node_{name}", **attributes))
        return name

    def constant(self, value: Any, kind: type[Any] = np.float32) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants[name] = np.array(value, dtype=kind)
        return name

    def norm(self, state: str, name: str) -> str:
        return self.add("LayerNormalization", state, f"{name}.scale", f"{name}.shift", epsilon=_EPSILON, axis=-1)

    def dense(self, state: str, name: str) -> str:
        return self.add("Add", self.add("MatMul", state, name), f"{name}.bias")

    def layer(self, state: str, hidden: str, layer: int) -> str:
        split = self.constant([0, 0, _ATTENTION_HEADS, HIDDEN // _ATTENTION_HEADS], np.int64)
        query, key, value = (
            self.add("Reshape", self.dense(state, f"{layer}.{name}"), split) for name in ("query", "key", "value")
        )
        scores = self.add(
            "MatMul",
            self.add("Transpose", query, perm=[0, 2, 1, 3]),
            self.add("Transpose", key, perm=[0, 2, 3, 1]),
        )
        scaled = self.add("Div", scores, self.constant(math.sqrt(HIDDEN // _ATTENTION_HEADS)))
        shares = self.add("Softmax", self.add("Add", scaled, hidden), axis=-1)
        mixed = self.add("MatMul", shares, self.add("Transpose", value, perm=[0, 2, 1, 3]))
        joined = self.add(
            "Reshape", self.add("Transpose", mixed, perm=[0, 2, 1, 3]), self.constant([0, 0, HIDDEN], np.int64)
        )
        state = self.norm(self.add("Add", state, self.dense(joined, f"{layer}.attended")), f"{layer}.first")
        inner = self.dense(state, f"{layer}.inner")
        curve = self.add("Erf", self.add("Div", inner, self.constant(math.sqrt(2))))
        curve = self.add("Mul", self.add("Add", curve, self.constant(1.0)), self.constant(0.5))
        outer = self.dense(self.add("Mul", inner, curve), f"{layer}.outer")
        return self.norm(self.add("Add", state, outer), f"{layer}.second")

    def model(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bytes:
        used = {name for node in self._nodes for name in node.input}
        graph = helper.make_graph(
            self._nodes,
            "tiny_bert",
            [helper.make_tensor_value_info(tensor.name, TensorProto.INT64, tensor.shape) for tensor in inputs],
            [helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.shape) for tensor in outputs],
            [numpy_helper.from_array(value, name) for name, value in self._constants.items() if name in used],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="groundswell"
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
