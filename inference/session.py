"""A graph on a device: an onnxruntime session whose provider is the one that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module, metadata
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from groundswell.errors import GroundswellError, ModelError
from inference.manifest import Tensor
from inference.processors import granted_processors

#: Settings' names of the execution providers.
PROVIDERS: Final[Mapping[str, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
_ELEMENT = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"} | {
    f"tensor({name})": name for name in ("int32", "int64", "int8", "uint8", "bool", "string")
}


class DeviceError(GroundswellError):
    """The device could not run a batch; its rows are to blame, or the device is."""


def require_runtime(installed: Sequence[str] | None = None) -> None:
    """Raise :class:`ModelError` unless exactly one of the onnxruntime distributions is installed."""
    if installed is None:
        installed = [name for name in _DISTRIBUTIONS if _is_installed(name)]
    if len(installed) > 1:
        raise ModelError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files: "
            "uninstall both, then install groundswell[cpu] or groundswell[gpu]"
        )
    if not installed:
        raise ModelError("onnxruntime is not installed: install groundswell[cpu] or groundswell[gpu]")


class Session:
    """A graph ready to run on one provider; threads may share one.

    ``model`` is the serialised ONNX graph, ``inputs`` and ``outputs`` what it must
    offer. ``threads`` 0 means what the machine grants. Raises :class:`ModelError` when
    the graph does not load, has another signature, or would run on another provider.
    """

    def __init__(
        self,
        model: bytes,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        *,
        provider: str = "cpu",
        threads: int = 0,
    ) -> None:
        require_runtime()
        runtime: Any = import_module("onnxruntime")  # perhaps not installed: not to be imported above

        wanted = PROVIDERS.get(provider)
        if wanted is None:
            raise ModelError(f"no execution provider {provider!r}: choose one of {', '.join(PROVIDERS)}")
        available = runtime.get_available_providers()
        if wanted not in available:
            raise ModelError(
                f"{wanted} is not in this onnxruntime (it has {', '.join(available)}): "
                "install groundswell[gpu], or set the provider to cpu"
            )
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or granted_processors()
        options.inter_op_num_threads = 1
        # Spinning threads would take the processors from the flow's own workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        # The runtime raises many kinds; at this boundary each means that the graph cannot serve.
        try:
            self._session = runtime.InferenceSession(model, sess_options=options, providers=[wanted], enable_fallback=0)
        except Exception as error:
            raise ModelError(f"onnxruntime cannot load the graph: {_first_line(error)}") from error
        used = self._session.get_providers()[0]
        if used != wanted:
            raise ModelError(f"the graph would run on {used}, not on {wanted}: check the driver and its libraries")
        self.provider: Final = used
        self.outputs: Final = tuple(tensor.name for tensor in outputs)
        _check("input", inputs, self._session.get_inputs())
        _check("output", outputs, self._session.get_outputs())

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """``outputs`` (all, when None) by name; raises :class:`DeviceError` where the device fails."""
        wanted = self.outputs if outputs is None else outputs
        # Whatever the runtime raises is about this batch: the caller bisects it.
        try:
            values = self._session.run(wanted, dict(inputs))
        except Exception as error:
            raise DeviceError(_first_line(error)) from error
        return dict(zip(wanted, values, strict=True))


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _check(kind: str, wanted: Sequence[Tensor], offered: Sequence[Any]) -> None:
    def said(tensors: Sequence[Tensor]) -> list[str]:
        return sorted(f"{tensor.name} {tensor.dtype}{list(tensor.shape)}" for tensor in tensors)

    found = said(
        [Tensor(name=node.name, dtype=_ELEMENT.get(node.type, node.type), shape=tuple(node.shape)) for node in offered]
    )
    if found != said(wanted):
        raise ModelError(f"the graph's {kind}s are {found}, its manifest says {said(wanted)}: publish the model again")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:500]
