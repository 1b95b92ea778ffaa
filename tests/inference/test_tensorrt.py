"""Engines: another graph, stack, GPU or precision is another folder, so that old weights are never served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundswell.errors import ModelError
from inference.device import Device
from inference.tensorrt import TensorrtRunner, engine_folder, tensorrt_options

ROOT = Path("engines")
STACK = {"onnxruntime-gpu": "1.31.1", "tensorrt": "101601"}
SAME: dict[str, Any] = {"root": ROOT, "graph": b"one", "versions": STACK, "capability": (9, 0), "precision": "fp16"}


@pytest.mark.parametrize(
    "change",
    [
        {"graph": b"other"},
        {"versions": {**STACK, "onnxruntime-gpu": "1.32.0"}},
        {"versions": {**STACK, "tensorrt": "101602"}},
        {"capability": (8, 9)},
        {"precision": "fp32"},
    ],
)
def test_whatever_an_engine_depends_on_changes_its_folder(change: dict[str, Any]) -> None:
    assert engine_folder(**SAME) == engine_folder(**SAME)
    assert engine_folder(**{**SAME, **change}) != engine_folder(**SAME)


def test_an_engine_is_named_by_its_shape_and_shares_times_with_its_stack() -> None:
    folder = engine_folder(**SAME)
    device = Device("tensorrt", number=1, precision="fp16", shapes=((4, 16), (16, 16)), engines=ROOT)
    small, large = (tensorrt_options(device, folder, shape) for shape in device.shapes)
    assert small["trt_engine_cache_path"] == large["trt_engine_cache_path"] == str(folder)
    assert small["trt_timing_cache_path"] == str(folder.parent)
    assert small["trt_engine_cache_prefix"] != large["trt_engine_cache_prefix"]
    assert (small["device_id"], small["trt_fp16_enable"], small["trt_layer_norm_fp32_fallback"]) == ("1", "1", "1")
    fp32 = Device("tensorrt", shapes=device.shapes, engines=ROOT)
    assert tensorrt_options(fp32, folder, (4, 16))["trt_fp16_enable"] == "0"


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        (Device("tensorrt", precision="int8", shapes=((1, 8),), engines=ROOT), "set fp16 or fp32"),
        (Device("tensorrt", precision="fp16", engines=ROOT), "it needs shapes"),
        (Device("tensorrt", precision="fp16", shapes=((1, 8),)), "a folder for them"),
    ],
)
def test_what_cannot_be_built_is_refused_before_a_gpu_is_looked_for(device: Device, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        TensorrtRunner(None, STACK, b"", (), (), device)
