"""Attention masks in the one form that fusing knows, whichever exporter wrote the graph."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from inference.tokens import ATTENTION_MASK

_PLAIN: Final = "plain_mask"
_ELEMENT: Final = {TensorProto.INT32: np.int32, TensorProto.INT64: np.int64}
#: Tokens of the rows by which a mask is judged, of that many places: all, some, one.
_SIZES: Final = (6, 3, 1)
#: What is added to the score of a token of padding: at most this.
_ENOUGH: Final = -1e4


def plain_masks(model: ModelProto) -> None:
    """Make each mask that is added to attention's scores anew from the graph's input, in place.

    A mask is replaced where, when it is run, it adds nothing to the scores of tokens and at
    most −10,000 to those of padding: then the new one, ``(1 − mask) · −10⁹``, does the same.
    """
    graph: Any = model.graph
    writers = {name: node for node in graph.node for name in node.output}
    adders = [writers.get(node.input[0]) for node in graph.node if node.op_type == "Softmax"]
    known: dict[str, bool] = {}
    for add in adders:
        if add is None or add.op_type != "Add":
            continue
        for place, name in enumerate(add.input):
            if name not in known:
                known[name] = _is_mask(model, name, writers)
            if known[name]:
                add.input[place] = _PLAIN
    if any(known.values()):
        _add_plain(graph)


def _is_mask(model: ModelProto, name: str, writers: dict[str, NodeProto]) -> bool:
    nodes = _before(name, writers, stop=("Shape",))
    if ATTENTION_MASK not in {read for node in nodes for read in node.input}:
        return False
    if any(node.op_type == "MatMul" for node in nodes):
        return False
    found = _run(model, name, writers)
    present = np.arange(_SIZES[0]) < np.array(_SIZES)[:, None]
    try:
        present = np.broadcast_to(present[:, None, None, :], found.shape)
    except ValueError:
        return False
    return bool((found[present] == 0).all() and (found[~present] <= _ENOUGH).all())


def _run(model: ModelProto, name: str, writers: dict[str, NodeProto]) -> Any:
    """The mask of rows of :data:`_SIZES` tokens, padded on the right."""
    runtime: Any = import_module("onnxruntime")
    wanted = {id(node) for node in _before(name, writers, stop=())}
    nodes = [node for node in model.graph.node if id(node) in wanted]
    read = {each for node in nodes for each in node.input}
    output = ValueInfoProto()
    output.name = name
    part = helper.make_graph(
        nodes,
        "mask",
        [each for each in model.graph.input if each.name in read],
        [output],
        [tensor for tensor in model.graph.initializer if tensor.name in read],
    )
    piece = helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(piece.SerializeToString(), options, providers=["CPUExecutionProvider"])
    mask = np.arange(_SIZES[0]) < np.array(_SIZES)[:, None]
    inputs = {}
    for each in part.input:
        kind = _ELEMENT[each.type.tensor_type.elem_type]
        inputs[each.name] = (mask if each.name == ATTENTION_MASK else np.zeros_like(mask)).astype(kind)
    return session.run([name], inputs)[0]


def _before(name: str, writers: dict[str, NodeProto], *, stop: tuple[str, ...]) -> list[NodeProto]:
    """The nodes that lead to a tensor; nothing is looked for before those of the kinds in ``stop``."""
    found, seen, left = [], set[str](), [name]
    while left:
        node = writers.get(left.pop())
        if node is None or node.output[0] in seen:
            continue
        seen.add(node.output[0])
        found.append(node)
        if node.op_type not in stop:
            left += node.input
    return found


def _add_plain(graph: Any) -> None:
    constants = {"rows": np.array([1], np.int64), "heads": np.array([2], np.int64)}
    constants |= {"one": np.array(1, np.float32), "least": np.array(-1e9, np.float32)}
    graph.initializer.extend(numpy_helper.from_array(value, f"{_PLAIN}/{name}") for name, value in constants.items())
    steps: tuple[tuple[str, list[str], str, dict[str, Any]], ...] = (
        ("Unsqueeze", [ATTENTION_MASK, f"{_PLAIN}/rows"], f"{_PLAIN}/row", {}),
        ("Unsqueeze", [f"{_PLAIN}/row", f"{_PLAIN}/heads"], f"{_PLAIN}/head", {}),
        ("Cast", [f"{_PLAIN}/head"], f"{_PLAIN}/cast", {"to": TensorProto.FLOAT}),
        ("Sub", [f"{_PLAIN}/one", f"{_PLAIN}/cast"], f"{_PLAIN}/absent", {}),
        ("Mul", [f"{_PLAIN}/absent", f"{_PLAIN}/least"], _PLAIN, {}),
    )
    for place, (kind, read, written, attributes) in enumerate(steps):
        graph.node.insert(place, helper.make_node(kind, read, [written], name=written, **attributes))
