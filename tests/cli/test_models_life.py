"""The life of a model by its command line: a tiny BERT is trained, published, judged, replaced and brought back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.training import requires_training

pytestmark = requires_training()

from cli.main import main
from model_export.recipe import Recipe, Training
from tests.model_export.tiny_base import tiny_recipe
from tests.model_export.tiny_folders import hugging_face

NAME = "tiny-encoder"
#: Learns nothing in the time that it has.
IDLE = Training(epochs=1, batch_rows=16, learning_rate=1e-7, head_learning_rate=1e-7, calibration=0.2)


class Life(NamedTuple):
    """Where data, the runs of a good and of a bad recipe, and the repository are."""

    data: Path
    good: Path
    bad: Path
    root: Path


def models(*words: object) -> int:
    return main(["models", *map(str, words)])


def made(folder: Path, recipe: Recipe, data: Path) -> Path:
    """A run of the recipe, trained, exported and optimised."""
    file = folder / "recipe.json"
    folder.mkdir()
    file.write_bytes(msgspec.json.encode(recipe))
    run = folder / "run"
    assert models("train", file, "--data", data, "--out", run, "--threads", 1) == 0
    assert models("export", run, "--data", data / "validation.jsonl") == 0
    assert models("optimise", run, "--data", data) == 0
    return run


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    place = tmp_path_factory.mktemp("life")
    recipe = tiny_recipe(place)
    good = made(place / "good", recipe, place)
    bad = made(place / "bad", msgspec.structs.replace(recipe, training=IDLE), place)
    root = place / "models"
    assert publish(Life(place, good, bad, root), good) == 0
    return Life(place, good, bad, root)


def publish(life: Life, run: Path, *words: object) -> int:
    return models("publish", run, "--data", life.data, "--repository", life.root, *words)


def aliases(life: Life) -> dict[str, str]:
    found: dict[str, str] = json.loads((life.root / NAME / "aliases.json").read_text())
    return found


def evaluated(life: Life, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What ``evaluate`` says of the champion."""
    capsys.readouterr()
    words = ("--task", "sentiment", "--data", life.data / "validation.jsonl", "--repository", life.root, "--json")
    assert models("evaluate", *words) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_was_trained_serves_in_eight_bits(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluated(life, capsys)
    assert {"n", "accuracy", "macro_f1", "macro_recall", "calibration_error"} <= found.keys()
    assert (found["n"], found["precision"], found["errors"]) == (60, "int8", 0)
    assert found["macro_recall"] > 0.9
    assert found["model"] == f"{NAME}@{aliases(life)['champion']}"
    assert models("verify", NAME, "--repository", life.root) == 0
    assert models("show", NAME, "--repository", life.root) == 0
    assert f"# {NAME}" in capsys.readouterr().out


def test_a_finished_run_is_not_trained_again_and_a_champion_not_published_again(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = (life.good / "weights.safetensors").stat()
    recipe = life.good.parent / "recipe.json"
    assert models("train", recipe, "--data", life.data, "--out", life.good, "--threads", 1) == 0
    assert (life.good / "weights.safetensors").stat() == weights
    assert publish(life, life.good) == 0
    assert "is the champion already" in capsys.readouterr().out


def test_a_worse_one_is_refused(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    before = aliases(life)
    capsys.readouterr()
    assert publish(life, life.bad) == 1
    said = capsys.readouterr().err
    assert "the baseline's" in said and "the champion's" in said
    assert aliases(life) == before


def test_one_that_was_corrupted_is_refused(life: Life, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = aliases(life)
    for name in ("export/model.int8.onnx", "weights.safetensors", "labels.json"):
        run = shutil.copytree(life.good, tmp_path / Path(name).name)
        (run / name).write_bytes((run / name).read_bytes()[:-20])
        capsys.readouterr()
        assert publish(life, run) == 1
        assert Path(name).name in capsys.readouterr().err or name == "weights.safetensors"
    assert aliases(life) == before


def test_promote_and_rollback_go_there_and_back(life: Life, capsys: pytest.CaptureFixture[str]) -> None:
    champion = aliases(life)["champion"]
    good = evaluated(life, capsys)
    assert publish(life, life.bad, "--alias", "candidate", "--force", "to see what comes back") == 0
    assert models("promote", f"{NAME}@candidate", "--repository", life.root) == 0
    assert aliases(life)["previous"] == champion
    assert evaluated(life, capsys)["macro_recall"] < good["macro_recall"]
    assert models("rollback", NAME, "--repository", life.root) == 0
    assert aliases(life) == {"champion": champion}
    assert evaluated(life, capsys) == good


def test_the_best_parameters_of_tuning_are_those_that_train_uses(
    life: Life, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = life.good.parent / "recipe.json"
    words = ("--data", life.data, "--threads", 1)
    assert models("tune", recipe, *words, "--out", tmp_path / "tuning", "--trials", 2, "--rows", 60, "--json") == 0
    tuned = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert tuned["trials"] == 2
    written = json.loads((tmp_path / "tuning" / "recipe.json").read_text())
    assert written["training"] == tuned["recipe"]["training"]
    assert models("train", tmp_path / "tuning" / "recipe.json", *words, "--out", tmp_path / "run") == 0
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["training"] == written["training"]


def test_a_folder_of_hugging_face_goes_the_same_way(
    life: Life, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = hugging_face(tmp_path / "brought", "roberta"), tmp_path / "moods"
    assert models("import", folder, "--task", "sentiment", "--out", run, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["model_type"] == "roberta"
    file = life.data / "validation.jsonl"
    assert models("optimise", run, "--data", file, "--forms", "fused,int8") == 0
    given = ("--data", file, "--repository", tmp_path / "models")
    assert models("publish", run, *given) == 1
    assert "is not published, because" in capsys.readouterr().err
    assert models("publish", run, *given, "--force", "its weights are random") == 0
    assert models("verify", "moods", "--repository", tmp_path / "models") == 0
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    (folder / "model.safetensors").unlink()
    assert models("import", folder, "--task", "sentiment", "--out", tmp_path / "again") == 1
    assert "safetensors" in capsys.readouterr().err
