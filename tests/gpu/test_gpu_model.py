"""A whole model on a GPU: proved there on its golden inputs, and every text answered through the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bert_graph import Bert
from benchmarks.gpu import measure, write_version
from inference.device import Device
from inference.nvidia import Gpu

pytestmark = pytest.mark.gpu

SMALL = Bert(layers=2, hidden=128, heads=4, inner=256, words=200, positions=128)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"], indirect=True)
def test_posts_become_documents(provider: str, gpu: Gpu, tmp_path: Path) -> None:
    device = Device(provider, precision="fp16", shapes=((64, 128),), engines=tmp_path / "engines")
    rows = measure(write_version(tmp_path, SMALL), SMALL, device, posts=500, gpu=gpu)
    assert rows[0].ours > 0
