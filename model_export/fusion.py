"""Fusing an exported graph: attention, GELU and layer norms as one operator each, in every branch.

onnxruntime's optimiser for transformers does the work; what is here makes graphs with
branches fit its patterns, and makes sure that nothing was left unfused.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from groundswell.errors import ModelError
from model_export.masks import plain_masks
from model_export.subgraphs import reads, rename_reads, sort_nodes

#: The domain of onnxruntime's own operators.
RUNTIME_DOMAIN: Final = "com.microsoft"

_ATTENTION: Final = ("Attention", "MultiHeadAttention")
#: What remains of a GELU, or of attention, that was not fused.
_UNFUSED_GELU: Final = "Erf"
_UNFUSED_ATTENTION: Final = "Softmax"
NORM: Final = "LayerNormalization"


def in_layers(model: ModelProto) -> list[NodeProto]:
    """The nodes that a norm comes after, in order: embeddings and layers, without pooling and heads."""
    before_norm: set[str] = set()
    found = []
    for node in reversed(model.graph.node):
        if NORM in node.op_type or before_norm.intersection(node.output):
            before_norm.update(reads(node))
            found.append(node)
    return found[::-1]


def tidied(model: ModelProto) -> ModelProto:
    """The same graph with its constants as initialisers, and without what keeps optimisers from knowing shapes.

    ``Expand`` before an element-wise division is left out, as the division broadcasts by
    itself; ``ReduceL2`` becomes the root of a sum of squares.
    """
    model = deepcopy(model)
    graph = model.graph
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        value = TensorProto()
        value.CopyFrom(helper.get_node_attr_value(node, "value"))
        value.name = node.output[0]
        graph.initializer.append(value)
        graph.node.remove(node)
    for node in [node for node in graph.node if node.op_type == "ReduceL2"]:
        _replace(graph, node, _root_of_squares(node))
    _drop_expansions(graph)
    return model


def fused(model: ModelProto, *, attention: bool = True, skip: bool = False, packed: bool = False) -> ModelProto:
    """The graph with fused operators; its answers differ by rounding only, given rows padded on the right.

    ``attention`` says whether attention is of the kind that can be fused; DeBERTa's is not,
    and stays as it is. ``packed`` computes query, key and value in one product and ``skip`` adds the
    residual within the norm: both are faster on a GPU, and slower on a processor.

    Raises :class:`ModelError` where something that should be fused was not.
    """
    before = Counter(node.op_type for node in model.graph.node)
    parted = tidied(model)
    if attention:
        plain_masks(parted)
    _part_branches(parted.graph)
    result = _optimised(parted, skip=skip, packed=packed)
    _join_branches(result.graph)
    _require_fused(before, Counter(node.op_type for node in result.graph.node), attention=attention)
    return result


def _optimised(model: ModelProto, *, skip: bool, packed: bool) -> ModelProto:
    optimizer: Any = import_module("onnxruntime.transformers.optimizer")
    options: Any = import_module("onnxruntime.transformers.fusion_options").FusionOptions("bert")
    options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = skip
    options.use_multi_head_attention = not packed
    # Fused with the norm, the table of words could no longer be quantised row by row.
    options.enable_embed_layer_norm = False
    with TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        # It leaves graphs by other producers as they are.
        model.producer_name = "pytorch"
        onnx.save(model, path)
        with _quietly():
            # With heads and width 0 both are read from the graph.
            found = optimizer.optimize_model(
                str(path), model_type="bert", num_heads=0, hidden_size=0, optimization_options=options, opt_level=0
            )
    result: ModelProto = found.model
    # Its own sort does not see what the branches of an If read.
    sort_nodes(result.graph)
    if all(opset.domain != RUNTIME_DOMAIN for opset in result.opset_import):
        result.opset_import.append(helper.make_opsetid(RUNTIME_DOMAIN, 1))
    return result


@contextmanager
def _quietly() -> Iterator[None]:
    """It prints what shapes it cannot work out, where others read what a command says, and logs every step."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(before)


