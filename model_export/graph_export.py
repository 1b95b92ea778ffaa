"""Exporting a network to ONNX by optimum: any module with text inputs, and outputs named by task."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import onnx
from optimum.exporters.onnx.config import TextEncoderOnnxConfig
from optimum.exporters.onnx.convert import export as optimum_export
from optimum.utils import NormalizedTextConfig
from torch import nn

from groundswell.errors import ModelError
from inference.manifest import Tensor

#: The tools whose versions decide what a graph looks like.
TOOLS: Final = ("torch", "transformers", "optimum-onnx", "onnx", "onnxruntime")

#: Rows and tokens of what the network is traced with: neither may be 1, which tracing takes for a constant.
_TRACED: Final = {"batch_size": 2, "sequence_length": 16}

Axes = dict[str, dict[int, str]]


def write_graph(module: nn.Module, inputs: Sequence[Tensor], outputs: Mapping[str, int], path: Path, opset: int) -> int:
    """Write ``module`` to ``path`` as an unfused fp32 graph whose rows and length are free; gives its real opset.

    ``module`` has a transformers ``config`` and takes ``inputs`` by name; ``outputs`` maps
    what it gives, in order, to widths. Raises :class:`ModelError` where the exporter cannot.
    """
    config = _Signature(module.config, inputs, tuple(outputs))
    try:
        with warnings.catch_warnings():
            # The tracer warns of every branch on a shape; whether the graph is right, parity tells.
            warnings.simplefilter("ignore")
            optimum_export(
                module.float().eval(),
                config,
                path,
                opset=opset,
                input_shapes=dict(_TRACED),
                disable_dynamic_axes_fix=True,
            )
        graph = onnx.load(path)
        _name_axes(graph, inputs, outputs)
        onnx.save(graph, path)
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        # Torch tells its whole graph after its reason.
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"the network cannot be exported to ONNX with opset {opset}: {reason}") from error
    return next(int(known.version) for known in graph.opset_import if known.domain == "")


def tools() -> dict[str, str]:
    """The versions of :data:`TOOLS`."""
    return {tool: metadata.version(tool) for tool in TOOLS}


class _Signature(TextEncoderOnnxConfig):
    """What optimum asks for: inputs and outputs with their free axes, whatever the architecture."""

    NORMALIZED_CONFIG_CLASS = NormalizedTextConfig

    def __init__(self, config: Any, inputs: Sequence[Tensor], outputs: Sequence[str]) -> None:
        self._named: Axes = {tensor.name: dict(enumerate(map(str, tensor.shape))) for tensor in inputs}
        self._given: Axes = {name: {0: str(inputs[0].shape[0])} for name in outputs}
        super().__init__(config, task="feature-extraction")

    @property
    def inputs(self) -> Axes:
        return self._named

    @property
    def outputs(self) -> Axes:
        return self._given


def _name_axes(graph: onnx.ModelProto, inputs: Sequence[Tensor], outputs: Mapping[str, int]) -> None:
    """State the width of each output, which tracing leaves open after a broadcast; the rest must be as asked for."""
    rows = inputs[0].shape[0]
    wanted = {tensor.name: list(tensor.shape) for tensor in inputs} | {
        name: [rows, width] for name, width in outputs.items()
    }
    found: dict[str, list[Any]] = {}
    for value in (*graph.graph.input, *graph.graph.output):
        axes = value.type.tensor_type.shape.dim
        if value.name in outputs and len(axes) == 2 and not axes[1].HasField("dim_value"):
            axes[1].dim_value = outputs[value.name]
        found[value.name] = [axis.dim_param or axis.dim_value for axis in axes]
    if found != wanted:
        raise ModelError(f"the exported graph has {found}, and not {wanted}: this version of torch does it differently")
