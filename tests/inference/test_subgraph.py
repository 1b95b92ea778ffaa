"""Parts of a graph: what an output needs stays, what it does not need is gone."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from groundswell.errors import ModelError
from inference.session import Session
from inference.subgraph import subgraph
from tests.inference.tiny_bert import TinyBert


def graph_of(sums: list[tuple[int, int]], outputs: set[int]) -> bytes:
    """Node *i* adds two of the tensors 0 (the input), 1 (a weight), 2 (node 0), 3 (node 1) …; some are outputs."""
    names = ["x", "w", *(f"sum_{number}" for number in range(len(sums)))]
    nodes = [helper.make_node("Add", [names[a], names[b]], [names[2 + i]]) for i, (a, b) in enumerate(sums)]
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows"])],
        [helper.make_tensor_value_info(names[2 + i], TensorProto.FLOAT, ["rows"]) for i in sorted(outputs)],
        [numpy_helper.from_array(np.ones(1, np.float32), "w")],
        value_info=[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows"]) for name in names[2:]],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


@st.composite
def sums(draw: st.DrawFn) -> tuple[list[tuple[int, int]], set[int]]:
    number = draw(st.integers(1, 12))
    nodes = [(draw(st.integers(0, 1 + i)), draw(st.integers(0, 1 + i))) for i in range(number)]
    return nodes, draw(st.sets(st.integers(0, number - 1), min_size=1))


@given(sums(), st.data())
def test_exactly_what_the_outputs_need_stays(
    drawn: tuple[list[tuple[int, int]], set[int]], data: st.DataObject
) -> None:
    nodes, outputs = drawn
    wanted = data.draw(st.sets(st.sampled_from(sorted(outputs)), min_size=1))
    whole = graph_of(nodes, outputs)
    part = onnx.load_from_string(subgraph(whole, {f"sum_{number}" for number in wanted}))
    needed = set(wanted) if wanted != outputs else set(range(len(nodes)))
    for number in reversed(range(len(nodes))):  # a node needs only earlier ones
        if number in needed:
            needed |= {tensor - 2 for tensor in nodes[number] if tensor >= 2}
    assert [node.output[0] for node in part.graph.node] == [f"sum_{number}" for number in sorted(needed)]
    assert [output.name for output in part.graph.output] == [f"sum_{number}" for number in sorted(wanted)]
    assert [value.name for value in part.graph.input] == ["x"]
    if wanted != outputs:
        assert len(part.graph.initializer) == any(1 in nodes[number] for number in needed)
    onnx.checker.check_model(part, full_check=True)


def test_a_part_answers_what_the_whole_does() -> None:
    bert = TinyBert(0)
    whole = Session(bert.graph(), bert.inputs, bert.outputs, threads=1)
    batch = {tensor.name: np.array([[2, 5, 3], [2, 6, 3]], np.int64) % 2 + 1 for tensor in bert.inputs[:2]}
    batch |= {tensor.name: np.zeros((2, 3), np.int64) for tensor in bert.inputs[2:]}
    for tensor in bert.outputs:
        part = subgraph(bert.graph(), {tensor.name})
        assert len(part) < len(bert.graph())
        found = Session(part, bert.inputs, [tensor], threads=1).run(batch)
        np.testing.assert_allclose(found[tensor.name], whole.run(batch)[tensor.name], atol=1e-6)


def test_all_outputs_are_the_whole() -> None:
    whole = graph_of([(0, 1), (2, 1)], {0, 1})
    assert subgraph(whole, {"sum_0", "sum_1"}) is whole


def test_control_flow_stays_whole() -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["inner"], ["out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["rows"])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["x"], ["inner"]),
            helper.make_node("If", ["flag"], ["chosen"], then_branch=branch, else_branch=branch),
        ],
        "choice",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows"]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows"]) for name in ("inner", "chosen")],
    )
    whole = bytes(helper.make_model(graph, ir_version=10).SerializeToString())
    assert subgraph(whole, {"chosen"}) is whole


def test_an_output_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="no output sum_7"):
        subgraph(graph_of([(0, 1)], {0}), {"sum_7"})


@given(st.integers(0, 400), st.binary(max_size=40))
def test_what_is_no_graph_is_refused_or_ends_as_a_graph_without_the_output(cut: int, junk: bytes) -> None:
    whole = graph_of([(0, 1), (2, 1), (3, 3)], {1, 2})
    for broken in (whole[: min(cut, len(whole) - 1)], junk, junk + whole[cut:]):
        try:
            part = subgraph(broken, {"sum_2"})
        except ModelError:
            continue
        # Bytes that happen to be a message: onnxruntime judges them as it judges any graph.
        assert isinstance(part, bytes)
