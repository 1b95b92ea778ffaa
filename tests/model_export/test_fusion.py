"""Fusing: every attention and GELU in every branch, and answers that stay what they were."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from groundswell.errors import ModelError
from inference.manifest import MODEL
from model_export.fusion import fused, in_layers
from model_export.masks import plain_masks
from tests.inference.tiny import tiny_draft
from tests.inference.tiny_bert import TinyBert
from tests.model_export.tiny_run import TEXTS, answers, branched, farthest, session_of, tiny_encoder

BERT = TinyBert(3)
ENCODER = tiny_encoder(BERT)


def graph() -> ModelProto:
    return onnx.load_model_from_string(BERT.graph())


def kinds(model: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.fixture(scope="module")
def plain() -> ModelProto:
    return fused(graph())


def test_every_attention_and_gelu_is_one_operator(plain: ModelProto) -> None:
    found = kinds(plain)
    assert (found["MultiHeadAttention"], found["BiasGelu"], found["LayerNormalization"]) == (2, 2, 5)
    assert not found["Softmax"] + found["Erf"]


def test_answers_differ_by_rounding_only(plain: ModelProto) -> None:
    before = answers(session_of(graph(), BERT), ENCODER, TEXTS)
    assert farthest(before, answers(session_of(plain, BERT), ENCODER, TEXTS)) < 1e-5


def test_one_product_for_query_key_and_value_gives_the_same(plain: ModelProto) -> None:
    packed = fused(graph(), packed=True, skip=True)
    assert kinds(packed)["Attention"] == 2
    assert kinds(packed)["SkipLayerNormalization"]
    found = [answers(session_of(model, BERT), ENCODER, TEXTS) for model in (plain, packed)]
    assert farthest(*found) < 1e-5


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8), st.integers(1, 400))
def test_neighbours_and_padding_change_nothing(plain: ModelProto, texts: list[str], tokens: int) -> None:
    session = session_of(plain, BERT)
    alone = answers(session, ENCODER, texts, tokens=1)
    assert farthest(alone, answers(session, ENCODER, texts, tokens=tokens)) < 1e-5


def test_every_branch_is_fused_and_answers_as_before() -> None:
    model = branched(BERT.graph())
    found = fused(model)
    assert (kinds(found)["MultiHeadAttention"], kinds(found)["BiasGelu"]) == (3, 3)
    # The norm that both branches read is worked out once.
    assert kinds(found)["LayerNormalization"] == kinds(model)["LayerNormalization"] == 7
    before, after = (answers(session_of(each, BERT), ENCODER, TEXTS) for each in (model, found))
    assert farthest(before, after) < 1e-5
    assert np.abs(before["emotion"] - answers(session_of(graph(), BERT), ENCODER, TEXTS)["emotion"]).max() > 0.1


def masked_by(*steps: tuple[str, list[str], str], constants: dict[str, np.ndarray]) -> ModelProto:
    """The tiny model whose mask is what these steps make: operator, inputs, output."""
    model = graph()
    casts: dict[str, dict[str, Any]] = {"cast": {"to": TensorProto.FLOAT}, "bool": {"to": TensorProto.BOOL}}
    made = [helper.make_node(kind, read, [name], name=name, **casts.get(name, {})) for kind, read, name in steps]
    writers = {node.output[0]: node for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type == "Softmax":
            writers[node.input[0]].input[1] = steps[-1][2]
    for node in reversed(made):
        model.graph.node.insert(0, node)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return model


ONE, LEAST, ZERO = (np.array(value, np.float32) for value in (1, np.finfo(np.float32).min, 0))
AXIS = {"first": np.array([1], np.int64), "second": np.array([2], np.int64), "both": np.array([1, 2], np.int64)}
CAST_FIRST = (
    ("Cast", ["attention_mask"], "cast"),
    ("Sub", ["c1", "cast"], "absent"),
    ("Unsqueeze", ["absent", "first"], "row"),
    ("Unsqueeze", ["row", "second"], "head"),
    ("Mul", ["head", "least"], "mask"),
)
CHOSEN = (
    ("Cast", ["attention_mask"], "bool"),
    ("Unsqueeze", ["bool", "both"], "head"),
    ("Where", ["head", "c0", "least"], "mask"),
)


@pytest.mark.parametrize("steps", [CAST_FIRST, CHOSEN])
def test_a_mask_is_known_by_what_it_does(steps: tuple[tuple[str, list[str], str], ...]) -> None:
    model = masked_by(*steps, constants=AXIS | {"c1": ONE, "c0": ZERO, "least": LEAST})
    before = answers(session_of(model, BERT), ENCODER, TEXTS)
    found = fused(model)
    assert kinds(found)["MultiHeadAttention"] == 2
    assert farthest(before, answers(session_of(found, BERT), ENCODER, TEXTS)) < 1e-5


@pytest.mark.parametrize(("absent", "present"), [(-5.0, 0.0), (-1e9, 0.5)])
def test_what_does_not_hide_padding_is_no_mask(absent: float, present: float) -> None:
    constants = AXIS | {"c0": np.array(present, np.float32), "least": np.array(absent, np.float32)}
    model = masked_by(*CHOSEN, constants=constants)
    before = model.SerializeToString(deterministic=True)
    plain_masks(model)
    assert model.SerializeToString(deterministic=True) == before
    with pytest.raises(ModelError, match="0 of 2 attentions were fused: export the graph with eager attention"):
        fused(model)


def test_layers_end_with_the_last_norm() -> None:
    inside = {node.op_type for node in in_layers(graph())}
    outside = {node.op_type for node in graph().graph.node if node.op_type not in inside}
    assert {"MatMul", "Softmax", "LayerNormalization", "Erf"} <= inside
    assert {"ReduceL2", "ReduceSum"} <= outside


def test_what_is_no_transformer_is_refused() -> None:
    bag = onnx.load_model_from_string(tiny_draft().files[MODEL])
    with pytest.raises(ModelError, match="0 of 0 attentions"):
        fused(bag)
    with pytest.raises(ModelError, match="no layer norm"):
        fused(bag, attention=False)
