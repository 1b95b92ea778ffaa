"""The device: only the provider that was asked for, only the graph that was promised."""

from __future__ import annotations

import numpy as np
import pytest

from groundswell.errors import ModelError
from inference.manifest import MODEL, Tensor
from inference.session import DeviceError, Session, require_runtime
from model_export.graph import INPUT, output
from tests.inference.tiny import tiny_draft

GRAPH = tiny_draft().files[MODEL]
OUTPUT = output("sentiment", 3)


def test_runs_on_the_provider_that_was_asked_for() -> None:
    session = Session(GRAPH, (INPUT,), (OUTPUT,), threads=1)
    assert session.provider == "CPUExecutionProvider"
    assert session.run({"ids": np.array([[1, 0]], dtype=np.int32)})["sentiment"].tolist() == [[-2, 0.5, 2]]


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("gpu", "no execution provider 'gpu': choose one of cpu, cuda, tensorrt"),
        ("cuda", r"CUDAExecutionProvider is not in this onnxruntime .* groundswell\[gpu\]"),
        ("tensorrt", "TensorrtExecutionProvider is not in this onnxruntime"),
    ],
)
def test_never_falls_back_to_another_provider(provider: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        Session(GRAPH, (INPUT,), (OUTPUT,), provider=provider)


def test_both_runtimes_or_none_are_refused() -> None:
    require_runtime(["onnxruntime"])
    require_runtime(["onnxruntime-gpu"])
    with pytest.raises(ModelError, match="both installed"):
        require_runtime(["onnxruntime", "onnxruntime-gpu"])
    with pytest.raises(ModelError, match=r"groundswell\[cpu\] or groundswell\[gpu\]"):
        require_runtime([])


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ((Tensor(name="tokens", dtype="int32", shape=("rows", "length")),), (OUTPUT,)),
        ((Tensor(name="ids", dtype="int64", shape=("rows", "length")),), (OUTPUT,)),
        ((INPUT,), (output("sentiment", 4),)),
        ((INPUT,), (OUTPUT, output("emotion", 4))),
        ((INPUT, INPUT), (OUTPUT,)),
    ],
)
def test_another_signature_is_refused(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
    with pytest.raises(ModelError, match="its manifest says"):
        Session(GRAPH, inputs, outputs, threads=1)


@pytest.mark.parametrize("graph", [b"", b"not a graph", GRAPH[:-20], GRAPH[: len(GRAPH) // 2]])
def test_what_is_no_graph_is_refused(graph: bytes) -> None:
    with pytest.raises(ModelError):
        Session(graph, (INPUT,), (OUTPUT,), threads=1)


def test_what_the_device_cannot_do_is_a_device_error() -> None:
    session = Session(GRAPH, (INPUT,), (OUTPUT,), threads=1)
    with pytest.raises(DeviceError, match="out of data bounds"):
        session.run({"ids": np.array([[999]], dtype=np.int32)})
