"""Graphs in eight bits for processors: weights a column, embeddings a row, activations a token or calibrated.

Each product ``x @ W`` of a layer becomes ``s · (q(x) @ q(W)) · t``: unsigned bytes times
signed bytes, with ``t`` a scale for each column of ``W``. Where ``s`` is worked out for
each token, an answer does not depend on what else is in the batch. onnxruntime's own
dynamic quantisation has one ``s`` for the whole batch: then one long text with an outlier
makes its neighbours coarser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from groundswell.errors import ModelError
from model_export.fusion import RUNTIME_DOMAIN, in_layers
from model_export.subgraphs import all_reads

#: Bits of a number in a large table of embeddings.
Bits = Literal[4, 8]
#: Tensor → the smallest and the largest value that it held while texts were read.
Ranges = Mapping[str, tuple[float, float]]

#: Tables with fewer rows are left as they are: those of the kinds of token.
LEAST_ROWS: Final = 64
#: Numbers that share a scale in a table of four bits.
BLOCK: Final = 32

#: A GELU is never below −0.17: its zero needs few of the 256 steps below it, and the rest are for what is above.
_ZERO_OF_GELU: Final = 16
_ZERO: Final = 128
_LARGEST: Final = 255


def quantised(model: ModelProto, *, ranges: Ranges | None = None, word_bits: Bits = 8) -> ModelProto:
    """A fused graph with its layers' weights and its embeddings in signed bytes.

    Activations are quantised a token at a time, or, with ``ranges`` for each of
    :func:`inputs_of_products`, by scales that are fixed. ``word_bits`` 4 keeps the large
    tables of embeddings in four bits, :data:`BLOCK` numbers to a scale. Heads stay in
    fp32. Raises :class:`ModelError` where there is nothing to quantise.
    """
    model = deepcopy(model)
    graph = _Rewriting(model)
    products = _products(model)
    if not products:
        raise ModelError("the graph has no layers to quantise: fuse it first")
    for node in list(model.graph.node):
        if node.op_type == "Gather" and graph.is_table(node.input[0]):
            graph.replace(node, _four_bit_rows(graph, node) if word_bits == 4 else _byte_rows(graph, node))
    written = {name: node for node in model.graph.node for name in node.output}
    activations: dict[str, _Activation] = {}
    for node in products:
        read = node.input[0]
        made: list[NodeProto] = []
        if read not in activations:
            gelu = read in written and "Gelu" in written[read].op_type
            width = len(graph.value(node.input[1]))
            if ranges is None:
                activations[read], made = _by_token(graph, read, width, gelu=gelu)
            else:
                activations[read], made = _calibrated(graph, read, ranges)
        graph.replace(node, [*made, *_product(graph, node, activations[read])])
    graph.finish()
    return model


def inputs_of_products(model: ModelProto) -> list[str]:
    """The tensors that :func:`quantised` needs ranges of."""
    return sorted({node.input[0] for node in _products(model)})


class _Activation:
    """A quantised activation: its bytes, the scale of the product (a tensor), its zero, and the scale of each token."""

    def __init__(self, values: str, scale: str, zero: str, by_token: str | None, shape: str | None) -> None:
        self.values = values
        self.scale = scale
        self.zero = zero
        self.by_token = by_token
        self.shape = shape


class _Rewriting:
    """A graph whose nodes are replaced and whose constants are found by name."""

    def __init__(self, model: ModelProto) -> None:
        self._graph: Any = model.graph
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def value(self, name: str) -> NDArray[Any]:
        return numpy_helper.to_array(self._constants[name])

    def constant(self, name: str, value: Any, kind: Any) -> str:
        if name not in self._constants:
            self.add(numpy_helper.from_array(np.array(value, dtype=kind), name))
        return name

    def add(self, tensor: TensorProto) -> str:
        self._graph.initializer.append(tensor)
        self._constants[tensor.name] = tensor
        return tensor.name

    def is_table(self, name: str) -> bool:
        found = self._constants.get(name)
        return (
            found is not None
            and found.data_type == TensorProto.FLOAT
            and len(found.dims) == 2
            and found.dims[0] >= LEAST_ROWS
        )

    def replace(self, node: NodeProto, by: Sequence[NodeProto]) -> None:
        place = list(self._graph.node).index(node)
        self._graph.node.remove(node)
        for offset, new in enumerate(by):
            self._graph.node.insert(place + offset, new)

    def finish(self) -> None:
        """Remove the constants that nothing reads any more."""
        read = all_reads(self._graph.node)
        for tensor in [tensor for tensor in self._graph.initializer if tensor.name not in read]:
            self._graph.initializer.remove(tensor)


def _products(model: ModelProto) -> list[NodeProto]:
    """The products with a weight that a norm comes after: those of the layers, not of the heads."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = []
    for node in in_layers(model):
        weight = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is not None and weight.data_type == TensorProto.FLOAT and len(weight.dims) == 2:
            found.append(node)
    return found


