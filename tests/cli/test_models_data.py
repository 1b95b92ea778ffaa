"""``groundswell models data``: figures of a file, and a failure that names what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from model_export.data_report import KINDS
from tests.model_export.labelled import nli_rows, sentiment_rows, write_lines


def _data(*words: object) -> int:
    return main(["models", "data", *map(str, words)])


def test_a_clean_file_shows_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_lines(tmp_path / "rows.jsonl", sentiment_rows(300))
    assert _data(file, "--task", "sentiment") == 0
    shown = capsys.readouterr().out
    assert "300 texts, 300 of them distinct" in shown
    assert "columns: text, label, source, lang" in shown
    assert "negative" in shown and "33.3%" in shown
    assert "no anomalies" in shown


def test_pairs_are_looked_through_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _data(write_lines(tmp_path / "pairs.jsonl", nli_rows(30)), "--task", "nli") == 0
    assert "30 pairs" in capsys.readouterr().out


def test_an_anomaly_fails_and_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = sentiment_rows(300)
    rows[41]["label"] = "\x1b[31mmixed"
    file = write_lines(tmp_path / "rows.jsonl", rows)
    assert _data(file, "--task", "sentiment") == 1
    shown = capsys.readouterr().out
    assert "unknown_label" in shown and "42" in shown and "\x1b" not in shown
    assert _data(file, "--task", "sentiment", "--allow", "unknown_label") == 0
    assert "unknown_label (allowed)" in capsys.readouterr().out


def test_labels_and_files_to_keep_apart_can_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = write_lines(tmp_path / "train.jsonl", sentiment_rows(300))
    validation = write_lines(tmp_path / "validation.jsonl", [*sentiment_rows(60, salt="b"), sentiment_rows(3)[1]])
    assert _data(train, "--labels", "negative, neutral,positive", "--against", validation, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [(each["kind"], each["lines"]) for each in found["anomalies"]] == [("leak", [2])]
    assert found["rows"] == 300
    assert found["labels"] == {"negative": 100, "neutral": 100, "positive": 100}


def test_a_file_that_is_not_there_and_an_anomaly_that_is_none_are_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _data(tmp_path / "absent.jsonl") == 1
    assert "absent.jsonl cannot be read" in capsys.readouterr().err
    assert _data(tmp_path / "absent.jsonl", "--allow", "everything") == 2
    assert next(iter(KINDS)) in capsys.readouterr().err
