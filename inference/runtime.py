"""The onnxruntime that is installed: exactly one, and with the libraries that its provider needs."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from importlib import import_module, metadata
from typing import Any, Final

from groundswell.errors import ModelError
from inference.device import PROVIDERS, Device
from inference.nvidia import find_gpu

_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
#: What onnxruntime's TensorRT provider is linked with.
_TENSORRT_LIBRARIES: Final = ("libnvinfer.so.10", "libnvonnxparser.so.10")


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


def load_runtime(device: Device) -> Any:
    """The module ``onnxruntime``, able to run on ``device``.

    Raises :class:`ModelError`, which names what is missing and what to do, where it is not
    installed, is twice, lacks the provider, or lacks the provider's libraries.
    """
    require_runtime()
    runtime: Any = import_module("onnxruntime")  # perhaps not installed: not to be imported above
    wanted, available = PROVIDERS[device.provider], runtime.get_available_providers()
    if wanted not in available:
        raise ModelError(
            f"{wanted} is not in this onnxruntime (it has {', '.join(available)}): "
            "install groundswell[gpu], or set the provider to cpu"
        )
    if device.on_gpu:
        find_gpu(device.number)
        _load_cuda(runtime)
    if device.provider == "tensorrt":
        _load_tensorrt()
    return runtime


def versions() -> dict[str, str]:
    """The versions that an engine of TensorRT depends on: of onnxruntime and of TensorRT itself."""
    found = {name: metadata.version(name) for name in _DISTRIBUTIONS if _is_installed(name)}
    with suppress(OSError):
        found["tensorrt"] = str(ctypes.CDLL(_TENSORRT_LIBRARIES[0]).getInferLibVersion())
    return found


def _load_cuda(runtime: Any) -> None:
    """Load CUDA and cuDNN, from their wheels or from the system, so that the provider finds them loaded."""
    said = io.StringIO()
    with redirect_stdout(said):  # it prints what it does not find
        runtime.preload_dlls()
    missing = [line.partition(":")[0].split()[-1] for line in said.getvalue().splitlines() if "Failed to load" in line]
    if missing:
        raise ModelError(f"CUDA's {', '.join(missing)} cannot be loaded: install groundswell[gpu] anew")


def _load_tensorrt() -> None:
    with suppress(ImportError):
        import_module("tensorrt_libs")  # the wheel; importing it loads its libraries
    for library in _TENSORRT_LIBRARIES:
        try:
            ctypes.CDLL(library)
        except OSError as error:
            raise ModelError(
                f"TensorRT's {library} cannot be loaded: install groundswell[tensorrt], or set the provider to cuda"
            ) from error


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
