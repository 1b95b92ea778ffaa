"""Optimising a run: every form beside the graph, its loss and its gain told, and nothing made twice."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from groundswell.errors import ModelError
from inference.session import Session
from model_export.datasets import DataError
from model_export.forms import FILES, FORMS, INT8, INT8_STATIC, REPORT, Optimised
from model_export.optimise import optimise
from tests.full_disk import full_disk
from tests.model_export.labelled import write_lines
from tests.model_export.tiny_run import TEXTS, labelled, tiny_run


@pytest.fixture(scope="module")
def optimised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Optimised]:
    run = tmp_path_factory.mktemp("run")
    shutil.rmtree(run)
    bert = tiny_run(run)
    file = write_lines(run / "labelled.jsonl", labelled(bert))
    return run, file, optimise(run, data=file)


@pytest.fixture
def copied(optimised: tuple[Path, Path, Optimised], tmp_path: Path) -> tuple[Path, Path, Optimised]:
    run, _, report = optimised
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run", tmp_path / "run" / "labelled.jsonl", report


def stamps(run: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (run / "export").iterdir()}


def test_every_form_is_made_and_told_of(optimised: tuple[Path, Path, Optimised]) -> None:
    run, _, report = optimised
    assert set(report.forms) == set(FORMS)
    assert {file.name for file in (run / "export").iterdir()} == {"model.onnx", REPORT, *FILES.values()}
    assert msgspec.json.decode((run / "export" / REPORT).read_bytes(), type=Optimised) == report
    for name, form in report.forms.items():
        assert (run / "export" / form.file).stat().st_size == form.bytes
        assert form.texts_per_second > 0
        assert form.gain > 0
        assert set(form.classes) == {"sentiment", "emotion"}
        assert form.classes["sentiment"].texts == report.texts == len(set(TEXTS))
        (found,) = form.classes["sentiment"].sets.values()
        assert found.n == report.texts
        assert found.low <= found.difference <= found.high
        assert found.difference == pytest.approx(found.after - found.before, abs=2e-5)
        assert form.classes["emotion"].sets == {}
        assert form.embedding is not None
        assert form.embedding.worst_cosine > (0.9 if name == INT8_STATIC else 0.99)
    assert report.forms["fused"].classes["sentiment"].largest < 1e-4
    assert report.forms["fused"].classes["sentiment"].agreement == 1.0
    assert report.forms[INT8].bytes < report.bytes / 2


def test_every_form_offers_what_the_graph_does(optimised: tuple[Path, Path, Optimised]) -> None:
    run, _, report = optimised
    for form in report.forms.values():
        model = onnx.load(run / "export" / form.file)
        assert [each.name for each in model.graph.output] == ["sentiment", "emotion", "embedding"]
        assert {each.type.tensor_type.elem_type for each in model.graph.output} == {onnx.TensorProto.FLOAT}


def test_what_is_there_is_kept(copied: tuple[Path, Path, Optimised]) -> None:
    run, file, report = copied
    before = stamps(run)
    said: list[str] = []
    assert optimise(run, data=file, progress=said.append) == report
    assert stamps(run) == before
    assert not any(line.startswith(("making", "measuring")) for line in said)


def test_only_what_other_options_change_is_made_anew(copied: tuple[Path, Path, Optimised]) -> None:
    run, file, report = copied
    said: list[str] = []
    found = optimise(run, [INT8], data=file, word_bits=4, progress=said.append)
    assert [line for line in said if line.startswith("making")] == ["making int8"]
    assert found.forms[INT8].bytes < report.forms[INT8].bytes
    assert found.forms["fp16"] == report.forms["fp16"]


def test_a_form_that_is_gone_or_damaged_is_made_again(copied: tuple[Path, Path, Optimised]) -> None:
    run, file, report = copied
    (run / "export" / FILES["fp16"]).unlink()
    damaged = run / "export" / FILES["fused"]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    said: list[str] = []
    found = optimise(run, data=file, progress=said.append)
    assert [line for line in said if line.startswith("making")] == ["making fused", "making fp16"]
    assert {name: form.sha256 for name, form in found.forms.items()} == {
        name: form.sha256 for name, form in report.forms.items()
    }


def test_a_new_graph_makes_all_forms_anew(copied: tuple[Path, Path, Optimised], tmp_path: Path) -> None:
    run, file, report = copied
    tiny_run(tmp_path / "other", seed=9)
    shutil.copy(tmp_path / "other/export/model.onnx", run / "export/model.onnx")
    found = optimise(run, ["fused"], data=file)
    assert found.source != report.source
    assert set(found.forms) == {"fused"}


class Killed(Exception):
    """Stands for whatever ends the command."""


def test_what_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    bert = tiny_run(tmp_path / "run")
    file = write_lines(tmp_path / "labelled.jsonl", labelled(bert))

    def stop(said: str) -> None:
        if said == "making int8":
            raise Killed

    with pytest.raises(Killed):
        optimise(tmp_path / "run", ["fused", INT8], data=file, progress=stop)
    before = stamps(tmp_path / "run")
    said: list[str] = []
    found = optimise(tmp_path / "run", ["fused", INT8], data=file, progress=said.append)
    assert [line for line in said if line.startswith("making")] == ["making int8"]
    assert stamps(tmp_path / "run")[FILES["fused"]] == before[FILES["fused"]]
    assert all(form.measured_on for form in found.forms.values())


def test_pairs_are_measured_on_pairs(tmp_path: Path) -> None:
    bert = tiny_run(tmp_path / "run", pairs=True)
    pairs = tuple(itertools.pairwise(TEXTS))
    file = write_lines(tmp_path / "pairs.jsonl", labelled(bert, pairs))
    found = optimise(tmp_path / "run", ["fused", INT8], data=file)
    assert found.forms[INT8].embedding is None
    assert found.forms["fused"].classes["nli"].sets["pairs.jsonl"].difference == 0
    singles = write_lines(tmp_path / "singles.jsonl", [{"text": "good day", "label": "neutral"}])
    with pytest.raises(DataError, match="the model reads pairs of premise and hypothesis"):
        optimise(tmp_path / "run", ["fused"], data=singles)


@pytest.mark.parametrize("pairs", [False, True])
def test_without_data_losses_are_told_on_invented_texts(tmp_path: Path, pairs: bool) -> None:
    tiny_run(tmp_path / "run", pairs=pairs)
    found = optimise(tmp_path / "run", ["fused"], data=None)
    assert found.texts >= 20
    assert found.notes == ("no labelled data was given: no true figures",)
    with pytest.raises(ModelError, match="int8-static must be calibrated: give data or samples"):
        optimise(tmp_path / "run", data=None)


def test_samples_calibrate_where_there_is_no_data(tmp_path: Path) -> None:
    tiny_run(tmp_path / "run")
    found = optimise(tmp_path / "run", [INT8_STATIC], data=None, samples=TEXTS)
    assert found.texts == len(set(TEXTS))
    again = optimise(tmp_path / "run", [INT8_STATIC], data=None, samples=TEXTS[:20])
    assert again.forms[INT8_STATIC].made_of != found.forms[INT8_STATIC].made_of


def test_a_recipe_names_the_data(tmp_path: Path) -> None:
    run, data = tmp_path / "run", tmp_path / "data"
    bert = tiny_run(run)
    data.mkdir()
    rows = labelled(bert, tuple(f"{text} {number} {number * 7}" for number, text in enumerate(TEXTS * 3)))
    write_lines(data / "train.jsonl", rows[:80])
    write_lines(data / "held.jsonl", rows[80:])
    head = {"task": "sentiment", "branch": "tuned", "labels": bert.heads["sentiment"]}
    recipe = {
        "name": "tiny",
        "description": "",
        "base": "none",
        "licence": "Apache-2.0",
        "tokens": {"max_length": 24},
        "heads": [head],
        "data": [
            {"task": "sentiment", "name": "jsonl:train.jsonl"},
            {"task": "sentiment", "name": "jsonl:held.jsonl", "use": "validation"},
        ],
    }
    (run / "recipe.json").write_text(json.dumps(recipe))
    found = optimise(run, [INT8_STATIC], data=data)
    assert set(found.forms[INT8_STATIC].classes["sentiment"].sets) == {"jsonl:held.jsonl"}
    assert found.notes[0].startswith("what the embedding is good for was not measured")
    (run / "recipe.json").unlink()
    with pytest.raises(DataError, match=r"no recipe\.json that names data sets: give a file"):
        optimise(run, ["fused"], data=data)


def test_what_cannot_be_optimised_is_refused_with_the_reason(tmp_path: Path) -> None:
    run = tmp_path / "run"
    bert = tiny_run(run)
    with pytest.raises(ModelError, match="no form int4: choose of fused, fp16, int8, int8-static"):
        optimise(run, ["int4"], data=None)
    wrong = write_lines(tmp_path / "wrong.jsonl", [{"text": "good", "label": "fine"}])
    with pytest.raises(DataError, match=r"the labels \['fine'\], which no head of the model has"):
        optimise(run, ["fused"], data=wrong)
    (run / "export/model.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is no ONNX graph"):
        optimise(run, ["fused"], data=None)
    (run / "export/model.onnx").unlink()
    with pytest.raises(ModelError, match="export the run first"):
        optimise(run, ["fused"], data=None)
    (run / "labels.json").write_text("{}")
    (run / "export/model.onnx").write_bytes(bert.graph())
    with pytest.raises(ModelError, match="says nothing of sentiment"):
        optimise(run, ["fused"], data=None)


def test_a_full_disk_is_named_and_what_was_made_stays(tmp_path: Path) -> None:
    run = tmp_path / "run"
    tiny_run(run)
    size = len((run / "export/model.onnx").read_bytes())
    with full_disk(size // 4), pytest.raises(ModelError, match=r"export cannot be written \(.*File too large"):
        optimise(run, ["fused"], data=None)
    assert optimise(run, ["fused"], data=None).forms.keys() == {"fused"}


def test_a_form_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    bert = tiny_run(run)
    model = onnx.load_model_from_string(bert.graph())
    for tensor in model.graph.initializer:
        if tensor.name == "sentiment.weight":
            tensor.CopyFrom(numpy_helper.from_array(np.full((32, 3), np.nan, np.float32), tensor.name))
    (run / "export/model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="the output sentiment of a form is not finite"):
        optimise(run, ["fused"], data=None)


def test_a_report_that_cannot_be_read_is_written_anew(copied: tuple[Path, Path, Optimised]) -> None:
    run, file, _ = copied
    (run / "export" / REPORT).write_text("{")
    found = optimise(run, ["fused"], data=file)
    assert set(found.forms) == {"fused"}
    content = (run / "export" / found.forms["fused"].file).read_bytes()
    from model_export.exported_run import ExportedRun

    exported = ExportedRun(run)
    Session(content, exported.inputs, exported.outputs, threads=1)
