"""The runtime that is installed, and the driver below it: what is missing is named."""

from __future__ import annotations

from typing import Any

import pytest

from groundswell.errors import ModelError
from inference.device import Device
from inference.nvidia import Gpu, find_gpu
from inference.runtime import load_runtime, require_runtime, versions


def test_both_runtimes_or_none_are_refused() -> None:
    require_runtime(["onnxruntime"])
    require_runtime(["onnxruntime-gpu"])
    with pytest.raises(ModelError, match="both installed"):
        require_runtime(["onnxruntime", "onnxruntime-gpu"])
    with pytest.raises(ModelError, match=r"groundswell\[cpu\] or groundswell\[gpu\]"):
        require_runtime([])


def test_a_provider_that_is_not_built_in_is_refused() -> None:
    runtime = load_runtime(Device())
    for provider, name in (("cuda", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider")):
        if name in runtime.get_available_providers():
            continue  # the build for GPUs: tests/gpu
        with pytest.raises(ModelError, match=rf"{name} is not in this onnxruntime .* groundswell\[gpu\]"):
            load_runtime(Device(provider))


def test_the_versions_that_engines_depend_on_are_told() -> None:
    (runtime,) = versions().keys() - {"tensorrt"}
    assert runtime in ("onnxruntime", "onnxruntime-gpu")


class FakeDriver:
    """The calls of the driver API that are made, for a machine with some GPUs."""

    def __init__(self, gpus: int, code: int = 0) -> None:
        self._gpus = gpus
        self._code = code

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self._code

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self._gpus
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: N802
        device._obj.value = number
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802
        name.value = b"Fake"[:size]
        return 0

    def cuDeviceGetAttribute(self, value: Any, which: int, device: Any) -> int:  # noqa: N802
        value._obj.value = {13: 1_980_000, 16: 132, 75: 9, 76: 0}[which]
        return 0


def test_a_gpu_is_described_by_its_driver() -> None:
    assert find_gpu(1, FakeDriver(2)) == Gpu("Fake", (9, 0), 132, 1.98e9)


def test_a_machine_without_that_gpu_or_with_a_broken_driver_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no GPU 2 on this machine \(it has 2\)"):
        find_gpu(2, FakeDriver(2))
    with pytest.raises(ModelError, match="cuInit answers 100"):
        find_gpu(0, FakeDriver(0, 100))


def test_a_machine_without_a_driver_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.nvidia._DRIVER", "libno-such-driver.so.1")
    with pytest.raises(ModelError, match="no NVIDIA driver on this machine"):
        find_gpu()
