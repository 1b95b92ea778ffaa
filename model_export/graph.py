"""The ONNX graph of a linear model over bags of n-grams."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inference.manifest import Tensor
from inference.model import IDS

#: Opset and IR version that onnxruntime 1.23 and later read.
OPSET = 18
IR_VERSION = 10

INPUT = Tensor(name=IDS, dtype="int32", shape=("rows", "length"))


def output(task: str, labels: int) -> Tensor:
    """The logits of a task."""
    return Tensor(name=task, dtype="float32", shape=("rows", labels))


def bag_graph(task: str, table: NDArray[np.float32], bias: NDArray[np.float32]) -> bytes:
    """Logits ``[rows, labels]`` from padded ids ``[rows, length]``.

    Row *i* of ``table`` ``[ids, labels + 1]`` is what one occurrence of id *i* adds to the
    logits, and last to the squared norm that they are divided by the root of; row 0 is
    padding and zero. ``bias`` is added at the end.
    """
    labels = len(bias)
    constants: dict[str, NDArray[Any]] = {
        "table": table,
        "bias": bias,
        "length_axis": np.array([1], dtype=np.int64),
        "parts": np.array([labels, 1], dtype=np.int64),
        "one": np.array(1, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", IDS], ["looked_up"], axis=0),
        helper.make_node("ReduceSum", ["looked_up", "length_axis"], ["summed"], keepdims=0),
        helper.make_node("Split", ["summed", "parts"], ["weight", "square"], axis=1),
        # Every known id weighs at least 1, so this only keeps a text without any from 0/0.
        helper.make_node("Max", ["square", "one"], ["square_or_one"]),
        helper.make_node("Sqrt", ["square_or_one"], ["norm"]),
        helper.make_node("Div", ["weight", "norm"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], [task]),
    ]
    graph = helper.make_graph(
        nodes,
        "bag_of_ngrams",
        [helper.make_tensor_value_info(INPUT.name, TensorProto.INT32, INPUT.shape)],
        [helper.make_tensor_value_info(task, TensorProto.FLOAT, output(task, labels).shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="groundswell",
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
