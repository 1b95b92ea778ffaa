"""The GPU benchmark: where there is no GPU it says so; what it measures with is run here on the processor, tiny."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.bert_graph import INPUTS, Bert
from benchmarks.gpu import bench, measure, peak, write_version
from inference.device import Device
from inference.nvidia import Gpu
from inference.session import Session, blank

TINY = Bert(layers=2, hidden=32, heads=4, inner=64, words=50, positions=128)


def test_without_a_gpu_it_says_so_and_invents_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("inference.nvidia._DRIVER", "libno-such-driver.so.1")
    assert bench([]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("No GPU benchmark: no NVIDIA driver on this machine")


def test_the_fused_form_is_the_plain_network() -> None:
    batch = blank(INPUTS, (3, 8), 0)
    batch["attention_mask"][1, 5:] = 0
    plain, fused, half = (
        Session(graph, INPUTS, TINY.outputs, threads=1).run(batch)["sentiment"]
        for graph in (TINY.graph(fused=False), TINY.graph(fused=True), TINY.graph(fused=True, half=True))
    )
    np.testing.assert_allclose(fused, plain, atol=1e-5)
    np.testing.assert_allclose(half, plain, atol=1e-2)
    assert half.dtype == np.float32


def test_operations_of_bert_base_at_128_tokens() -> None:
    # 85.0 million weights in its layers, two operations each and token, and 0.6 GFLOP of attention.
    assert Bert().operations(128) == pytest.approx(2 * 128 * 84.93e6 + 0.604e9, rel=1e-3)


def test_the_peak_is_that_of_the_data_sheet() -> None:
    assert peak(Gpu("A100", (8, 0), 108, 1.41e9)) == pytest.approx(312e12, rel=0.01)
    assert peak(Gpu("H100 SXM", (9, 0), 132, 1.83e9)) == pytest.approx(989e12, rel=0.01)
    assert peak(Gpu("unknown", (99, 0), 1, 1e9)) is None


def test_operator_and_bare_loop_are_measured_on_the_same_batches(tmp_path: Path) -> None:
    version = write_version(tmp_path, TINY)
    device = Device("cpu", threads=1, shapes=((8, 128),))
    whole, share = measure(version, TINY, device, posts=16, gpu=Gpu("some", (8, 0), 108, 1.41e9))
    assert whole.ours > 0
    assert whole.peer is not None
    assert whole.unit == "sequences/s"
    assert share.ours == pytest.approx(100 * whole.ours * TINY.operations(128) / 312e12, rel=0.01)