def _by_token(graph: _Rewriting, read: str, width: int, *, gelu: bool) -> tuple[_Activation, list[NodeProto]]:
    zero = _ZERO_OF_GELU if gelu else _ZERO
    # The scale fits the largest value into the steps above zero, and the smallest into those below.
    above, below = 1 / (_LARGEST - zero), -1 / zero
    flat, name = f"{read}/flat", f"{read}/token"
    axis = graph.constant("quantise/last", [1], np.int64)
    nodes = [
        helper.make_node("Reshape", [read, graph.constant(f"quantise/{width}", [-1, width], np.int64)], [flat]),
        helper.make_node("ReduceMax", [flat, axis], [f"{name}/max"], keepdims=0),
        helper.make_node("ReduceMin", [flat, axis], [f"{name}/min"], keepdims=0),
        helper.make_node(
            "Mul", [f"{name}/max", graph.constant(f"quantise/above/{zero}", above, np.float32)], [f"{name}/above"]
        ),
        helper.make_node(
            "Mul", [f"{name}/min", graph.constant(f"quantise/below/{zero}", below, np.float32)], [f"{name}/below"]
        ),
        helper.make_node(
            "Max",
            [f"{name}/above", f"{name}/below", graph.constant("quantise/tiny", 1e-12, np.float32)],
            [f"{name}/scale"],
        ),
        helper.make_node("Shape", [f"{name}/scale"], [f"{name}/count"]),
        helper.make_node(
            "Expand",
            [graph.constant(f"quantise/zeros/{zero}", [zero], np.uint8), f"{name}/count"],
            [f"{name}/zeros"],
        ),
        helper.make_node(
            "QuantizeLinear", [flat, f"{name}/scale", f"{name}/zeros"], [f"{name}/bytes"], axis=0, name=f"{name}/bytes"
        ),
        helper.make_node("Unsqueeze", [f"{name}/scale", axis], [f"{name}/column"]),
        helper.make_node("Shape", [read], [f"{name}/shape"], start=0, end=-1),
    ]
    return _Activation(
        f"{name}/bytes",
        graph.constant("quantise/one", 1, np.float32),
        graph.constant(f"quantise/zero/{zero}", zero, np.uint8),
        f"{name}/column",
        f"{name}/shape",
    ), nodes


def _calibrated(graph: _Rewriting, read: str, ranges: Ranges) -> tuple[_Activation, list[NodeProto]]:
    if read not in ranges:
        raise ModelError(f"no range is known of {read}: calibrate the graph with texts first")
    low, high = min(ranges[read][0], 0.0), max(ranges[read][1], 1e-12)
    scale = (high - low) / _LARGEST
    found = _Activation(
        f"{read}/bytes",
        graph.constant(f"{read}/scale", scale, np.float32),
        graph.constant(f"{read}/zero", round(-low / scale), np.uint8),
        None,
        None,
    )
    return found, [helper.make_node("QuantizeLinear", [read, found.scale, found.zero], [found.values])]


