"""``groundswell models evaluate``: the champion on a file of labelled texts, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from tests.inference import tiny
from tests.inference.tiny_bert import published_bert
from tests.model_export.labelled import nli_rows, sentiment_rows, write_lines


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag of words, an encoder and a cross-encoder, each champion of its name."""
    place = tmp_path_factory.mktemp("models")
    tiny.published(place, name="bag")
    published_bert(place, name="encoder")
    published_bert(place, name="nli", pairs=True)
    return place


def _evaluate(root: Path, task: str, data: Path, *words: object) -> int:
    return main(
        ["models", "evaluate", "--task", task, "--data", str(data), "--repository", str(root), *map(str, words)]
    )


def test_json_has_the_figures_of_the_champion_that_is_found_by_its_task(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_lines(tmp_path / "rows.jsonl", sentiment_rows(60))
    assert _evaluate(root, "sentiment", data, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["n"] == 60
    assert found["model"].startswith("encoder@")
    assert {"accuracy", "macro_f1", "macro_recall", "calibration_error"} <= found.keys()
    assert all(0 <= found[name] <= 1 for name in ("accuracy", "macro_f1", "macro_recall", "calibration_error"))
    assert set(found["intervals"]) == {"accuracy", "macro_f1", "macro_recall"}
    assert {kind: sum(part["n"] for part in parts.values()) for kind, parts in found["slices"].items()} == {
        "source": 60,
        "lang": 60,
        "length": 60,
    }


def test_another_model_can_be_named_and_a_table_is_for_people(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_lines(tmp_path / "rows.jsonl", sentiment_rows(60))
    assert _evaluate(root, "sentiment", data, "--model", "bag", "--plots", tmp_path / "plots") == 0
    shown = capsys.readouterr().out
    assert "sentiment by bag@" in shown and "macro_recall" in shown and "95 % interval" in shown
    assert "twitter" in shown and "mastodon" in shown and "length, characters" in shown
    assert len(list((tmp_path / "plots").glob("*.png"))) == 2


def test_the_model_that_reads_posts_goes_before_all_others_where_it_answers(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posts, pairs = (
        write_lines(tmp_path / f"{name}.jsonl", rows)
        for name, rows in (("posts", sentiment_rows(9)), ("pairs", nli_rows(9)))
    )
    for task, data, setting, model in (
        ("sentiment", posts, "models.posts=bag", "bag"),
        ("sentiment", posts, "models.posts=nli@champion", "encoder"),
        ("sentiment", posts, "models.posts=", "encoder"),
        ("nli", pairs, "models.posts=bag", "nli"),
    ):
        assert _evaluate(root, task, data, "--json", "--set", setting) == 0
        assert json.loads(capsys.readouterr().out)["model"].startswith(f"{model}@")


def test_labels_go_by_name_in_any_case(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = []
    for change in (str.lower, str.upper):
        rows = [{**row, "label": change(row["label"])} for row in sentiment_rows(60)]
        assert _evaluate(root, "sentiment", write_lines(tmp_path / "rows.jsonl", rows), "--json") == 0
        figures.append(json.loads(capsys.readouterr().out)["macro_recall"])
    assert figures[0] == figures[1]


def test_pairs_go_to_the_cross_encoder(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _evaluate(root, "nli", write_lines(tmp_path / "pairs.jsonl", nli_rows(30)), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["model"].split("@")[0]) == (30, "nli")


def test_odd_texts_are_judged_like_any_other(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = ["", "😀" * 50, "\x00\x07", "مرحبا", "#a " * 10_000, "word " * 200_000]
    lines: list[Any] = [{"text": text, "label": "neutral"} for text in odd]
    lines.append(rb'{"text": "cut \ud83d", "label": "positive"}')
    assert _evaluate(root, "sentiment", write_lines(tmp_path / "rows.jsonl", lines), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["errors"]) == (7, 0)
    assert found["truncated"] >= 2


@pytest.mark.parametrize(
    ("task", "rows", "words", "message"),
    [
        ("sentiment", [{"text": "hi", "label": "mixed"}], (), "line 1: 'mixed' is no label of encoder@"),
        ("sentiment", [{"text": "hi", "label": 2}], (), "labels go by name"),
        ("sentiment", [{"premise": "a", "hypothesis": "b", "label": "neutral"}], (), "sentiment reads text"),
        ("nli", [{"text": "hi", "label": "neutral"}], (), "nli reads premise and hypothesis"),
        ("sentiment", [], (), "holds no rows"),
        ("irony", sentiment_rows(3), (), "no champion in"),
        ("embedding", sentiment_rows(3), (), "no champion in"),
        ("sentiment", sentiment_rows(3), ("--model", "nli"), "does not answer the task 'sentiment'"),
        ("sentiment", sentiment_rows(3), ("--model", "absent"), "no model 'absent'"),
    ],
)
def test_what_cannot_be_judged_says_why(
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    task: str,
    rows: list[Any],
    words: tuple[str, ...],
    message: str,
) -> None:
    assert _evaluate(root, task, write_lines(tmp_path / "rows.jsonl", rows), *words) == 1
    assert message in capsys.readouterr().err


def test_plots_do_not_go_into_a_file(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_lines(tmp_path / "rows.jsonl", sentiment_rows(3))
    assert _evaluate(root, "sentiment", data, "--plots", data) == 2
    assert "this is no folder" in capsys.readouterr().err
