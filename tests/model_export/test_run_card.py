from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from inference.manifest import Tokens
from model_export.draft import draft
from model_export.optimise import optimise
from model_export.run_card import RunFacts, run_card
from tests.inference.tiny_bert import HEADS, NAME, tiny_bert_draft
from tests.model_export.tiny_origin import tiny_import, tiny_record, tiny_training
from tests.model_export.tiny_run import tiny_run

FIGURES = {
    "n": 1234.0,
    "accuracy": 0.71,
    "accuracy_low": 0.7,
    "accuracy_high": 0.72,
    "macro_f1": 0.61,
    "macro_f1_low": 0.6,
    "macro_f1_high": 0.62,
    "macro_recall": 0.51,
    "macro_recall_low": 0.5,
    "macro_recall_high": 0.52,
    "calibration_error": 0.031,
}


@pytest.fixture
def facts(tmp_path: Path) -> RunFacts:
    recipe, training = tiny_training(tmp_path)
    return RunFacts(
        draft=tiny_bert_draft(
            metrics={"sentiment/goemotions": FIGURES}, data=training.data, parity={"sentiment/alone": 1.5e-6}
        ),
        form="int8",
        recipe=recipe,
        training=training,
        imported=None,
        optimised=None,
        opset=18,
        labels=HEADS,
        sizes={"model.int8.onnx": 30_000_000, "model.onnx": 111_000_000},
    )


def test_the_card_of_a_trained_run_holds_what_its_files_say(facts: RunFacts) -> None:
    card = run_card(facts)
    assert card.startswith(f"# {NAME}\n\nMoods of tiny texts.\nMade from the base `tiny-base`")
    for said in (
        "| sentiment | negative, neutral, positive |",
        "| embedding | 32 dimensions, unit length; space `tiny-0` |",
        "| sentiment/goemotions | 1,234 | 0.510 (0.500–0.520) | 0.610 (0.600–0.620) | 0.710 (0.700–0.720) | 0.031 |",
        "| sentiment/goemotions | 0.4500 | 0.5100 | +6.00 |",
        "| sentiment/alone | 1.5e-06 |",
        "| `model.int8.onnx` (shipped) | 30.0 |",
        "| `model.onnx` | 111.0 |",
        "| goemotions | Apache-2.0 |",
        "| jsonl:train.jsonl | your own file |",
        "| sentiment | read 240, removed 3, training 200, calibration 37 |",
        "| `train.jsonl` | 240 | training of sentiment |",
        "Seed 7; 2 minutes.",
        "| 2 (kept) | 0.5000 | 0.6000 |",
        "The weights: Apache-2.0.",
        "at most 3 such windows",
        "\n- Tiny texts alone.\n",
        "Nothing was measured of emotion,",
        "groundswell models train RECIPE --data DATA",
        "groundswell models optimise RUN --forms int8",
        "ONNX opset 18",
    ):
        assert said in card


def test_the_card_of_an_imported_run_claims_nothing_about_its_training(facts: RunFacts, tmp_path: Path) -> None:
    imported = tiny_import(tmp_path, licence=None)
    bare = msgspec.structs.replace(facts.draft, metrics={}, data=())
    card = run_card(facts._replace(recipe=None, training=None, imported=imported, draft=bare))
    for said in (
        "Imported: the BertForSequenceClassification of the folder `somebody-tiny`.",
        "None: no labelled data was given when this version was made.",
        "What it was trained on is not known here",
        "states none: find out before you use it",
        "Its probabilities are not calibrated.",
        "groundswell models import somebody-tiny --task sentiment --max-length 24",
    ):
        assert said in card
    for unsaid in ("## Training", "models train", "Seed"):
        assert unsaid not in card


def test_a_licence_that_its_folder_states_is_told_as_such(facts: RunFacts, tmp_path: Path) -> None:
    stated = msgspec.structs.replace(facts.draft, licence="mit")
    imported = tiny_import(tmp_path, licence="mit")
    card = run_card(facts._replace(recipe=None, training=None, imported=imported, draft=stated))
    assert "The weights: mit as its folder states it." in card


def test_figures_on_fewer_rows_are_not_compared_with_those_of_the_network(facts: RunFacts) -> None:
    fewer = msgspec.structs.replace(facts.draft, metrics={"sentiment/goemotions": FIGURES | {"n": 600.0}})
    assert "Macro-recall of the trained network" not in run_card(facts._replace(draft=fewer))


def test_one_window_shares_nothing_with_others(facts: RunFacts) -> None:
    one = msgspec.structs.replace(facts.draft, tokens=Tokens(max_length=24))
    card = run_card(facts._replace(draft=one))
    assert "It reads 24 tokens, special ones included; what is beyond is not read" in card
    assert "windows" not in card


def test_every_table_is_whole(facts: RunFacts) -> None:
    lines = run_card(facts).splitlines()
    for before, line in pairwise(lines):
        if before.startswith("|") and line.startswith("|"):
            assert before.count("|") == line.count("|")


def test_the_loss_of_an_optimised_form_is_told(tmp_path: Path) -> None:
    run = tmp_path / "run"
    tiny_run(run)
    tiny_record(run)
    tiny_import(run)
    optimised = optimise(run, ("fused", "int8"), data=None)
    card = draft(run).files["README.md"].decode()
    loss = optimised.forms["int8"].classes["sentiment"]
    assert f"| sentiment | {loss.texts:,} | {loss.agreement:.2%} |" in card
    assert "Cosine of" in card
    assert f"{optimised.forms['int8'].gain:.2f} times the exported graph" in card
    assert "--forms int8 --word-bits 8" in card
