"""Forms of models that came from elsewhere, of the kinds whose attention is fused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import requires_training

pytestmark = requires_training()

from model_export.import_folder import import_folder
from model_export.optimise import INT8, optimise
from tests.model_export.tiny_folders import hugging_face


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta"])
def test_an_imported_model_has_its_forms(kind: str, tmp_path: Path) -> None:
    import_folder(hugging_face(tmp_path / "folder", kind), tmp_path / "run", task="mood")
    found = optimise(tmp_path / "run", ["fused", "fp16", INT8], data=None)
    assert found.forms["fused"].classes["mood"].largest < 1e-4
    assert found.forms["fp16"].classes["mood"].largest < 0.02
    assert found.forms[INT8].classes["mood"].largest < 0.1
