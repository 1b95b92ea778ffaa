"""Half precision: weights in fp16, norms and all that is read in fp32, and it runs on a processor too."""

from __future__ import annotations

import onnx
import pytest
from onnx import ModelProto, TensorProto

from model_export.fusion import fused
from model_export.half import half_precision
from tests.inference.tiny_bert import TinyBert
from tests.model_export.tiny_run import TEXTS, answers, branched, farthest, session_of, tiny_encoder, with_choice

BERT = TinyBert(3)
ENCODER = tiny_encoder(BERT)


@pytest.fixture(scope="module", params=["one branch", "two branches"])
def graphs(request: pytest.FixtureRequest) -> tuple[ModelProto, ModelProto]:
    one = onnx.load_model_from_string(BERT.graph())
    model = one if request.param == "one branch" else branched(BERT.graph())
    return model, half_precision(fused(model, packed=True))


def test_weights_are_halved_and_norms_are_not(graphs: tuple[ModelProto, ModelProto]) -> None:
    _, half = graphs
    kinds = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert kinds["words/half"] == TensorProto.FLOAT16
    norms = [node for node in half.graph.node if node.op_type == "LayerNormalization"]
    assert norms
    assert {kinds[name] for norm in norms for name in norm.input[1:]} == {TensorProto.FLOAT}
    assert {kinds[f"{task}.weight"] for task in BERT.heads} == {TensorProto.FLOAT}


def test_answers_stay_near_and_padding_changes_little(graphs: tuple[ModelProto, ModelProto]) -> None:
    plain, half = graphs
    session = session_of(half, BERT)
    before, after = answers(session_of(plain, BERT), ENCODER, TEXTS), answers(session, ENCODER, TEXTS)
    assert farthest(before, after) < 0.02
    assert farthest(after, answers(session, ENCODER, TEXTS, tokens=1)) < 0.01


def test_the_fused_graph_is_left_as_it_was() -> None:
    whole = fused(onnx.load_model_from_string(BERT.graph()))
    before = whole.SerializeToString(deterministic=True)
    half_precision(whole)
    assert whole.SerializeToString(deterministic=True) == before


def test_branches_go_on_reading_whole_numbers() -> None:
    plain = fused(with_choice(onnx.load_model_from_string(BERT.graph())))
    before, after = (answers(session_of(each, BERT), ENCODER, TEXTS) for each in (plain, half_precision(plain)))
    assert farthest(before, after) < 0.02
