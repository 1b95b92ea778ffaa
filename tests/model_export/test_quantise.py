"""Eight and four bits: near to fp32, the same whatever stands beside a text, and never saturated."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from groundswell.errors import ModelError
from inference.manifest import MODEL
from model_export import quantise
from model_export.activation_ranges import activation_ranges
from model_export.fusion import fused
from model_export.quantise import inputs_of_products, quantised
from model_export.text_batches import TextBatches
from tests.inference.tiny import tiny_draft
from tests.inference.tiny_bert import TinyBert
from tests.model_export.tiny_run import TEXTS, Answers, answers, branched, session_of, tiny_encoder, with_choice

BERT = TinyBert(3)
ENCODER = tiny_encoder(BERT)


@pytest.fixture(scope="module")
def whole() -> ModelProto:
    return fused(onnx.load_model_from_string(BERT.graph()))


@pytest.fixture(scope="module")
def ranges(whole: ModelProto) -> quantise.Ranges:
    return activation_ranges(whole, TextBatches(ENCODER, TEXTS))


def worst_cosine(first: Answers, second: Answers) -> float:
    one, other = first["embedding"], second["embedding"]
    cosines = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return float(cosines.min())


@pytest.mark.parametrize(("bits", "least"), [(8, 0.99), (4, 0.95)])
def test_stays_near_fp32(whole: ModelProto, bits: quantise.Bits, least: float) -> None:
    found = quantised(whole, word_bits=bits)
    before, after = (answers(session_of(each, BERT), ENCODER, TEXTS) for each in (whole, found))
    assert worst_cosine(before, after) > least


def test_calibrated_scales_stay_near_fp32(whole: ModelProto, ranges: quantise.Ranges) -> None:
    found = quantised(whole, ranges=ranges)
    assert Counter(node.op_type for node in found.graph.node)["ReduceMax"] == 0
    before, after = (answers(session_of(each, BERT), ENCODER, TEXTS) for each in (whole, found))
    assert worst_cosine(before, after) > 0.97


def test_every_branch_is_quantised() -> None:
    found = quantised(fused(branched(BERT.graph())))
    # Query, key, value, what was attended, inner and outer of three layers.
    assert Counter(node.op_type for node in found.graph.node)["MatMulIntegerToFloat"] == 18
    before = answers(session_of(branched(BERT.graph()), BERT), ENCODER, TEXTS)
    assert worst_cosine(before, answers(session_of(found, BERT), ENCODER, TEXTS)) > 0.99


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8), st.integers(1, 400), st.booleans())
def test_neighbours_and_padding_change_nothing(
    whole: ModelProto, ranges: quantise.Ranges, texts: list[str], tokens: int, static: bool
) -> None:
    session = session_of(quantised(whole, ranges=ranges if static else None), BERT)
    alone = answers(session, ENCODER, texts, tokens=1)
    together = answers(session, ENCODER, texts, tokens=tokens)
    # Attention sums in another order; a byte on the edge may then fall to the other side.
    assert max(float(np.abs(alone[name] - together[name]).max()) for name in alone) < 0.02
    assert worst_cosine(alone, together) > 0.9999


def test_branches_go_on_reading_what_they_did() -> None:
    plain = fused(with_choice(onnx.load_model_from_string(BERT.graph())))
    found = quantised(plain)
    # The layer after the branches counts as much as the one before.
    assert Counter(node.op_type for node in found.graph.node)["MatMulIntegerToFloat"] == 12
    before, after = (answers(session_of(each, BERT), ENCODER, TEXTS) for each in (plain, found))
    assert worst_cosine(before, after) > 0.99


def test_what_is_not_of_tokens_has_a_range_of_all_its_numbers() -> None:
    model = onnx.load_model_from_string(BERT.graph())
    graph: Any = model.graph
    table = np.linspace(-3, 5, 7 * 32, dtype=np.float32).reshape(1, 7, 32)
    graph.initializer.append(numpy_helper.from_array(table, "distances"))
    norm = next(node for node in graph.node if node.op_type == "LayerNormalization")
    product = helper.make_node("MatMul", ["distances", "0.query"], ["distances/query"])
    total = helper.make_node("ReduceMean", ["distances/query"], ["distances/mean"], keepdims=0)
    read = norm.input[0]
    norm.input[0] = "distances/added"
    place = list(graph.node).index(norm)
    added = helper.make_node("Add", [read, "distances/mean"], ["distances/added"])
    for offset, node in enumerate((product, total, added)):
        graph.node.insert(place + offset, node)
    found = activation_ranges(fused(model), TextBatches(ENCODER, TEXTS), within=1.0)
    assert found["distances"] == (-3.0, 5.0)


FINITE = st.floats(-1e6, 1e6, width=32)
WEIGHTS = hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=FINITE)


def largest_sums(weights: NDArray[np.int8]) -> tuple[int, int]:
    """The largest and the smallest that two neighbouring inputs of a byte each can add up to."""
    even = np.concatenate([weights, np.zeros((len(weights) % 2, weights.shape[1]), np.int8)]).astype(int)
    pairs = even.reshape(-1, 2, even.shape[1])
    return 255 * int(np.maximum(pairs, 0).sum(axis=1).max()), 255 * int(np.minimum(pairs, 0).sum(axis=1).min())


@settings(deadline=None, max_examples=300)
@given(WEIGHTS)
def test_two_products_always_fit_into_sixteen_bits(weights: NDArray[np.float32]) -> None:
    scales = quantise._column_scales(weights)
    found = np.rint(weights / scales)
    assert np.abs(found).max() <= 127
    high, low = largest_sums(found.astype(np.int8))
    assert high <= 32_767
    assert low >= -32_768
    # Half a step is the most that rounding costs.
    assert (np.abs(found * scales - weights) <= scales * 0.501).all()


def test_the_bytes_in_the_graph_fit_into_sixteen_bits(whole: ModelProto) -> None:
    found = quantised(whole)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in found.graph.initializer}
    products = [node for node in found.graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(products) == 12
    for node in products:
        high, low = largest_sums(constants[node.input[1]])
        assert -32_768 <= low <= high <= 32_767


def test_heads_stay_fp32_and_what_was_replaced_is_gone(whole: ModelProto) -> None:
    before = len(whole.SerializeToString())
    sizes = {bits: len(quantised(whole, word_bits=bits).SerializeToString()) for bits in (8, 4)}
    assert sizes[4] < sizes[8] < before
    kinds = {tensor.name: tensor.data_type for tensor in quantised(whole).graph.initializer}
    assert {kinds[f"{task}.weight"] for task in BERT.heads} == {onnx.TensorProto.FLOAT}
    assert "words" not in kinds


def test_four_bits_are_within_half_a_step(whole: ModelProto) -> None:
    found = quantised(whole, word_bits=4)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in found.graph.initializer}
    words = BERT.weights["words"]
    scales = np.repeat(constants["words/scales"], quantise.BLOCK, axis=1)
    kept = constants["words/nibbles"].astype(np.float32) * scales
    # At the end that has no -8 a whole step may be cut off.
    assert (np.abs(kept - words) <= np.abs(scales) * 1.001).all()
    assert np.mean(np.abs(kept - words) <= np.abs(scales) * 0.501) > 0.95


def test_what_cannot_be_quantised_is_refused(whole: ModelProto) -> None:
    bag = onnx.load_model_from_string(tiny_draft().files[MODEL])
    with pytest.raises(ModelError, match="no layers to quantise"):
        quantised(bag)
    with pytest.raises(ModelError, match="calibrate the graph with texts first"):
        quantised(whole, ranges=dict.fromkeys(inputs_of_products(whole)[1:], (-1.0, 1.0)))
    narrow = onnx.load_model_from_string(whole.SerializeToString())
    table = next(tensor for tensor in narrow.graph.initializer if tensor.name == "words")
    table.CopyFrom(numpy_helper.from_array(BERT.weights["words"][:, :20], "words"))
    with pytest.raises(ModelError, match="words has 20 columns: four bits need a multiple of 32"):
        quantised(narrow, word_bits=4)
