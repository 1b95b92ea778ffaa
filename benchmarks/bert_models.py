"""BERTs of real size for the benchmarks: all-MiniLM-L6-v2 with heads at random, and the pipeline that is the peer.

The speed of a graph does not depend on what its heads have learnt. It needs ``groundswell[train]``.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import onnx
import torch
import transformers
from optimum.onnxruntime import ORTModelForSequenceClassification
from torch import nn

from inference.manifest import (
    CALIBRATION,
    FORMAT,
    LABELS,
    MODEL,
    TOKENIZER,
    Calibration,
    Golden,
    Head,
    Manifest,
    Precision,
    Tensor,
    Tokens,
)
from inference.session import Session
from inference.tasks import EMBEDDING, EMOTION, SENTIMENT
from inference.tokens import TOKENS, TokenEncoder
from inference.version import ModelVersion
from model_export.fusion import fused
from model_export.graph_export import write_graph
from model_export.network import INPUTS, Design, Network
from model_export.quantise import quantised
from model_export.recipe import Branch, HeadDesign

#: The output that optimum reads.
_LOGITS: Final = "logits"
_OPSET: Final = 18
_CLASSES: Final = {
    SENTIMENT: ("negative", "neutral", "positive"),
    EMOTION: ("anger", "joy", "optimism", "sadness"),
}
_GOLDEN: Final = "a day of rain in the city"

#: From texts to the probability of each label, in batches of so many.
Pipeline = Callable[[Sequence[str], int], list[dict[str, float]]]


def classifiers(
    folder: Path, base: Path, tokens: Tokens, precisions: Sequence[Precision]
) -> dict[Precision, ModelVersion]:
    """A sentiment classifier on ``base`` in each precision; every folder is a Hugging Face model and a version.

    ``fp32`` is the graph as optimum exports it, ``int8`` its fused and quantised form.
    """
    torch.manual_seed(1)
    labels = _CLASSES[SENTIMENT]
    transformers.logging.set_verbosity_error()
    network = transformers.BertForSequenceClassification.from_pretrained(
        base, num_labels=len(labels), id2label=dict(enumerate(labels)), attn_implementation="eager"
    )
    graph = _exported(network, {_LOGITS: len(labels)}, folder)
    found = {}
    for precision in precisions:
        place = folder / precision
        network.config.save_pretrained(place)
        transformers.AutoTokenizer.from_pretrained(base).save_pretrained(place)
        content = graph if precision == "fp32" else quantised(fused(graph))
        found[precision] = _version(place, content, precision, tokens, (Head(task=SENTIMENT, output=_LOGITS),))
    return found


def three_heads(folder: Path, base: Path, tokens: Tokens) -> ModelVersion:
    """Sentiment, emotion and embedding in int8: half of the layers shared, the others once for classes, once for it."""
    torch.manual_seed(1)
    layers = transformers.AutoConfig.from_pretrained(base).num_hidden_layers
    tuned, original = Branch(name="tuned"), Branch(name="original", tuned=False)
    heads = (
        *(HeadDesign(task=task, branch=tuned.name, labels=labels) for task, labels in _CLASSES.items()),
        HeadDesign(task=EMBEDDING, branch=original.name, kind="embedding"),
    )
    design = Design(layers // 2, (original, tuned), heads, tokens, base.name)
    network = Network.start(base, design, attention="eager")
    widths = {task: len(labels) for task, labels in _CLASSES.items()} | {EMBEDDING: network.config.hidden_size}
    (folder / "heads").mkdir()
    (folder / "heads" / TOKENIZER).write_bytes((base / TOKENIZER).read_bytes())
    return _version(
        folder / "heads",
        quantised(fused(_exported(network, widths, folder))),
        "int8",
        tokens,
        tuple(Head(task=head.task, output=head.task, kind=head.kind) for head in heads),
    )


def pipeline(version: ModelVersion, threads: int) -> Pipeline:
    """The peer on a version of :func:`classifiers`: optimum's model in a pipeline of transformers."""
    tokens = version.manifest.tokens
    assert tokens is not None
    torch.set_num_threads(threads)
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    logging.getLogger("optimum").setLevel(logging.ERROR)
    classify = transformers.pipeline(
        "text-classification",
        model=ORTModelForSequenceClassification.from_pretrained(
            version.folder, file_name=MODEL, session_options=options
        ),
        tokenizer=transformers.AutoTokenizer.from_pretrained(version.folder),
        device="cpu",
        top_k=None,
    )

    def run(texts: Sequence[str], batch_size: int) -> list[dict[str, float]]:
        found = classify(list(texts), batch_size=batch_size, truncation=True, max_length=tokens.max_length)
        return [{score["label"]: score["score"] for score in scores} for scores in found]

    return run


def _exported(network: nn.Module, outputs: Mapping[str, int], folder: Path) -> onnx.ModelProto:
    path = folder / "exported.onnx"
    write_graph(network, INPUTS, outputs, path, _OPSET)
    return onnx.load(path)


def _version(
    folder: Path, graph: onnx.ModelProto, precision: Precision, tokens: Tokens, heads: Sequence[Head]
) -> ModelVersion:
    """The version that ``graph`` makes in ``folder``, where its tokenizer lies."""
    labels = {head.task: _CLASSES[head.task] for head in heads if head.kind == "classes"}
    content = {
        MODEL: graph.SerializeToString(),
        LABELS: msgspec.json.encode(labels),
        CALIBRATION: msgspec.json.encode({task: Calibration(temperature=1.0) for task in labels}),
        TOKENIZER: (folder / TOKENIZER).read_bytes(),
    }
    for name, written in content.items():
        (folder / name).write_bytes(written)
    outputs = tuple(
        Tensor(
            name=output.name,
            dtype="float32",
            shape=("rows", output.type.tensor_type.shape.dim[1].dim_value),
        )
        for output in graph.graph.output
    )
    manifest = Manifest(
        format=FORMAT,
        name="minilm",
        version=precision,
        created_at=datetime.now(UTC),
        files={name: hashlib.sha256(written).hexdigest() for name, written in content.items()},
        encoder=TOKENS,
        inputs=INPUTS,
        outputs=outputs,
        heads=tuple(heads),
        tools={},
        metrics={},
        data=(),
        golden=(_golden(content, outputs, tokens, heads, labels),),
        tolerance=0.01,
        licence="Apache-2.0",
        graphs={precision: MODEL},
        tokens=tokens,
        embedding_space="minilm" if len(labels) < len(heads) else None,
    )
    return ModelVersion(folder, manifest)


def _golden(
    content: Mapping[str, bytes],
    outputs: Sequence[Tensor],
    tokens: Tokens,
    heads: Sequence[Head],
    labels: Mapping[str, Sequence[str]],
) -> Golden:
    encoder = TokenEncoder(content[TOKENIZER], tokens, INPUTS)
    ((row,), _, _) = encoder.encode([_GOLDEN])[0]
    answer = Session(content[MODEL], INPUTS, outputs, threads=1).run(encoder.collate([row], row.size))
    expected = {}
    embedding = None
    for head in heads:
        values: Any = answer[head.output][0].astype(np.float64)
        if head.kind == "embedding":
            embedding = np.rint(127 * values / np.abs(values).max()).astype(np.int8).tobytes().hex()
        else:
            powers = np.exp(values - values.max())
            expected[head.task] = dict(zip(labels[head.task], (powers / powers.sum()).tolist(), strict=True))
    return Golden(text=_GOLDEN, expected=expected, embedding=embedding)