def _require_fused(before: Counter[str], after: Counter[str], *, attention: bool) -> None:
    wanted = before[_UNFUSED_ATTENTION] if attention else 0
    found = sum(after[kind] for kind in _ATTENTION)
    if found < wanted or (attention and not wanted):
        raise ModelError(
            f"{found} of {wanted} attentions were fused: export the graph with eager attention, "
            "and with versions of transformers and onnxruntime that know each other"
        )
    if after[_UNFUSED_GELU]:
        raise ModelError(f"{after[_UNFUSED_GELU]} of {before[_UNFUSED_GELU]} GELUs were not fused: export it again")
    if not after[NORM] + after[f"Skip{NORM}"]:
        raise ModelError("no layer norm was found in the graph: it is no transformer that can be fused")


def _part_branches(graph: Any) -> None:
    """Give each branch a norm of its own where several start from one: patterns know only one reader."""
    readers = _readers(graph)
    writers = {name: node for node in graph.node for name in node.output}
    for norm in [node for node in graph.node if node.op_type == NORM]:
        name = norm.output[0]
        residuals = [node for node in readers[name] if node.op_type == "Add"]
        products = [node for node in readers[name] if node.op_type == "MatMul"]
        if len(residuals) < 2 or len(products) < 2 * len(residuals):
            continue
        for number, residual in enumerate(residuals[1:], start=1):
            copy = deepcopy(norm)
            copy.name, copy.output[0] = f"{norm.name}_{number}", f"{name}_branch_{number}"
            graph.node.insert(list(graph.node).index(norm) + 1, copy)
            for node in _between(residual, norm, writers):
                for place, read in enumerate(node.input):
                    if read == name:
                        node.input[place] = copy.output[0]


def _join_branches(graph: Any) -> None:
    """Compute once what parting made twice."""
    seen: dict[tuple[str, ...], NodeProto] = {}
    renamed: dict[str, str] = {}
    for node in list(graph.node):
        rename_reads(node, renamed)
        if node.op_type in (NORM, f"Skip{NORM}"):
            first = seen.setdefault((node.op_type, *node.input), node)
            if first is not node:
                renamed |= dict(zip(node.output, first.output, strict=False))
                graph.node.remove(node)


def _between(end: NodeProto, start: NodeProto, writers: dict[str, NodeProto]) -> list[NodeProto]:
    """The nodes that read ``start`` on the way to ``end``, ``end`` among them."""
    found, seen, left = [], set(), [end]
    while left:
        node = left.pop()
        if start.output[0] in node.input:
            found.append(node)
        for name in node.input:
            if name in writers and name != start.output[0] and name not in seen:
                seen.add(name)
                left.append(writers[name])
    return found


def _drop_expansions(graph: Any) -> None:
    readers = _readers(graph)
    writers = {name: node for node in graph.node for name in node.output}
    for node in [node for node in graph.node if node.op_type == "Expand"]:
        shape, users = writers.get(node.input[1]), readers[node.output[0]]
        if shape is None or shape.op_type != "Shape" or [user.op_type for user in users] != ["Div"]:
            continue
        (division,) = users
        if shape.input[0] not in division.input:
            continue
        for place, read in enumerate(division.input):
            if read == node.output[0]:
                division.input[place] = node.input[0]
        graph.node.remove(node)
        if len(readers[shape.output[0]]) == 1:
            graph.node.remove(shape)


def _root_of_squares(node: NodeProto) -> list[NodeProto]:
    read, *axes = node.input
    keep = next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
    squares, total = f"{node.output[0]}_squares", f"{node.output[0]}_sum"
    return [
        helper.make_node("Mul", [read, read], [squares], name=squares),
        helper.make_node("ReduceSum", [squares, *axes], [total], name=total, keepdims=keep),
        helper.make_node("Sqrt", [total], node.output, name=node.name),
    ]


def _replace(graph: Any, node: NodeProto, by: Iterable[NodeProto]) -> None:
    place = list(graph.node).index(node)
    graph.node.remove(node)
    for offset, new in enumerate(by):
        graph.node.insert(place + offset, new)


def _readers(graph: Any) -> defaultdict[str, list[NodeProto]]:
    readers: defaultdict[str, list[NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in reads(node):
            readers[name].append(node)
    return readers
