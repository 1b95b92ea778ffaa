"""The folder of a run whose graph is a tiny BERT, made without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from inference.manifest import Calibration, Tokens
from inference.rows import Text
from inference.session import Session
from inference.tokens import TokenEncoder
from model_export.text_batches import TextBatches
from tests.inference.tiny_bert import HEADS, HIDDEN, NLI_HEADS, TinyBert, tiny_tokenizer

Answers = dict[str, NDArray[Any]]

_WORDS = ("good", "bad", "the", "city", "rain", "very", "love", "hate", "day", "not")
#: Texts of many lengths, all of words that the tiny tokenizer knows.
TEXTS = tuple(" ".join(np.random.default_rng(number).choice(_WORDS, 1 + number)) for number in range(40))
SINGLES = Tokens(max_length=24, overlap=4, max_windows=3, normaliser="social")
PAIRS = Tokens(max_length=24, pairs=True)


def tiny_run(folder: Path, seed: int = 0, *, pairs: bool = False) -> TinyBert:
    """Write the files of a run into ``folder``: exported, and neither trained nor optimised."""
    bert = TinyBert(seed, heads=NLI_HEADS if pairs else HEADS, embedding=0 if pairs else HIDDEN)
    heads = [{"task": task, "branch": "tuned", "labels": labels} for task, labels in bert.heads.items()]
    if not pairs:
        heads.append({"task": "embedding", "branch": "tuned", "kind": "embedding"})
    tokens = PAIRS if pairs else SINGLES
    export = folder / "export"
    export.mkdir(parents=True)
    (export / "model.onnx").write_bytes(bert.graph())
    files = {
        "network.json": {"tokens": msgspec.to_builtins(tokens), "heads": heads, "trunk": 0},
        "labels.json": bert.heads,
        "calibration.json": {task: msgspec.to_builtins(Calibration(temperature=2.0)) for task in bert.heads},
        "config.json": {"model_type": "bert", "hidden_size": HIDDEN},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "tokenizer.json").write_text(tiny_tokenizer().to_str())
    return bert


def tiny_encoder(bert: TinyBert, tokens: Tokens = SINGLES) -> TokenEncoder:
    """What makes texts into the tiny model's rows."""
    return TokenEncoder(tiny_tokenizer().to_str().encode(), tokens, bert.inputs)


def labelled(bert: TinyBert, texts: tuple[Text, ...] = TEXTS) -> list[dict[str, str]]:
    """Rows for a file of labelled texts, with labels in turn."""
    labels = next(iter(bert.heads.values()))
    rows = []
    for number, text in enumerate(texts):
        said = {"text": text} if isinstance(text, str) else dict(zip(("premise", "hypothesis"), text, strict=True))
        rows.append(said | {"label": labels[number % len(labels)]})
    return rows


def branched(graph: bytes) -> ModelProto:
    """The tiny model with a second branch on its first layer: other weights, which ``emotion`` alone reads."""
    model = onnx.load_model_from_string(graph)
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    above = {norms[2].output[0]}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in list(model.graph.node):
        if not above.intersection(node.input):
            continue
        above.update(node.output)
        if node.output[0] in HEADS or node.output[0] == "embedding":
            if node.output[0] == "emotion":
                node.input[0] = f"branch/{node.input[0]}"
            continue
        copy = deepcopy(node)
        copy.name, copy.output[0] = f"branch/{node.name}", f"branch/{node.output[0]}"
        for place, read in enumerate(copy.input):
            if read in above and read != norms[2].output[0]:
                copy.input[place] = f"branch/{read}"
            elif read.startswith("1."):
                copy.input[place] = f"branch/{read}"
                if copy.input[place] not in weights:
                    changed = numpy_helper.to_array(weights[read]) * np.float32(-0.9)
                    weights[copy.input[place]] = numpy_helper.from_array(changed, copy.input[place])
        model.graph.node.insert(list(model.graph.node).index(node) + 1, copy)
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights.values())
    read = {name for node in model.graph.node for name in node.input} | {each.name for each in model.graph.output}
    while unread := [node for node in model.graph.node if not read.intersection(node.output)]:
        for node in unread:
            model.graph.node.remove(node)
        read = {name for node in model.graph.node for name in node.input} | {each.name for each in model.graph.output}
    onnx.checker.check_model(model, full_check=True)
    return model


def with_choice(model: ModelProto) -> ModelProto:
    """The model with an ``If`` after its first layer, whose branches alone read that layer's numbers: twice or once.

    ``If`` answers for more than four tokens with the doubled numbers, else with those that are there.
    """
    model = deepcopy(model)
    graph: Any = model.graph
    norm = [node for node in graph.node if node.op_type == "LayerNormalization"][2]
    written = norm.output[0]
    norm.output[0] = f"{written}/one"

    def branch(number: float, name: str) -> Any:
        return helper.make_graph(
            [
                helper.make_node(
                    "Constant", [], [f"{name}/by"], value=numpy_helper.from_array(np.array([number], np.float32))
                ),
                helper.make_node("Mul", [f"{written}/one", f"{name}/by"], [f"{name}/made"]),
            ],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}/made", TensorProto.FLOAT, None)],
        )

    nodes = [
        helper.make_node("Shape", ["input_ids"], ["choice/tokens"], start=1, end=2),
        helper.make_node("Greater", ["choice/tokens", "choice/four"], ["choice/long"]),
        helper.make_node(
            "If", ["choice/long"], [written], then_branch=branch(2, "then"), else_branch=branch(1, "else")
        ),
    ]
    place = list(graph.node).index(norm) + 1
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)
    graph.initializer.append(numpy_helper.from_array(np.array([4], np.int64), "choice/four"))
    onnx.checker.check_model(model, full_check=True)
    return model


def session_of(model: ModelProto, bert: TinyBert) -> Session:
    """A form of the tiny model, ready to run."""
    return Session(model.SerializeToString(), bert.inputs, bert.outputs, threads=1)


def answers(session: Session, encoder: TokenEncoder, texts: Sequence[Text], *, tokens: int = 512) -> Answers:
    """What a form says of texts, by output; ``tokens`` 1 reads each row alone, without padding."""
    return TextBatches(encoder, texts, tokens=tokens).through(session, session.outputs)


def farthest(first: Answers, second: Answers) -> float:
    """The largest distance between any two numbers of two answers."""
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)
