"""Masks: known by what they do, however they are written, and left alone where they do anything else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from groundswell.errors import ModelError
from model_export.fusion import fused
from model_export.masks import plain_masks
from tests.inference.tiny_bert import TinyBert
from tests.model_export.tiny_run import TEXTS, answers, farthest, session_of, tiny_encoder

BERT = TinyBert(3)
ENCODER = tiny_encoder(BERT)

#: Operator, inputs, output; the last output is the mask.
Steps = tuple[tuple[str, list[str], str], ...]

ONE, LEAST, ZERO = (np.array(value, np.float32) for value in (1, np.finfo(np.float32).min, 0))
AXIS = {"first": np.array([1], np.int64), "second": np.array([2], np.int64), "both": np.array([1, 2], np.int64)}
CAST_FIRST: Steps = (
    ("Cast", ["attention_mask"], "cast"),
    ("Sub", ["c1", "cast"], "absent"),
    ("Unsqueeze", ["absent", "first"], "row"),
    ("Unsqueeze", ["row", "second"], "head"),
    ("Mul", ["head", "least"], "mask"),
)
CHOSEN: Steps = (
    ("Cast", ["attention_mask"], "bool"),
    ("Unsqueeze", ["bool", "both"], "head"),
    ("Where", ["head", "c0", "least"], "mask"),
)
#: DistilBERT's: true where there is no token.
ABSENT: Steps = (
    ("Equal", ["attention_mask", "none"], "absent"),
    ("Unsqueeze", ["absent", "both"], "mask"),
)
#: DeBERTa's: true where the one or the other of two tokens is none.
OF_TWO: Steps = (
    ("Unsqueeze", ["attention_mask", "both"], "row"),
    ("Unsqueeze", ["attention_mask", "outer"], "column"),
    ("Mul", ["row", "column"], "pair"),
    ("Equal", ["pair", "none"], "mask"),
)
NONE = {"none": np.array(0, np.int64), "outer": np.array([1, 3], np.int64)}


def graph() -> ModelProto:
    return onnx.load_model_from_string(BERT.graph())


def with_steps(model: ModelProto, steps: Steps, constants: dict[str, np.ndarray]) -> ModelProto:
    casts: dict[str, dict[str, Any]] = {"cast": {"to": TensorProto.FLOAT}, "bool": {"to": TensorProto.BOOL}}
    made = [helper.make_node(kind, read, [name], name=name, **casts.get(name, {})) for kind, read, name in steps]
    for node in reversed(made):
        model.graph.node.insert(0, node)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return model


def added(steps: Steps, **constants: np.ndarray) -> ModelProto:
    """The tiny model whose scores what these steps make is added to."""
    model = graph()
    writers = {node.output[0]: node for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type == "Softmax":
            writers[node.input[0]].input[1] = steps[-1][2]
    return with_steps(model, steps, AXIS | constants)


def chosen(steps: Steps, **constants: np.ndarray) -> ModelProto:
    """The tiny model as DistilBERT writes it: queries scaled, then scores replaced where these steps say so."""
    model = graph()
    nodes: Any = model.graph.node
    writers = {node.output[0]: node for node in nodes}
    for softmax in [node for node in nodes if node.op_type == "Softmax"]:
        add = writers[softmax.input[0]]
        after = writers[add.input[0]]
        product = writers[after.input[0]]
        scaled = helper.make_node("Div", [product.input[0], after.input[1]], [f"{product.output[0]}/query"])
        product.input[0] = scaled.output[0]
        where = helper.make_node("Where", [steps[-1][2], "least", product.output[0]], [add.output[0]])
        nodes.insert(list(nodes).index(product), scaled)
        nodes.insert(list(nodes).index(add), where)
        for gone in (add, after):
            nodes.remove(gone)
    return with_steps(model, steps, AXIS | NONE | constants)


def kinds(model: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize(
    "model",
    [
        added(CAST_FIRST, c1=ONE, least=LEAST),
        added(CHOSEN, c0=ZERO, least=LEAST),
        chosen(ABSENT, least=LEAST),
        chosen(ABSENT, least=np.array([-1e5], np.float32)),
    ],
    ids=["multiplied", "made by choice", "chosen by", "chosen by, one number in a row"],
)
def test_a_mask_is_known_by_what_it_does(model: ModelProto) -> None:
    before = answers(session_of(model, BERT), ENCODER, TEXTS)
    found = fused(model)
    assert kinds(found)["MultiHeadAttention"] == 2
    assert not kinds(found)["Where"]
    assert farthest(before, answers(session_of(found, BERT), ENCODER, TEXTS)) < 1e-5


def test_scores_that_are_chosen_become_sums_with_the_same_answers() -> None:
    model = chosen(ABSENT, least=LEAST)
    before = answers(session_of(model, BERT), ENCODER, TEXTS)
    plain_masks(model)
    assert not kinds(model)["Where"]
    assert farthest(before, answers(session_of(model, BERT), ENCODER, TEXTS)) < 1e-5


@pytest.mark.parametrize(
    "model",
    [
        added(CHOSEN, c0=ZERO, least=np.array(-5, np.float32)),
        added(CHOSEN, c0=np.array(0.5, np.float32), least=np.array(-1e9, np.float32)),
        chosen(ABSENT, least=np.array(-5, np.float32)),
        chosen(ABSENT, least=np.full(4, -1e9, np.float32).reshape(1, 4, 1, 1)),
        chosen(ABSENT, least=LEAST, none=np.array(1, np.int64)),
        chosen(OF_TWO, least=LEAST),
    ],
    ids=["too little", "something for tokens", "replaced by too little", "by head", "the wrong way round", "of two"],
)
def test_what_does_anything_else_is_left_as_it_is(model: ModelProto) -> None:
    before = model.SerializeToString(deterministic=True)
    plain_masks(model)
    assert model.SerializeToString(deterministic=True) == before
    with pytest.raises(ModelError, match="0 of 2 attentions were fused: export the graph with eager attention"):
        fused(model)


def test_attention_of_another_kind_may_stay_while_the_rest_is_fused() -> None:
    model = chosen(OF_TWO, least=LEAST)
    found = fused(model, attention=False)
    assert (kinds(found)["Softmax"], kinds(found)["BiasGelu"], kinds(found)["MultiHeadAttention"]) == (2, 2, 0)
    before, after = (answers(session_of(each, BERT), ENCODER, TEXTS) for each in (model, found))
    assert farthest(before, after) < 1e-5
