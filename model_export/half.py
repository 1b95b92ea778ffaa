"""Graphs in half precision, for GPUs."""

from __future__ import annotations

from copy import deepcopy
from importlib import import_module
from typing import Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from model_export.fusion import NORM, in_layers
from model_export.subgraphs import all_reads, read_within

_LARGEST: Final = float(np.finfo(np.float16).max)
#: Operators that read a tensor's shape and none of its numbers.
_OF_SHAPES: Final = frozenset({"Shape", "Size"})


def half_precision(model: ModelProto) -> ModelProto:
    """A fused graph whose weights and layers are fp16; inputs, norms, pooling, heads and outputs stay as they are.

    Norms sum squares, and pooling sums over hundreds of tokens: fp16 would lose digits there.
    A processor runs it too, by way of fp32 and slowly.
    """
    floats = _floats(model)
    model = deepcopy(model)
    graph: Any = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    # The nodes of branches are not rewritten: what they read stays what it is.
    kept_whole = {name for node in graph.node for name in read_within(node)}
    inside = {
        node.output[0]
        for node in in_layers(model)
        if NORM not in node.op_type and _computes(node, floats) and kept_whole.isdisjoint(node.output)
    }
    halves = {name for node in graph.node if node.output[0] in inside for name in node.output}
    made: dict[str, NodeProto | TensorProto] = {}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type not in _OF_SHAPES:
            half = node.output[0] in inside
            for place, name in enumerate(node.input):
                if name in floats and half != (name in halves):
                    node.input[place] = _converted(name, half, constants, made, nodes)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    read = all_reads(nodes)
    weights = [tensor for tensor in made.values() if isinstance(tensor, TensorProto)]
    kept = [tensor for name, tensor in constants.items() if name in read]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *weights])
    # What was noted of tensors between the nodes is of their former types.
    del graph.value_info[:]
    return model


def _computes(node: NodeProto, floats: set[str]) -> bool:
    # A cast says itself what it gives.
    return node.op_type != "Cast" and bool(floats.intersection(node.input)) and set(node.output) <= floats


def _converted(
    name: str,
    half: bool,
    constants: dict[str, TensorProto],
    made: dict[str, NodeProto | TensorProto],
    nodes: list[NodeProto],
) -> str:
    """The same tensor in the other precision, made where it is first read."""
    wanted = f"{name}/{'half' if half else 'whole'}"
    if wanted not in made:
        if name in constants:
            values = numpy_helper.to_array(constants[name]).clip(-_LARGEST, _LARGEST)
            made[wanted] = numpy_helper.from_array(values.astype(np.float16), wanted)
        else:
            kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
            made[wanted] = cast = helper.make_node("Cast", [name], [wanted], name=wanted, to=kind)
            nodes.append(cast)
    return wanted


def _floats(model: ModelProto) -> set[str]:
    """The tensors of a graph that hold fp32, as the runtime works them out: it alone knows all operators."""
    runtime: Any = import_module("onnxruntime")
    model = deepcopy(model)
    known = {each.name for each in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in known:
                output = ValueInfoProto()
                output.name = name
                model.graph.output.append(output)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = {each.name for each in session.get_outputs() if each.type == "tensor(float)"}
    return found | {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
