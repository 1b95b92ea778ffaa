"""What a tiny run says of where it comes from: an export, and an import or a training."""

from __future__ import annotations

from pathlib import Path

import msgspec

from inference.manifest import Source, Tokens
from inference.version import sha256
from model_export.export_record import ExportRecord
from model_export.recipe import Branch, DataUse, HeadDesign, Recipe
from model_export.run_files import Epoch, Imported, Trained
from tests.inference.tiny_bert import HEADS
from tests.model_export.tiny_run import SINGLES

SPACE = "tiny-0123456789ab"
PARITY = {"sentiment/alone": 1e-6, "sentiment/padded": 2e-6}


def tiny_record(run: Path, *, space: str | None = SPACE) -> None:
    """Say that the graph in ``run`` was exported."""
    graph = sha256(run / "export" / "model.onnx")
    _write(run / "export" / "export.json", ExportRecord(opset=18, graph=graph, tools={}, embedding_space=space))
    _write(run / "export" / "parity.json", PARITY)


def tiny_import(run: Path, *, task: str = "sentiment", licence: str | None = "mit") -> Imported:
    """Say that ``run`` was imported."""
    imported = Imported(
        folder="somebody-tiny",
        model_type="bert",
        architecture="BertForSequenceClassification",
        task=task,
        labels=tuple(HEADS.get(task, ())),
        max_length=SINGLES.max_length,
        licence=licence,
        files={"model.safetensors": "0" * 64},
        opset=18,
        parity=PARITY,
        embedding_space=SPACE,
    )
    _write(run / "imported.json", imported)
    return imported


def tiny_training(run: Path, tokens: Tokens = SINGLES) -> tuple[Recipe, Trained]:
    """Say that ``run`` was trained."""
    recipe = Recipe(
        name="tiny-encoder",
        description="Moods of tiny texts.",
        limits=("Tiny texts alone.",),
        base="tiny-base",
        licence="Apache-2.0",
        tokens=tokens,
        branches=(Branch(name="tuned"),),
        heads=(
            *(HeadDesign(task=task, branch="tuned", labels=tuple(labels)) for task, labels in HEADS.items()),
            HeadDesign(task="embedding", branch="tuned", kind="embedding"),
        ),
        data=(
            *(DataUse(task=task, name="jsonl:train.jsonl") for task in HEADS),
            DataUse(task="sentiment", name="goemotions", use="validation"),
        ),
        seed=7,
    )
    figures = {"n": 1234.0, "accuracy": 0.5, "macro_f1": 0.4, "macro_recall": 0.45, "calibration_error": 0.1}
    training = Trained(
        name=recipe.name,
        fingerprint="f" * 64,
        seed=7,
        tools={"torch": "2.9"},
        data=(Source(path="train.jsonl", sha256="1" * 64, rows=240, use="training of sentiment"),),
        rows={"sentiment": {"read": 240, "removed": 3, "training": 200, "calibration": 37}},
        curve=(Epoch(0, 0.9, {"sentiment": 0.4}, 0.4), Epoch(1, 0.5, {"sentiment": 0.6}, 0.6)),
        best_epoch=1,
        metrics={"sentiment/goemotions": figures},
        seconds=120.0,
    )
    _write(run / "recipe.json", recipe)
    _write(run / "training.json", training)
    return recipe, training


def _write(path: Path, value: object) -> None:
    path.write_bytes(msgspec.json.encode(value))
