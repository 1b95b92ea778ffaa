"""Graphs on a GPU: the answers of the processor, from prepared shapes, and never from old weights."""

from __future__ import annotations

import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bert_graph import INPUTS, Bert
from groundswell.errors import ModelError
from inference.device import PROVIDERS, Device, DeviceError
from inference.nvidia import Gpu
from inference.session import Session, blank
from tests.inference.tiny_bert import TinyBert

pytestmark = pytest.mark.gpu

SMALL = Bert(layers=3, hidden=128, heads=4, inner=256, words=200, positions=128)
SHAPES = ((1, 16), (4, 16), (16, 16), (4, 64))
BOTH = pytest.mark.parametrize("provider", ["cuda", "tensorrt"], indirect=True)


def device(provider: str, folder: Path, precision: str = "fp16") -> Device:
    made = Device(provider, shapes=SHAPES, engines=folder)
    return replace(made, precision="fp16") if precision == "fp16" else made


def on_processor(seed: int = 0) -> Session:
    return Session(SMALL.graph(fused=False, seed=seed), INPUTS, SMALL.outputs, threads=2)


def on_gpu(provider: str, folder: Path, precision: str = "fp16", seed: int = 0) -> Session:
    # TensorRT makes fp16 itself, from the plain graph.
    fused = provider == "cuda"
    graph = SMALL.graph(fused=fused, half=fused and precision == "fp16", seed=seed)
    return Session(graph, INPUTS, SMALL.outputs, device=device(provider, folder, precision))


@BOTH
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-4), ("fp16", 2e-2)])
def test_the_gpu_says_what_the_processor_says(provider: str, precision: str, tolerance: float, tmp_path: Path) -> None:
    session, reference = on_gpu(provider, tmp_path, precision), on_processor()
    assert session.provider == PROVIDERS[provider]
    session.warm(SHAPES)
    for rows, length in ((1, 16), (3, 9), (4, 16), (16, 16), (11, 2), (2, 64), (4, 33)):
        for first in (0, 1):
            batch = blank(INPUTS, (rows, length), first)
            batch["attention_mask"][0, length // 2 + 1 :] = 0
            found = session.run(batch)["sentiment"]
            assert found.dtype == np.float32
            assert found.shape == (rows, SMALL.labels)
            np.testing.assert_allclose(found, reference.run(batch)["sentiment"], atol=tolerance)


@BOTH
def test_replayed_graphs_read_each_new_batch_whoever_asks(provider: str, tmp_path: Path) -> None:
    session, reference = on_gpu(provider, tmp_path), on_processor()
    session.warm(SHAPES)
    wrong: list[float] = []

    def ask(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(50):
            rows, length = SHAPES[random.integers(len(SHAPES))]
            batch = blank(INPUTS, (rows, length), 0)
            batch["input_ids"] = random.integers(0, SMALL.words, (rows, length))
            away = np.abs(session.run(batch)["sentiment"] - reference.run(batch)["sentiment"]).max()
            if away > 2e-2:
                wrong.append(float(away))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@BOTH
def test_two_versions_serve_beside_each_other_and_one_is_warmed_meanwhile(provider: str, tmp_path: Path) -> None:
    old = on_gpu(provider, tmp_path, seed=0)
    old.warm(SHAPES)
    batch = blank(INPUTS, (4, 16), 0)
    before = old.run(batch)["sentiment"]
    stop, failed = threading.Event(), list[DeviceError]()

    def serve() -> None:
        while not stop.is_set():
            try:
                old.run(batch)
            except DeviceError as error:
                failed.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        new = on_gpu(provider, tmp_path, seed=1)
        new.warm(SHAPES)
    finally:
        stop.set()
        thread.join()
    assert failed == []
    np.testing.assert_allclose(old.run(batch)["sentiment"], before, atol=1e-3)
    np.testing.assert_allclose(new.run(batch)["sentiment"], on_processor(1).run(batch)["sentiment"], atol=2e-2)
    assert np.abs(new.run(batch)["sentiment"] - before).max() > 1e-3


@BOTH
def test_a_part_of_the_graph_runs_alone(provider: str, tmp_path: Path) -> None:
    bert = TinyBert(0)
    made = Device(provider, shapes=((4, 16),), engines=tmp_path)
    session = Session(bert.graph(), bert.inputs, bert.outputs, device=made)
    batch = blank(bert.inputs, (3, 9), 0)
    session.warm([(4, 16)])
    whole = session.run(batch)
    name = session.outputs[-1]
    session.warm([(4, 16)], [name])
    np.testing.assert_allclose(session.run(batch, [name])[name], whole[name], atol=1e-4)


@pytest.mark.parametrize("provider", ["cuda"], indirect=True)
def test_on_cuda_a_shape_that_was_not_prepared_runs_all_the_same(provider: str, tmp_path: Path) -> None:
    batch = blank(INPUTS, (40, 128), 0)
    found = on_gpu(provider, tmp_path, "fp32").run(batch)["sentiment"]
    np.testing.assert_allclose(found, on_processor().run(batch)["sentiment"], atol=2e-4)


@pytest.mark.parametrize("provider", ["tensorrt"], indirect=True)
def test_on_tensorrt_a_batch_that_no_engine_holds_is_a_device_error(provider: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no TensorRT engine holds 40 rows of 128 tokens"):
        on_gpu(provider, tmp_path).run(blank(INPUTS, (40, 128), 0))


@pytest.mark.parametrize("provider", ["tensorrt"], indirect=True)
def test_engines_are_kept_for_each_graph_and_a_broken_one_is_built_anew(provider: str, tmp_path: Path) -> None:
    on_gpu(provider, tmp_path)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.engine")}
    assert len(kept) == len(SHAPES)
    batch = blank(INPUTS, (4, 16), 0)
    right = on_processor().run(batch)["sentiment"]
    np.testing.assert_allclose(on_gpu(provider, tmp_path).run(batch)["sentiment"], right, atol=2e-2)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.engine")} == kept
    on_gpu(provider, tmp_path, seed=1)
    assert len(list(tmp_path.rglob("*.engine"))) == 2 * len(SHAPES)
    broken = next(iter(kept))
    broken.write_bytes(broken.read_bytes()[:1000])
    np.testing.assert_allclose(on_gpu(provider, tmp_path).run(batch)["sentiment"], right, atol=2e-2)
    assert len(broken.read_bytes()) > 1000


@BOTH
def test_a_graph_of_which_a_part_would_run_on_the_processor_is_refused(provider: str, tmp_path: Path) -> None:
    # Dynamic quantisation has no kernel on CUDA, and onnxruntime's own operators none in TensorRT.
    quantization = import_module("onnxruntime.quantization")
    plain, quantised = tmp_path / "plain.onnx", tmp_path / "int8.onnx"
    plain.write_bytes(SMALL.graph(fused=False))
    quantization.quantize_dynamic(plain, quantised, weight_type=quantization.QuantType.QInt8)
    graph = quantised.read_bytes() if provider == "cuda" else SMALL.graph(fused=True)
    with pytest.raises(ModelError, match=r"not all of the graph would run on|cannot load the graph"):
        Session(graph, INPUTS, SMALL.outputs, device=device(provider, tmp_path, "fp32"))


def test_another_number_than_that_of_a_gpu_is_refused(gpu: Gpu, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no GPU 99 on this machine|is not in this onnxruntime"):
        Session(SMALL.graph(fused=True), INPUTS, SMALL.outputs, device=Device("cuda", number=99))
