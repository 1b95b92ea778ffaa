"""What a version is judged on: files, and the validation data of a recipe."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from groundswell.errors import ModelError
from inference.manifest import Tokens
from model_export.datasets import DataError
from model_export.evidence import gathered, of_file, of_run
from model_export.recipe import DataUse, HeadDesign, Recipe
from tests.model_export.labelled import nli_rows, sentiment_rows, write_lines

LABELS = ("negative", "neutral", "positive")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two tasks; its data lies beside it."""
    data = tmp_path / "data"
    data.mkdir()
    write_lines(data / "train.jsonl", sentiment_rows(60, "a"))
    write_lines(data / "one.jsonl", sentiment_rows(30, "b"))
    write_lines(data / "two.jsonl", sentiment_rows(30, "c"))
    recipe = Recipe(
        name="moods",
        description="Moods.",
        base="none",
        licence="Apache-2.0",
        tokens=Tokens(max_length=32),
        heads=(
            HeadDesign(task="sentiment", branch="tuned", labels=LABELS),
            HeadDesign(task="mood", branch="tuned", labels=LABELS),
            HeadDesign(task="aside", branch="tuned", labels=LABELS, auxiliary=True),
        ),
        data=(
            DataUse(task="sentiment", name="jsonl:train.jsonl"),
            DataUse(task="sentiment", name="jsonl:one.jsonl", use="validation"),
            DataUse(task="sentiment", name="jsonl:two.jsonl", use="validation"),
            DataUse(task="mood", name="jsonl:one.jsonl", hold_out=0.5),
            DataUse(task="aside", name="jsonl:absent.jsonl"),
        ),
    )
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.json").write_bytes(msgspec.json.encode(recipe))
    return folder


def test_the_validation_data_of_a_run_is_all_that_was_set_aside(run: Path, tmp_path: Path) -> None:
    found = of_run(run, tmp_path / "data")
    assert set(found) == {"sentiment", "mood"}
    sentiment, mood = found["sentiment"], found["mood"]
    assert sentiment.name == "jsonl:one.jsonl+jsonl:two.jsonl"
    assert len(sentiment.rows) == 60
    assert {row.source for row in sentiment.rows} == {"jsonl:one.jsonl", "jsonl:two.jsonl"}
    assert {row.label for row in sentiment.rows} == set(LABELS)
    assert 5 < len(mood.rows) < 25
    assert len(sentiment.sha256) == 64 and sentiment.sha256 != mood.sha256
    assert of_run(run, tmp_path / "data") == found


def test_a_file_goes_before_the_folder(run: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "own.jsonl", sentiment_rows(9))
    found = gathered(run, [f"sentiment={file}", str(tmp_path / "data")], ["sentiment", "mood"])
    assert found["sentiment"] == of_file(file)
    assert len(found["sentiment"].rows) == 9
    assert found["mood"].name == "jsonl:one.jsonl"


def test_one_task_needs_no_name(run: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "pairs.jsonl", nli_rows(9))
    assert set(gathered(run, [str(file)], ["nli"])) == {"nli"}
    assert set(gathered(run, [str(tmp_path / "data")], ["sentiment"])) == {"sentiment"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["{file}"], "which task is it for"),
        (["irony={file}"], "'irony' is no task with labels of this model"),
        (["mood={file}", "mood={file}"], "there is a file for mood already"),
        (["mood={file}.absent"], "cannot be read"),
    ],
)
def test_what_is_not_clear_is_an_error(run: Path, tmp_path: Path, given: list[str], message: str) -> None:
    file = write_lines(tmp_path / "own.jsonl", sentiment_rows(9))
    with pytest.raises(DataError, match=message):
        gathered(run, [each.format(file=file) for each in given], ["sentiment", "mood"])


def test_a_run_without_a_recipe_names_no_data(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a labelled file for each task"):
        of_run(tmp_path, tmp_path)
