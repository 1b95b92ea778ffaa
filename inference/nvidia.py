"""The GPUs of this machine, as the driver tells of them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Final

from groundswell.errors import ModelError

_DRIVER: Final = "libcuda.so.1"
# Numbers of CUdevice_attribute, from the CUDA driver API's reference.
_CLOCK_KHZ, _MULTIPROCESSORS, _MAJOR, _MINOR = 13, 16, 75, 76


@dataclass(frozen=True)
class Gpu:
    """A GPU: ``capability`` is its compute capability (9.0 is (9, 0)), ``clock`` its highest in Hz."""

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    clock: float


def find_gpu(number: int = 0, driver: Any = None) -> Gpu:
    """The GPU of that number; ``driver`` is the CUDA driver's library where it is loaded already.

    Raises :class:`ModelError` that says what to do where there is no driver, no GPU, or none of that number.
    """
    try:
        driver = driver or ctypes.CDLL(_DRIVER)
    except OSError as error:
        raise ModelError(
            f"no NVIDIA driver on this machine ({_DRIVER} is not there): install it, or set the provider to cpu"
        ) from error
    _call(driver, "cuInit", 0)
    count, device = ctypes.c_int(), ctypes.c_int()
    _call(driver, "cuDeviceGetCount", ctypes.byref(count))
    if not 0 <= number < count.value:
        raise ModelError(f"no GPU {number} on this machine (it has {count.value}): set models.device")
    _call(driver, "cuDeviceGet", ctypes.byref(device), number)
    name = ctypes.create_string_buffer(256)
    _call(driver, "cuDeviceGetName", name, len(name), device)

    def attribute(which: int) -> int:
        value = ctypes.c_int()
        _call(driver, "cuDeviceGetAttribute", ctypes.byref(value), which, device)
        return value.value

    return Gpu(
        name.value.decode(errors="replace"),
        (attribute(_MAJOR), attribute(_MINOR)),
        attribute(_MULTIPROCESSORS),
        attribute(_CLOCK_KHZ) * 1e3,
    )


def _call(driver: Any, function: str, *arguments: Any) -> None:
    code = getattr(driver, function)(*arguments)
    if code:
        raise ModelError(f"the NVIDIA driver cannot be used ({function} answers {code}): check it with nvidia-smi")
