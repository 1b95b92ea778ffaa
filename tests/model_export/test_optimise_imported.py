"""Forms of models that came from elsewhere: every kind that can be imported has them all."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.training import requires_training

pytestmark = requires_training()

from model_export.forms import FORMS, INT8, INT8_STATIC
from model_export.import_folder import import_folder
from model_export.optimise import optimise
from tests.model_export.test_import_folder import KINDS
from tests.model_export.tiny_folders import hugging_face
from tests.model_export.tiny_run import TEXTS

#: Kinds whose attention stays as it is.
OF_DISTANCES = ("deberta", "deberta-v2")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_forms(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import_folder(hugging_face(tmp_path / "folder", kind), tmp_path / "run", task="mood")
    capsys.readouterr()
    found = optimise(tmp_path / "run", FORMS, data=None, samples=TEXTS)
    assert capsys.readouterr().out == ""
    lost = {form: made.classes["mood"].largest for form, made in found.forms.items()}
    assert lost["fused"] < 1e-4
    assert lost["fp16"] < 0.02
    assert lost[INT8] < 0.1
    assert lost[INT8_STATIC] < 0.1
    assert found.forms[INT8].bytes < found.forms["fused"].bytes
    operators = [node.op_type for node in onnx.load(tmp_path / "run/export" / found.forms["fused"].file).graph.node]
    assert operators.count("BiasGelu") == 2
    assert operators.count("LayerNormalization") >= 5
    kept = kind in OF_DISTANCES
    assert (operators.count("MultiHeadAttention"), operators.count("Softmax")) == ((0, 2) if kept else (2, 0))
    assert any(note.startswith("attention was not fused") for note in found.notes) == kept


@pytest.mark.parametrize("kind", ["distilbert", "deberta-v2"])
def test_an_encoder_has_its_forms(kind: str, tmp_path: Path) -> None:
    import_folder(hugging_face(tmp_path / "folder", kind, labels=()), tmp_path / "run", task="embedding")
    found = optimise(tmp_path / "run", ["fused", "fp16", INT8], data=None, samples=TEXTS)
    worst = {form: made.embedding.worst_cosine for form, made in found.forms.items() if made.embedding}
    assert worst["fused"] > 0.99999
    assert worst["fp16"] > 0.999
    assert worst[INT8] > 0.99
