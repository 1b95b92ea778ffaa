"""Batches of fixed shapes on a GPU: bound once, captured as a CUDA graph, replayed ever after.

A batch is padded up to the next prepared shape. Its inputs are copied to where the graph
reads them, the graph is launched as one call, and its outputs are copied back once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from inference.device import Device, DeviceError, Shape, smallest
from inference.manifest import Tensor
from inference.opening import check_signature, open_session

#: Names of the free axes of a graph.
ROWS: Final = "rows"
LENGTH: Final = "length"
#: Runs of a shape until its graph is captured and replayed: onnxruntime lets two go by (they may still allocate),
#: captures the third, and replays from then on.
RUNS_TO_CAPTURE: Final = 4
#: How far a replay may be from a run that was no replay, on the very same inputs: kernels may differ in the order of
#: a sum, a graph that reads a wrong address differs by far more.
_TOLERANCE: Final = 2e-2


def cuda_options(device: Device) -> dict[str, str]:
    """Options of the CUDA provider, whose reference tells what each means.

    Shapes are few, so memory is taken as needed and never doubled; TF32 would make fp32
    something else; LayerNorm sums in fp32 whatever the graph's precision.
    """
    return {
        "device_id": str(device.number),
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
        "enable_skip_layer_norm_strict_mode": "1",
        "enable_cuda_graph": "1" if device.shapes else "0",
    }


class BoundShape:
    """One shape of a session with its buffers on the device, which stay where they are for as long as it lives.

    ``place`` is the device's kind and number as onnxruntime names them, ``graph`` the number of its CUDA graph.
    """

    def __init__(
        self,
        runtime: Any,
        session: Any,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        shape: Shape,
        place: tuple[str, int],
        graph: int,
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._options = runtime.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(graph))
        self._staged = {tensor.name: np.zeros(shape, dtype=tensor.dtype) for tensor in inputs}
        self._inputs = {
            name: runtime.OrtValue.ortvalue_from_numpy(array, *place) for name, array in self._staged.items()
        }
        self._outputs = {
            tensor.name: runtime.OrtValue.ortvalue_from_shape_and_type(
                (shape[0], *_columns(tensor)), np.dtype(tensor.dtype), *place
            )
            for tensor in outputs
        }
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def run(self, batch: Mapping[str, NDArray[Any]], rows: int, outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """``outputs`` of a batch of ``rows``, which may be smaller than the shape on both sides."""
        for name, staged in self._staged.items():
            fill(staged, batch[name])
            self._inputs[name].update_inplace(staged)
        self._session.run_with_iobinding(self._binding, self._options)
        return [self._outputs[name].numpy()[:rows] for name in outputs]


class CudaRunner:
    """A graph on CUDA: one session, a CUDA graph for each shape; other shapes run kernel by kernel."""

    def __init__(
        self, runtime: Any, graph: bytes, inputs: Sequence[Tensor], outputs: Sequence[Tensor], device: Device
    ) -> None:
        self._session = open_session(runtime, graph, device, cuda_options(device))
        check_signature(self._session, inputs, outputs)
        self.provider: Final[str] = self._session.get_providers()[0]
        self._shapes = {
            shape: BoundShape(runtime, self._session, inputs, outputs, shape, ("cuda", device.number), number)
            for number, shape in enumerate(device.shapes, 1)
        }
        self._uncaptured = runtime.RunOptions()
        self._uncaptured.add_run_config_entry("gpu_graph_id", "-1")

    def run(self, batch: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """``outputs`` of a batch; raises what onnxruntime raises."""
        rows, length = batch_shape(batch)
        shape = smallest(tuple(self._shapes), rows, length)
        if shape is None:
            found: list[NDArray[np.float32]] = self._session.run(list(outputs), dict(batch), self._uncaptured)
            return found
        return self._shapes[shape].run(batch, rows, outputs)


def prove_replay(answers: Sequence[Mapping[str, NDArray[np.float32]]], shape: Shape) -> None:
    """Raise :class:`ModelError` unless the last answer, a replay, is the first, which was none, on the same batch."""
    for name, replayed in answers[-1].items():
        if not np.allclose(answers[0][name], replayed, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True):
            raise ModelError(
                f"replayed for {shape[0]} rows of {shape[1]} tokens, the CUDA graph gives another {name} than its "
                "kernels: bring the driver up to date, or set the provider to cpu"
            )


def fill(staged: NDArray[Any], given: NDArray[Any]) -> None:
    """Put a batch into a larger array: rows beyond it repeat its last (they cost the same), columns are padding.

    >>> staged = np.full((3, 4), 9)
    >>> fill(staged, np.array([[1, 2], [3, 4]])); staged.tolist()
    [[1, 2, 0, 0], [3, 4, 0, 0], [3, 4, 0, 0]]
    """
    rows, length = given.shape
    staged[:rows, :length] = given
    staged[rows:, :length] = given[-1]
    staged[:, length:] = 0


def batch_shape(batch: Mapping[str, NDArray[Any]]) -> Shape:
    found = {array.shape for array in batch.values()}
    if len(found) != 1:
        raise DeviceError(f"the inputs of a batch must be of one shape, not {sorted(found)}")
    rows, length = found.pop()
    return rows, length


def _columns(tensor: Tensor) -> tuple[int, ...]:
    columns = [side for side in tensor.shape[1:] if isinstance(side, int)]
    if tensor.shape[:1] != (ROWS,) or len(columns) != len(tensor.shape) - 1:
        raise ModelError(
            f"on a GPU an output is {ROWS} by a fixed number of columns, not {tensor.name} {list(tensor.shape)}: "
            "publish the model again"
        )
    return tuple(columns)
