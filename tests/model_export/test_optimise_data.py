"""The texts for optimising: from a recipe, a file or samples, each once, and only those that fit the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.datasets import DataError
from model_export.exported_run import ExportedRun
from model_export.optimise_data import gather, sample
from tests.model_export.labelled import nli_rows, sentiment_rows, write_lines
from tests.model_export.tiny_run import tiny_run

ROWS = sentiment_rows(9)


@given(st.lists(st.text()), st.integers(0, 20), st.randoms())
def test_a_sample_does_not_depend_on_order_and_has_no_text_twice(texts: list[str], most: int, random: Any) -> None:
    found = sample(texts, most)
    assert len(found) == min(most, len(set(texts)))
    assert len(set(found)) == len(found)
    assert set(found) <= set(texts)
    random.shuffle(texts)
    assert sample(texts, most) == found
    assert sample(texts, most + 1)[:most] == found


def test_lone_surrogates_can_be_sampled() -> None:
    assert set(sample(["\ud800", "a"], 2)) == {"\ud800", "a"}


def test_a_file_is_judged_on_and_calibrates(tmp_path: Path) -> None:
    tiny_run(tmp_path / "run")
    file = write_lines(tmp_path / "file.jsonl", ROWS)
    found = gather(tmp_path / "run", ExportedRun(tmp_path / "run"), file, None)
    (judged,) = found.judged
    assert (judged.task, judged.name) == ("sentiment", "file.jsonl")
    labels = ExportedRun(tmp_path / "run").classes["sentiment"].labels
    assert {text: labels[label] for text, label in zip(judged.texts, judged.labels, strict=True)} == {
        row["text"]: row["label"] for row in ROWS
    }
    assert list(found.calibration) == list(judged.texts)
    assert (found.texts, found.notes) == ([], ())


def test_samples_calibrate_in_place_of_what_is_judged_on(tmp_path: Path) -> None:
    tiny_run(tmp_path / "run")
    file = write_lines(tmp_path / "file.jsonl", ROWS)
    found = gather(tmp_path / "run", ExportedRun(tmp_path / "run"), file, ["good day", "rain"])
    assert len(found.judged) == 1
    assert found.calibration == found.texts == ["good day", "rain"]


def test_without_data_there_are_invented_texts_that_calibrate_nothing(tmp_path: Path) -> None:
    for pairs, kind in ((False, str), (True, tuple)):
        run = tmp_path / str(pairs)
        tiny_run(run, pairs=pairs)
        found = gather(run, ExportedRun(run), None, None)
        assert {type(text) for text in found.texts} == {kind}
        assert (found.judged, found.calibration) == ((), [])
        assert found.notes == ("no labelled data was given: no true figures",)


def test_a_text_twice_in_a_file_counts_once(tmp_path: Path) -> None:
    tiny_run(tmp_path / "run")
    file = write_lines(tmp_path / "file.jsonl", [*ROWS, ROWS[0]])
    (judged,) = gather(tmp_path / "run", ExportedRun(tmp_path / "run"), file, None).judged
    assert len(judged.texts) == len(ROWS)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    tiny_run(tmp_path / "run")
    run = ExportedRun(tmp_path / "run")
    pairs = write_lines(tmp_path / "pairs.jsonl", nli_rows(3))
    with pytest.raises(DataError, match=r"the model reads single texts: .*pairs\.jsonl must be such"):
        gather(tmp_path / "run", run, pairs, None)
    with pytest.raises(DataError, match="the model reads single texts: the samples must be such"):
        gather(tmp_path / "run", run, None, [("a", "b")])
    other = write_lines(tmp_path / "other.jsonl", [{"text": "good", "label": "fine"}])
    with pytest.raises(DataError, match=r"the labels \['fine'\], which no head of the model has"):
        gather(tmp_path / "run", run, other, None)
    with pytest.raises(DataError, match=r"no recipe\.json that names data sets: give a file"):
        gather(tmp_path / "run", run, tmp_path, None)
    with pytest.raises(DataError, match=r"absent\.jsonl cannot be read"):
        gather(tmp_path / "run", run, tmp_path / "absent.jsonl", None)
