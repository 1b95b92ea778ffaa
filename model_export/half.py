"""Graphs in half precision, for GPUs."""

from __future__ import annotations

from copy import deepcopy
from importlib import import_module
from typing import Any

from onnx import ModelProto

from model_export.fusion import NORM, in_layers


def half_precision(model: ModelProto) -> ModelProto:
    """A fused graph whose weights and layers are fp16; inputs, norms, pooling, heads and outputs stay as they are.

    Norms sum squares, and pooling sums over hundreds of tokens: fp16 would lose digits there.
    A processor runs it too, by way of fp32 and slowly.
    """
    model = deepcopy(model)
    # The converter tells nodes by their names, and names what it adds after them.
    for number, node in enumerate(model.graph.node):
        node.name = f"{number}/{node.op_type}"
    inside = {node.name for node in in_layers(model)}
    float16: Any = import_module("onnxruntime.transformers.float16")
    found: ModelProto = float16.convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, NORM],
        node_block_list=[node.name for node in model.graph.node if node.name not in inside],
    )
    return found
