from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from tests.training import requires_training

pytestmark = requires_training()

from groundswell.errors import ModelError
from model_export import tune as tuner
from model_export.corpus import gather
from model_export.datasets import DataError
from model_export.recipe import DataUse, Recipe, Training
from model_export.recipe_file import load
from model_export.train import finished, train
from model_export.tune import tune
from tests.full_disk import full_disk
from tests.model_export.labelled import sentiment_rows, write_lines
from tests.model_export.tiny_base import tiny_recipe


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A recipe and where its data lies."""
    data = tmp_path_factory.mktemp("data")
    return tiny_recipe(data, epochs=2), data


def test_tuning_goes_on_where_it_was_and_its_best_parameters_are_the_ones_then_used(
    place: tuple[Recipe, Path], tmp_path: Path
) -> None:
    recipe, data = place
    seen: list[int] = []
    tune(recipe, data, tmp_path, trials=1, rows=60, threads=1, report=lambda number, *_: seen.append(number))
    tuned = tune(recipe, data, tmp_path, trials=3, rows=60, threads=1, report=lambda number, *_: seen.append(number))
    assert seen == [0, 1, 2]
    assert (tuned.trials, tuned.score >= tuned.first_score) == (3, True)
    runs = {folder: finished(folder) for folder in tmp_path.glob("trial-*")}
    best = max(runs, key=lambda folder: max(point.score for point in runs[folder].curve))  # type: ignore[union-attr]
    used = load(tmp_path / "recipe.json")
    assert (len(runs), used) == (3, tuned.recipe)
    assert used.training == load(best / "recipe.json").training
    assert used.data == recipe.data
    with pytest.raises(DataError, match="tune elsewhere"):
        tune(recipe, data, tmp_path, trials=4, rows=70, threads=1)


@pytest.mark.parametrize("room", [2_000, 125_000])
def test_a_full_disk_ends_tuning_with_its_reason(
    place: tuple[Recipe, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    recipe, data = place
    done = train(recipe, data, tmp_path / "done", threads=1)
    monkeypatch.setattr(tuner, "train", lambda *_, **__: done)
    with full_disk(room), pytest.raises(ModelError, match="cannot be written") as refused:
        tune(recipe, data, tmp_path / "out", trials=400, threads=1)
    assert "\n" not in str(refused.value)
    assert tune(recipe, data, tmp_path / "out", trials=1, threads=1).trials >= 1


def test_a_trial_sees_rows_of_the_whole_file(place: tuple[Recipe, Path], tmp_path: Path) -> None:
    recipe, data = place
    rows = sorted(sentiment_rows(240, "a"), key=lambda row: row["label"])
    for name in ("train.jsonl", "more.jsonl"):
        write_lines(tmp_path / name, [{**row, "text": f"{row['text']} {name[:4]}"} for row in rows])
    shutil.copy(data / "validation.jsonl", tmp_path)
    more = DataUse(task="sentiment", name="jsonl:more.jsonl", use="extra")
    tuned = msgspec.structs.replace(recipe, data=(*recipe.data, more))
    tune(tuned, tmp_path, tmp_path / "out", trials=1, rows=60, threads=1)
    (trial,) = (tmp_path / "out").glob("trial-*")
    done = finished(trial)
    assert done is not None
    kept = done.rows["sentiment"]
    assert kept["training"] + kept["calibration"] + kept["removed"] == 120
    found = gather(tuned, tmp_path, rows=60).tasks["sentiment"]
    assert {row.label for row in (*found.train, *found.calibration)} == {0, 1, 2}


def test_a_trial_that_was_stopped_is_tried_again_and_the_recipes_own_comes_first(
    place: tuple[Recipe, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, data = place
    tried: list[Training] = []

    def stopped(tuned: Recipe, *_: object, **__: object) -> None:
        tried.append(tuned.training)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(tuner, "train", stopped)
        with pytest.raises(KeyboardInterrupt):
            tune(recipe, data, tmp_path, trials=2, rows=60, threads=1)
    tuned = tune(recipe, data, tmp_path, trials=1, rows=60, threads=1)
    assert tried == [recipe.training] == [tuned.recipe.training]
    assert (tuned.trials, tuned.score) == (1, tuned.first_score)
