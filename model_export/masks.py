"""Attention masks in the one form that fusing knows, whichever exporter wrote the graph."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from inference.tokens import ATTENTION_MASK
from model_export.subgraphs import reads

_PLAIN: Final = "plain_mask"
_ELEMENT: Final = {TensorProto.INT32: np.int32, TensorProto.INT64: np.int64}
#: Tokens of the rows by which a mask is judged, of that many places: all, some, one.
_SIZES: Final = (6, 3, 1)
#: What is added to the score of a token of padding: at most this.
_ENOUGH: Final = -1e4


def plain_masks(model: ModelProto) -> None:
    """Make each mask of attention's scores anew from the graph's input, in place; constants must be initialisers.

    A mask that is added is replaced where, when it is run, it adds nothing to the scores of
    tokens and at most −10,000 to those of padding; one by which scores are chosen, where it
    chooses those of tokens alone and at most −10,000 in place of the rest. The new one,
    ``(1 − mask) · −10⁹``, is added and does the same. A query that was scaled before the
    product is scaled after it, as fusing wants that too.
    """
    graph: Any = model.graph
    writers = {name: node for node in graph.node for name in node.output}
    scored = [writers[node.input[0]] for node in graph.node if node.op_type == "Softmax" and node.input[0] in writers]
    added = [(node, place) for node in scored if node.op_type == "Add" for place in (0, 1)]
    chosen = [node for node in scored if node.op_type == "Where" and _is_enough(graph, node.input[1])]
    names = {node.input[place] for node, place in added} | {node.input[0] for node in chosen}
    found = _run(model, sorted(name for name in names if _may_be_mask(name, writers)), writers)
    masks = {name for name, values in found.items() if _hides_padding(values)}
    for node, place in added:
        if node.input[place] in masks:
            node.input[place] = _PLAIN
    for node in chosen:
        if node.input[0] in masks:
            _add_in_place_of_choice(graph, node, writers)
    if masks:
        _add_plain(graph)


def _is_enough(graph: Any, name: str) -> bool:
    value = next((numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name == name), None)
    return value is not None and value.size == 1 and bool((value <= _ENOUGH).all())


def _may_be_mask(name: str, writers: dict[str, NodeProto]) -> bool:
    nodes = _before(name, writers, stop=("Shape",))
    return ATTENTION_MASK in {read for node in nodes for read in node.input} and all(
        node.op_type != "MatMul" for node in nodes
    )


def _hides_padding(values: Any) -> bool:
    """Whether a mask, of numbers to add or of truths to choose by, hides all padding and nothing else."""
    present = np.arange(_SIZES[0]) < np.array(_SIZES)[:, None]
    try:
        present = np.broadcast_to(present[:, None, None, :], values.shape)
    except ValueError:
        return False
    if values.dtype == np.bool_:
        return bool((values == ~present).all())
    return bool((values[present] == 0).all() and (values[~present] <= _ENOUGH).all())


def _add_in_place_of_choice(graph: Any, where: NodeProto, writers: dict[str, NodeProto]) -> None:
    scores = where.input[2]
    _scale_after(graph, writers.get(scores), writers)
    place = list(graph.node).index(where)
    graph.node.remove(where)
    graph.node.insert(place, helper.make_node("Add", [scores, _PLAIN], where.output, name=where.name))


def _scale_after(graph: Any, product: NodeProto | None, writers: dict[str, NodeProto]) -> None:
    """Divide a product of query and key by the number that the query alone is divided by."""
    scaled = writers.get(product.input[0]) if product is not None and product.op_type == "MatMul" else None
    if product is None or scaled is None or scaled.op_type != "Div":
        return
    numbers = {tensor.name for tensor in graph.initializer if not tensor.dims}
    if scaled.input[1] not in numbers:
        return
    written = product.output[0]
    product.input[0], product.output[0] = scaled.input[0], f"{written}/unscaled"
    division = helper.make_node("Div", [product.output[0], scaled.input[1]], [written], name=f"{written}/scaled")
    graph.node.insert(list(graph.node).index(product) + 1, division)


def _run(model: ModelProto, names: list[str], writers: dict[str, NodeProto]) -> dict[str, Any]:
    """What tensors are for rows of :data:`_SIZES` tokens, padded on the right."""
    if not names:
        return {}
    runtime: Any = import_module("onnxruntime")
    wanted = {id(node) for name in names for node in _before(name, writers, stop=())}
    nodes = [node for node in model.graph.node if id(node) in wanted]
    read = {each for node in nodes for each in reads(node)}
    outputs = [ValueInfoProto() for _ in names]
    for output, name in zip(outputs, names, strict=True):
        output.name = name
    part = helper.make_graph(
        nodes,
        "masks",
        [each for each in model.graph.input if each.name in read],
        outputs,
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
    return dict(zip(names, session.run(names, inputs), strict=True))


def _before(name: str, writers: dict[str, NodeProto], *, stop: tuple[str, ...]) -> list[NodeProto]:
    """The nodes that lead to a tensor; nothing is looked for before those of the kinds in ``stop``."""
    found, seen, left = [], set[str](), [name]
    while left:
        node = writers.get(left.pop())
        if node is None or node.output[0] in seen:
            continue
        seen.update(node.output)
        found.append(node)
        if node.op_type not in stop:
            left += reads(node)
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
