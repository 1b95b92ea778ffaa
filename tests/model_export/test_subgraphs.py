"""Branches within a graph: what they read is known, renamed and sorted for like any input."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper

from groundswell.errors import ModelError
from model_export.subgraphs import all_reads, read_within, reads, rename_reads, sort_nodes
from tests.inference.tiny_bert import TinyBert
from tests.model_export.tiny_run import with_choice

BERT = TinyBert(3)
MODEL = with_choice(onnx.load_model_from_string(BERT.graph()))


def copied() -> ModelProto:
    return onnx.load_model_from_string(MODEL.SerializeToString())


def choice(model: ModelProto) -> onnx.NodeProto:
    (found,) = (node for node in model.graph.node if node.op_type == "If")
    return cast(onnx.NodeProto, found)


def nested(inner: onnx.NodeProto) -> onnx.NodeProto:
    graph = helper.make_graph([inner], "outer", [], [])
    return helper.make_node("If", ["outside"], ["out"], then_branch=graph, else_branch=graph)


def test_what_branches_read_is_found_at_any_depth() -> None:
    node = choice(MODEL)
    (layer,) = read_within(node)
    assert layer.endswith("/one")
    assert reads(node) == {layer, "choice/long"}
    assert read_within(nested(node)) == {layer, "choice/long"}
    assert reads(nested(node)) == {layer, "choice/long", "outside"}
    assert all_reads([node, helper.make_node("Relu", ["x"], ["y"])]) == {layer, "choice/long", "x"}


def test_branches_read_by_another_name_and_keep_their_own() -> None:
    node = nested(choice(copied()))
    (layer,) = read_within(choice(MODEL))
    rename_reads(node, {layer: "new", "outside": "newer", "then/by": "never"})
    assert reads(node) == {"new", "choice/long", "newer"}


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False))
def test_sorted_nodes_come_after_all_that_they_read(random: Any) -> None:
    model = copied()
    nodes = list(model.graph.node)
    random.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    sort_nodes(model.graph)
    assert sorted(node.name for node in model.graph.node) == sorted(node.name for node in MODEL.graph.node)
    known = {value.name for value in model.graph.input} | {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        assert reads(node) <= known
        known.update(node.output)


def test_what_is_in_order_stays_as_it_is() -> None:
    model = copied()
    sort_nodes(model.graph)
    assert model == MODEL


def test_a_circle_is_refused() -> None:
    first, second = helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])
    with pytest.raises(ModelError, match="goes in a circle"):
        sort_nodes(helper.make_graph([first, second], "circle", [], []))


def test_the_choice_really_chooses() -> None:
    """Or what is proven with it would prove nothing."""
    runtime = pytest.importorskip("onnxruntime")
    sessions = [
        runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        for graph in (BERT.graph(), MODEL.SerializeToString())
    ]
    differ = []
    for length in (3, 8):
        inputs = {value.name: np.ones((1, length), np.int64) for value in MODEL.graph.input}
        before, after = (session.run(["sentiment"], inputs)[0] for session in sessions)
        differ.append(bool(np.abs(before - after).max() > 1e-3))
    assert differ == [False, True]