def _product(graph: _Rewriting, node: NodeProto, read: _Activation) -> list[NodeProto]:
    weight, written = node.input[1], node.output[0]
    values = graph.value(weight)
    scales = _column_scales(values)
    inputs = [
        read.values,
        graph.constant(f"{weight}/bytes", np.rint(values / scales), np.int8),
        read.scale,
        graph.constant(f"{weight}/scales", scales, np.float32),
        read.zero,
    ]
    if read.by_token is None or read.shape is None:
        return [
            helper.make_node("MatMulIntegerToFloat", inputs, [written], name=node.name, domain=RUNTIME_DOMAIN),
        ]
    columns = graph.constant(f"quantise/columns/{values.shape[1]}", [values.shape[1]], np.int64)
    return [
        helper.make_node("MatMulIntegerToFloat", inputs, [f"{written}/raw"], name=node.name, domain=RUNTIME_DOMAIN),
        helper.make_node("Mul", [f"{written}/raw", read.by_token], [f"{written}/flat"]),
        helper.make_node("Concat", [read.shape, columns], [f"{written}/shape"], axis=0),
        helper.make_node("Reshape", [f"{written}/flat", f"{written}/shape"], [written]),
    ]


def _column_scales(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales by which ``[inputs, columns]`` become bytes whose products no processor saturates.

    Before VNNI, x86 adds the products of two neighbouring inputs in 16 bits (``VPMADDUBSW``;
    see "Data type selection" in onnxruntime's page on quantisation). With weights of one
    sign that sum to 128 at most, two times 255 fits; that costs far less than a whole bit.
    """
    even = np.concatenate([values, np.zeros((len(values) % 2, values.shape[1]), values.dtype)])
    pairs = even.reshape(-1, 2, values.shape[1])
    sums = np.maximum(np.maximum(pairs, 0).sum(axis=1), np.maximum(-pairs, 0).sum(axis=1))
    return _usable(sums.max(axis=0) / 127)


def _usable(scales: NDArray[Any]) -> NDArray[np.float32]:
    """Scales with 1 where there is nothing to scale: numbers so small that they have fewer digits count as 0."""
    return np.where(np.abs(scales) < np.finfo(np.float32).tiny, np.float32(1), scales)


def _byte_rows(graph: _Rewriting, node: NodeProto) -> list[NodeProto]:
    table, rows = node.input
    values = graph.value(table)
    scales = _usable(np.abs(values).max(axis=1, keepdims=True) / 127)
    written = node.output[0]
    return [
        helper.make_node(
            "Gather", [graph.constant(f"{table}/bytes", np.rint(values / scales), np.int8), rows], [f"{written}/bytes"]
        ),
        helper.make_node("Cast", [f"{written}/bytes"], [f"{written}/cast"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [graph.constant(f"{table}/scales", scales, np.float32), rows], [f"{written}/scale"]),
        helper.make_node("Mul", [f"{written}/cast", f"{written}/scale"], [written], name=node.name),
    ]


def _four_bit_rows(graph: _Rewriting, node: NodeProto) -> list[NodeProto]:
    table, rows = node.input
    values = graph.value(table)
    if values.shape[1] % BLOCK:
        raise ModelError(f"{table} has {values.shape[1]} columns: four bits need a multiple of {BLOCK}")
    blocks = values.reshape(len(values), -1, BLOCK)
    # The number of largest magnitude becomes -8, of which there is no positive twin.
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2, keepdims=True), axis=2)
    scales = _usable(largest / -8)
    whole = np.clip(np.rint(blocks / scales), -8, 7).astype(np.int8).reshape(values.shape)
    nibbles = (whole.reshape(-1, 2) & 0xF).astype(np.uint8)
    packed = helper.make_tensor(
        f"{table}/nibbles", TensorProto.INT4, values.shape, (nibbles[:, 0] | nibbles[:, 1] << 4).tobytes(), raw=True
    )
    inputs = [graph.add(packed), rows, graph.constant(f"{table}/scales", scales[:, :, 0], np.float32)]
    return [
        helper.make_node(
            "GatherBlockQuantized",
            inputs,
            list(node.output),
            name=node.name,
            domain=RUNTIME_DOMAIN,
            gather_axis=0,
            quantize_axis=1,
            block_size=BLOCK,
        )
    ]
