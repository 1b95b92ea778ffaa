"""TensorRT: an engine for each shape of a batch, kept on disk under a name that no other weights share.

onnxruntime's provider knows one optimisation profile at run time and one CUDA graph a
session, so each shape is a session of its own whose axes are fixed: the profile is that
shape, and its kernels are chosen for nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from inference.cuda_graphs import LENGTH, ROWS, BoundShape, batch_shape
from inference.device import PROVIDERS, Device, DeviceError, Shape, smallest
from inference.manifest import Tensor
from inference.nvidia import find_gpu
from inference.opening import check_signature, open_session


def engine_folder(
    root: Path, graph: bytes, versions: Mapping[str, str], capability: tuple[int, int], precision: str
) -> Path:
    """Where the engines of a graph lie: named by all that an engine depends on, and by the graph's sha256.

    >>> engine_folder(Path("engines"), b"graph", {"onnxruntime-gpu": "1.31.1", "tensorrt": "101601"}, (9, 0), "fp16")
    PosixPath('engines/onnxruntime-gpu-1.31.1-tensorrt-101601-sm90-fp16/eef93e1d14482804')
    """
    stack = [f"{name}-{version}" for name, version in sorted(versions.items())]
    return root / "-".join([*stack, "sm{}{}".format(*capability), precision]) / hashlib.sha256(graph).hexdigest()[:16]


def tensorrt_options(device: Device, folder: Path, shape: Shape) -> dict[str, str]:
    """Options of the TensorRT provider, whose reference tells what each means.

    Half precision with LayerNorm in fp32. An engine's file is named by its shape; how long
    kernels took does not depend on weights, so all graphs of a stack share those times.
    """
    half = "1" if device.precision == "fp16" else "0"
    return {
        "device_id": str(device.number),
        "trt_fp16_enable": half,
        "trt_layer_norm_fp32_fallback": half,
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_engine_cache_prefix": _prefix(shape),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder.parent),
        "trt_cuda_graph_enable": "1",
    }


class TensorrtRunner:
    """A graph on TensorRT; only batches that fit into one of the device's shapes run."""

    def __init__(
        self,
        runtime: Any,
        versions: Mapping[str, str],
        graph: bytes,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        device: Device,
    ) -> None:
        if device.precision == "int8":
            raise ModelError("on TensorRT int8 needs a calibration that models here do not have: set fp16 or fp32")
        if device.engines is None or not device.shapes:
            raise ModelError(
                "TensorRT builds an engine for each shape of a batch: it needs shapes, and a folder for them"
            )
        gpu = find_gpu(device.number)
        folder = engine_folder(device.engines, graph, versions, gpu.capability, device.precision)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelError(f"{folder} cannot be made ({error.strerror}): set models.engine_cache") from error
        self.provider: Final = PROVIDERS[device.provider]
        self._shapes: dict[Shape, BoundShape] = {}
        for shape in device.shapes:
            session = _open(runtime, graph, device, folder, shape)
            fixed = [[_fixed(tensor, shape) for tensor in tensors] for tensors in (inputs, outputs)]
            check_signature(session, *fixed)
            self._shapes[shape] = BoundShape(runtime, session, inputs, outputs, shape, ("cuda", device.number), 0)

    def run(self, batch: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """``outputs`` of a batch; raises what onnxruntime raises, and :class:`DeviceError` where no engine holds it."""
        rows, length = batch_shape(batch)
        shape = smallest(tuple(self._shapes), rows, length)
        if shape is None:
            raise DeviceError(f"no TensorRT engine holds {rows} rows of {length} tokens: set models.buckets")
        return self._shapes[shape].run(batch, rows, outputs)


def _open(runtime: Any, graph: bytes, device: Device, folder: Path, shape: Shape) -> Any:
    """A session of one shape; an engine that was kept but cannot be used (half written, say) is built anew."""

    def opened() -> Any:
        sizes = {ROWS: shape[0], LENGTH: shape[1]}
        return open_session(runtime, graph, device, tensorrt_options(device, folder, shape), sizes=sizes)

    kept = list(folder.glob(f"{_prefix(shape)}*"))
    try:
        return opened()
    except ModelError:
        if not kept:
            raise
        for file in kept:
            file.unlink(missing_ok=True)
        return opened()


def _prefix(shape: Shape) -> str:
    return "shape_{}x{}_".format(*shape)


def _fixed(tensor: Tensor, shape: Shape) -> Tensor:
    """The tensor as a session with fixed axes offers it."""
    sides = {ROWS: shape[0], LENGTH: shape[1]}
    fixed = tuple(sides.get(side, side) if isinstance(side, str) else side for side in tensor.shape)
    return Tensor(name=tensor.name, dtype=tensor.dtype, shape=fixed)
