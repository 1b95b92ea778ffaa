"""Fusing: every attention and GELU in every branch, and answers that stay what they were."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from groundswell.errors import ModelError
from inference.manifest import MODEL
from model_export.fusion import fused, in_layers
from tests.inference.tiny import tiny_draft
from tests.inference.tiny_bert import TinyBert
from tests.model_export.tiny_run import TEXTS, answers, branched, farthest, session_of, tiny_encoder, with_choice

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


def test_layers_end_with_the_last_norm() -> None:
    inside = {node.op_type for node in in_layers(graph())}
    outside = {node.op_type for node in graph().graph.node if node.op_type not in inside}
    assert {"MatMul", "Softmax", "LayerNormalization", "Erf"} <= inside
    assert {"ReduceL2", "ReduceSum"} <= outside


def test_what_branches_read_is_kept_and_comes_before_them() -> None:
    model = with_choice(graph())
    found = fused(model)
    assert kinds(found)["If"] == 1
    assert kinds(found)["MultiHeadAttention"] == 2
    before, after = (answers(session_of(each, BERT), ENCODER, TEXTS) for each in (model, found))
    assert farthest(before, after) < 1e-5


def test_what_is_no_transformer_is_refused() -> None:
    bag = onnx.load_model_from_string(tiny_draft().files[MODEL])
    with pytest.raises(ModelError, match="0 of 0 attentions"):
        fused(bag)
    with pytest.raises(ModelError, match="no layer norm"):
        fused(bag, attention=False)
