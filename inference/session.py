"""A graph on a device: an onnxruntime session whose provider is the one that was asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from inference.cuda_graphs import RUNS_TO_CAPTURE, CudaRunner, prove_replay
from inference.device import PROVIDERS, Device, DeviceError, Shape
from inference.gpu_thread import LOADING, gpu_thread
from inference.manifest import Tensor
from inference.opening import check_signature, first_line, open_session
from inference.runtime import load_runtime, require_runtime, versions
from inference.subgraph import subgraph
from inference.tensorrt import TensorrtRunner

__all__ = ["PROVIDERS", "DeviceError", "Session", "require_runtime"]

#: The input that says which tokens are padding: a row of padding alone would have no mean.
_MASK: Final = "attention_mask"

Batch = Mapping[str, NDArray[Any]]


class _Runner(Protocol):
    """A graph that is loaded on one device."""

    @property
    def provider(self) -> str: ...

    def run(self, batch: Batch, outputs: Sequence[str]) -> list[NDArray[np.float32]]: ...


class Session:
    """A graph ready to run on one device; threads may share one.

    ``graph`` is the serialised ONNX graph, ``inputs`` and ``outputs`` what it must offer,
    ``device`` what runs it (``provider`` and ``threads`` are a short way to say so).
    Raises :class:`ModelError` when the graph does not load, has another signature, or
    would run, even in part, on another provider.
    """

    def __init__(
        self,
        graph: bytes,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        *,
        provider: str = "cpu",
        threads: int = 0,
        device: Device | None = None,
    ) -> None:
        self._device = device or Device(provider, threads=threads)
        self._runtime = load_runtime(self._device)
        self._graph = graph
        self._inputs = tuple(inputs)
        self._tensors = tuple(outputs)
        self.outputs: Final = tuple(tensor.name for tensor in outputs)
        self._preparing = threading.Lock()
        with self._alone():
            whole = self._load(graph, self._tensors)
        self.provider: Final = whole.provider
        #: The outputs of each part of the graph that is loaded, fewest first; the last is the whole.
        self._parts: tuple[tuple[frozenset[str], _Runner], ...] = ((frozenset(self.outputs), whole),)

    def run(self, inputs: Batch, outputs: Sequence[str] | None = None) -> dict[str, NDArray[np.float32]]:
        """``outputs`` (all, when None) by name; raises :class:`DeviceError` where the device fails.

        Of the graph runs what gives them, where :meth:`warm` has prepared that, and else all of it.
        """
        wanted = tuple(self.outputs if outputs is None else outputs)
        runner = self._part(wanted)
        # Whatever the runtime raises is about this batch: the caller bisects it.
        try:
            if self._device.on_gpu:
                values = gpu_thread(self._device.number).submit(runner.run, inputs, wanted).result()
            else:
                values = runner.run(inputs, wanted)
        except DeviceError:
            raise
        except Exception as error:
            raise DeviceError(first_line(error)) from error
        return dict(zip(wanted, values, strict=True))

    def warm(self, shapes: Iterable[Shape], outputs: Sequence[str] | None = None) -> None:
        """Prepare ``outputs`` (all, when None), and run a batch of each shape: rows and length.

        Fewer outputs than all load the part of the graph that they need beside the whole:
        its other branches cost no time any more, its weights cost their memory again. On a
        GPU a run of a shape captures its CUDA graph. Raises :class:`ModelError` where a
        shape does not run.
        """
        wanted = tuple(self.outputs if outputs is None else outputs)
        with self._alone():
            self._prepare(wanted)
            for shape in shapes:
                try:
                    self._warm(shape, wanted)
                except DeviceError as error:
                    raise ModelError(f"a batch of {shape[0]} rows of {shape[1]} tokens fails: {error}") from error

    def _alone(self) -> AbstractContextManager[object]:
        return LOADING if self._device.on_gpu else nullcontext()

    def _warm(self, shape: Shape, outputs: Sequence[str]) -> None:
        even, odd = blank(self._inputs, shape, 0), blank(self._inputs, shape, 1)
        if shape in self._device.shapes:
            # The first and the last run read the same batch, the one that is captured reads another.
            batches = [odd, *[even] * (RUNS_TO_CAPTURE - 2), odd]
            prove_replay([self.run(batch, outputs) for batch in batches], shape)
        else:
            self.run(even, outputs)

    def _prepare(self, outputs: Sequence[str]) -> None:
        names = frozenset(outputs)
        with self._preparing:
            if any(names == known for known, _ in self._parts):
                return
            part = subgraph(self._graph, names)
            if part is not self._graph:
                runner = self._load(part, [tensor for tensor in self._tensors if tensor.name in names])
                self._parts = tuple(sorted([*self._parts, (names, runner)], key=lambda one: len(one[0])))

    def _part(self, outputs: Sequence[str]) -> _Runner:
        return next((runner for known, runner in self._parts if known.issuperset(outputs)), self._parts[-1][1])

    def _load(self, graph: bytes, outputs: Sequence[Tensor]) -> _Runner:
        match self._device.provider:
            case "cpu":
                return _CpuRunner(self._runtime, graph, self._inputs, outputs, self._device)
            case "cuda":
                return CudaRunner(self._runtime, graph, self._inputs, outputs, self._device)
            case _:
                return TensorrtRunner(self._runtime, versions(), graph, self._inputs, outputs, self._device)


class _CpuRunner:
    """A graph on the processor."""

    def __init__(
        self, runtime: Any, graph: bytes, inputs: Sequence[Tensor], outputs: Sequence[Tensor], device: Device
    ) -> None:
        self._session = open_session(runtime, graph, device, {})
        check_signature(self._session, inputs, outputs)
        self.provider: Final[str] = self._session.get_providers()[0]

    def run(self, batch: Batch, outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = self._session.run(list(outputs), dict(batch))
        return found


def blank(inputs: Sequence[Tensor], shape: Shape, first: int) -> dict[str, NDArray[Any]]:
    """A batch that any model can read: ids that every vocabulary has, 0 and 1 in turn, and nothing masked."""
    chequered = (np.add.outer(*(np.arange(side) for side in shape)) + first) % 2
    return {
        tensor.name: np.ones(shape, tensor.dtype) if tensor.name == _MASK else chequered.astype(tensor.dtype)
        for tensor in inputs
    }
