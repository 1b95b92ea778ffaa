"""An exported run: what is read of it, and each thing that does not fit named with its remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundswell.errors import ModelError
from model_export.exported_run import ExportedRun
from tests.model_export.tiny_run import SINGLES, tiny_run


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_run_says_what_its_graph_takes_and_gives(tmp_path: Path) -> None:
    bert = tiny_run(tmp_path)
    found = ExportedRun(tmp_path)
    assert found.source == bert.graph()
    assert found.tokens == SINGLES
    assert found.inputs == bert.inputs
    assert found.outputs == bert.outputs
    assert {task: head.labels for task, head in found.classes.items()} == {
        task: tuple(labels) for task, labels in bert.heads.items()
    }
    assert found.embedding == "embedding"
    assert (found.attention_fuses, found.notes) == (True, ())


def test_probabilities_are_calibrated(tmp_path: Path) -> None:
    tiny_run(tmp_path)
    logits = np.array([[4.0, 0.0, -2.0]], np.float32)
    wanted = np.exp(logits / 2) / np.exp(logits / 2).sum()
    assert np.allclose(ExportedRun(tmp_path).classes["sentiment"].calibrate(logits), wanted, atol=1e-6)


def test_texts_become_rows_of_the_graph(tmp_path: Path) -> None:
    tiny_run(tmp_path)
    encoder = ExportedRun(tmp_path).encoder()
    (encoded,) = encoder.encode(["good day"])
    inputs = encoder.collate([encoded.rows[0]], encoded.rows[0].size)
    assert set(inputs) == {tensor.name for tensor in ExportedRun(tmp_path).inputs}


def test_pairs_have_no_embedding(tmp_path: Path) -> None:
    tiny_run(tmp_path, pairs=True)
    found = ExportedRun(tmp_path)
    assert found.tokens.pairs
    assert (found.embedding, set(found.classes)) == (None, {"nli"})


@pytest.mark.parametrize("kind", ["deberta", "deberta-v2"])
def test_attention_that_cannot_be_fused_is_noted(tmp_path: Path, kind: str) -> None:
    tiny_run(tmp_path)
    edit(tmp_path / "config.json", model_type=kind)
    found = ExportedRun(tmp_path)
    assert not found.attention_fuses
    assert found.notes == ("attention was not fused: this kind of model adds distances between tokens to it",)


def test_heads_for_the_training_alone_are_not_asked_of_the_graph(tmp_path: Path) -> None:
    tiny_run(tmp_path)
    heads = json.loads((tmp_path / "network.json").read_text())["heads"]
    finer = {"task": "finer", "branch": "tuned", "labels": ["a", "b"], "auxiliary": True}
    edit(tmp_path / "network.json", heads=[*heads, finer])
    assert set(ExportedRun(tmp_path).classes) == {"sentiment", "emotion"}


def test_heads_that_the_graph_does_not_have_are_refused(tmp_path: Path) -> None:
    tiny_run(tmp_path)
    edit(tmp_path / "network.json", heads=json.loads((tmp_path / "network.json").read_text())["heads"][:2])
    with pytest.raises(
        ModelError, match=r"gives sentiment, emotion, embedding, and network\.json has heads for sentiment, emotion:"
    ):
        ExportedRun(tmp_path)


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ("network.json", "train or import the run first"),
        ("labels.json", "train or import the run first"),
        ("calibration.json", "train or import the run first"),
        ("config.json", "train or import the run first"),
        ("tokenizer.json", "train or import the run again"),
        ("export/model.onnx", "export the run first"),
    ],
)
def test_a_file_that_is_absent_is_named(tmp_path: Path, file: str, remedy: str) -> None:
    tiny_run(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(ModelError, match=f"{file} cannot be read .*: {remedy}"):
        ExportedRun(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
@pytest.mark.parametrize("file", ["network.json", "labels.json", "calibration.json", "config.json"])
def test_a_file_that_is_damaged_is_named(tmp_path: Path, file: str, content: bytes) -> None:
    tiny_run(tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ModelError, match=f"{file} cannot be used .*: train or import the run again"):
        ExportedRun(tmp_path)
