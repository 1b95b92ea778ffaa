"""Batches of texts: within the budget, padded little, and every text gets its own answer."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from groundswell.errors import ModelError
from inference.tokens import ATTENTION_MASK
from model_export.text_batches import TextBatches, signature
from tests.inference.tiny_bert import TinyBert
from tests.model_export.tiny_run import TEXTS, answers, farthest, session_of, tiny_encoder

BERT = TinyBert(3)
ENCODER = tiny_encoder(BERT)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(TEXTS), max_size=20), st.integers(1, 300))
def test_every_row_is_in_one_batch_within_the_budget(texts: list[str], tokens: int) -> None:
    found = TextBatches(ENCODER, texts, tokens=tokens)
    assert sorted(place for batch in found.batches for place in batch.places) == list(range(found.rows))
    lengths = []
    for batch in found.batches:
        mask = batch.inputs[ATTENTION_MASK]
        assert len(batch.places) == 1 or mask.size <= tokens
        lengths += mask.sum(axis=1).tolist()
    assert lengths == sorted(lengths)


def test_every_text_gets_its_own_answer_in_order() -> None:
    session = session_of(onnx.load_model_from_string(BERT.graph()), BERT)
    forth = answers(session, ENCODER, TEXTS)
    back = answers(session, ENCODER, TEXTS[::-1])
    assert farthest(forth, {name: values[::-1] for name, values in back.items()}) < 1e-5


def test_a_graph_tells_its_signature() -> None:
    model = onnx.load_model_from_string(BERT.graph())
    assert signature(model) == (BERT.inputs, BERT.outputs)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.BFLOAT16
    with pytest.raises(ModelError, match="sentiment is a tensor of BFLOAT16"):
        signature(model)
