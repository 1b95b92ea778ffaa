"""The device: only the provider that was asked for, only the graph that was promised."""

from __future__ import annotations

import numpy as np
import pytest

from groundswell.errors import ModelError
from inference.manifest import MODEL, Tensor
from inference.nvidia import find_gpu
from inference.session import DeviceError, Session, blank
from model_export.graph import INPUT, output
from tests.inference.tiny import tiny_draft
from tests.inference.tiny_bert import TinyBert

GRAPH = tiny_draft().files[MODEL]
OUTPUT = output("sentiment", 3)


def test_runs_on_the_provider_that_was_asked_for() -> None:
    session = Session(GRAPH, (INPUT,), (OUTPUT,), threads=1)
    assert session.provider == "CPUExecutionProvider"
    assert session.run({"ids": np.array([[1, 0]], dtype=np.int32)})["sentiment"].tolist() == [[-2, 0.5, 2]]


def no_gpu() -> bool:
    try:
        find_gpu()
    except ModelError:
        return True
    return False


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_never_falls_back_to_another_provider(provider: str) -> None:
    # Whichever onnxruntime is installed: that of processors has no such provider, that of GPUs misses the driver.
    if no_gpu():
        with pytest.raises(
            ModelError, match=r"is not in this onnxruntime .* groundswell\[gpu\]|no NVIDIA driver|no GPU"
        ):
            Session(GRAPH, (INPUT,), (OUTPUT,), provider=provider)
    with pytest.raises(ModelError, match="no execution provider 'gpu': choose one of cpu, cuda, tensorrt"):
        Session(GRAPH, (INPUT,), (OUTPUT,), provider="gpu")


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


def test_what_is_warmed_runs_alone_and_says_the_same() -> None:
    bert = TinyBert(0)
    session = Session(bert.graph(), bert.inputs, bert.outputs, threads=1)
    batch = blank(bert.inputs, (3, 6), 1)
    whole = session.run(batch)
    for name in session.outputs:
        before = session.run(batch, [name])
        session.warm([(3, 6), (1, 8)], [name])
        after = session.run(batch, [name])
        assert before.keys() == after.keys() == {name}
        np.testing.assert_allclose(after[name], whole[name], atol=1e-6)
    # Two that no part of its own serves come from the whole, in the order in which they were asked for.
    assert list(session.run(batch, session.outputs[::-1])) == list(session.outputs[::-1])


def test_a_shape_that_does_not_run_is_told_when_it_is_warmed() -> None:
    bert = TinyBert(0)
    session = Session(bert.graph(), bert.inputs, bert.outputs, threads=1)
    with pytest.raises(ModelError, match="a batch of 2 rows of 10000 tokens fails"):
        session.warm([(2, 8), (2, 10_000)])
    with pytest.raises(ModelError, match="no output irony"):
        session.warm([], ["irony"])
