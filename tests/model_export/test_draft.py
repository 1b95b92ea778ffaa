from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from groundswell.errors import ModelError
from groundswell.records import Analysis
from inference.manifest import Precision
from inference.model import Model
from inference.repository import Repository
from model_export import goldens
from model_export.datasets import DataError
from model_export.draft import FORMS, TOLERANCES, draft
from model_export.evidence import Evidence, of_file
from model_export.labelled_file import LabelledRow
from model_export.optimise import optimise
from model_export.publish import publish
from model_export.verify import verify
from tests.inference.tiny_bert import TinyBert, tiny_bert_scores
from tests.model_export.labelled import write_lines
from tests.model_export.tiny_origin import SPACE, tiny_import, tiny_record, tiny_training
from tests.model_export.tiny_run import TEXTS, labelled, tiny_run

#: Texts in the words of the tiny model that fit into one of its windows.
SHORT = [text for text in TEXTS if len(text.split()) < 20]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TinyBert]:
    run = tmp_path_factory.mktemp("runs") / "tiny run"
    bert = tiny_run(run)
    tiny_record(run)
    tiny_import(run)
    optimise(run, ("fused", "int8"), data=None)
    return run, bert


@pytest.fixture
def evidence(made: tuple[Path, TinyBert], tmp_path: Path) -> Evidence:
    """Texts with the labels that the network gives them."""
    rows = []
    for text in SHORT:
        scores = tiny_bert_scores(made[1], text)["sentiment"]
        rows.append({"text": text, "label": max(scores, key=lambda label: scores[label])})
    return of_file(write_lines(tmp_path / "labelled.jsonl", rows))


@pytest.mark.parametrize(("form", "precision"), [("fp32", "fp32"), ("fused", "fp32"), ("int8", "int8")])
def test_a_draft_is_published_proves_itself_and_says_what_its_own_graph_says(
    made: tuple[Path, TinyBert], evidence: Evidence, tmp_path: Path, form: str, precision: Precision
) -> None:
    run, _ = made
    found = draft(run, form=form, evidence={"sentiment": evidence})
    ref = publish(tmp_path / "models", found)
    repository = Repository(tmp_path / "models")
    assert verify(repository, f"{ref.name}@champion") == []
    version = repository.open(f"{ref.name}@champion")
    assert ref.name == "tiny-run"
    assert set(version.manifest.graphs) == {precision}
    assert version.read(version.manifest.graphs[precision]) == (run / "export" / FORMS[form][precision]).read_bytes()
    assert version.manifest.tolerance == TOLERANCES[precision]
    assert version.manifest.embedding_space == SPACE
    assert version.manifest.licence == "mit"
    assert (version.folder / "README.md").read_text().startswith("# tiny-run\n")

    model = Model(version, threads=1)
    encoded = model.encode(SHORT)
    rows = [row for text in encoded for row in text.rows]
    outputs = model.outputs(["sentiment"])
    found_rows = model.run(rows, max(row.size for row in rows), outputs)
    answers = [each for each in model.analyse(encoded, found_rows, ["sentiment"]) if isinstance(each, Analysis)]
    right = np.mean(
        [answer.scores["sentiment"].label == row.label for answer, row in zip(answers, evidence.rows, strict=True)]
    )
    figures = version.manifest.metrics["sentiment/labelled.jsonl"]
    assert figures["n"] == len(SHORT)
    assert figures["accuracy"] == pytest.approx(right, abs=1e-4)
    assert figures["accuracy"] > 0.9
    reference = version.manifest.reference["sentiment"]
    shares = [answer.scores["sentiment"].label for answer in answers]
    assert reference.classes == {
        label: pytest.approx(shares.count(label) / len(shares), abs=1e-5) for label in reference.classes
    }
    assert sum(reference.confidence) == pytest.approx(1, abs=1e-4)


def test_the_golden_answers_are_those_of_the_shipped_graph_and_tell_how_far_it_is_from_fp32(
    made: tuple[Path, TinyBert],
) -> None:
    run, bert = made
    exact, coarse = draft(run, form="fp32"), draft(run, form="int8")
    assert [each.text for each in exact.golden] == list(goldens.SENTIMENT)
    text = "not good at all :("
    scores = tiny_bert_scores(bert, text, temperature=2.0)["sentiment"]
    (golden,) = [each for each in exact.golden if each.text == text]
    assert golden.expected["sentiment"] == pytest.approx(scores, abs=1e-4)
    moved = max(
        abs(one.expected["sentiment"][label] - other.expected["sentiment"][label])
        for one, other in zip(exact.golden, coarse.golden, strict=True)
        for label in scores
    )
    assert 0 < moved < 0.1
    assert coarse.parity["sentiment/int8"] == pytest.approx(moved, rel=0.01)
    assert 0 < coarse.parity["embedding/int8"] < 0.05
    assert exact.parity.keys() == {"sentiment/alone", "sentiment/padded"}
    assert exact.embedding_space == coarse.embedding_space
    assert exact.version != coarse.version


def test_a_head_without_labelled_data_has_neither_figures_nor_a_reference(made: tuple[Path, TinyBert]) -> None:
    found = draft(made[0], form="int8")
    assert (found.metrics, found.reference, found.data) == ({}, {}, ())


def test_the_same_run_gives_the_same_version_whatever_it_was_judged_on(
    made: tuple[Path, TinyBert], evidence: Evidence
) -> None:
    assert draft(made[0]).version == draft(made[0], evidence={"sentiment": evidence}).version


def test_data_sets_that_were_joined_have_figures_each(made: tuple[Path, TinyBert]) -> None:
    rows = [
        LabelledRow(number, text, ("negative", "neutral", "positive")[number % 3], source=("one", "two")[number % 2])
        for number, text in enumerate(SHORT, 1)
    ]
    found = draft(made[0], evidence={"sentiment": Evidence("one+two", "0" * 64, rows)})
    assert {name: figures["n"] for name, figures in found.metrics.items()} == {
        "sentiment/one": sum(row.source == "one" for row in rows),
        "sentiment/two": sum(row.source == "two" for row in rows),
    }


def test_evidence_that_does_not_fit_is_named(made: tuple[Path, TinyBert]) -> None:
    rows = [LabelledRow(1, "good", "splendid")]
    with pytest.raises(DataError, match="splendid"):
        draft(made[0], evidence={"sentiment": Evidence("mine.jsonl", "0" * 64, rows)})


def test_a_cross_encoder_has_golden_pairs(tmp_path: Path) -> None:
    run = tmp_path / "nli"
    bert = tiny_run(run, pairs=True)
    tiny_record(run, space=None)
    tiny_import(run, task="nli")
    pairs = tuple((text, TEXTS[number]) for number, text in enumerate(SHORT))
    evidence = of_file(write_lines(tmp_path / "pairs.jsonl", labelled(bert, pairs)))
    found = draft(run, form="fp32", evidence={"nli": evidence})
    assert [(each.text, each.second) for each in found.golden] == list(goldens.PAIRS)
    assert found.embedding_space is None
    assert [source.use for source in found.data] == ["validation of nli"]
    publish(tmp_path / "models", found)


def test_a_trained_run_brings_its_name_its_data_and_its_tools(made: tuple[Path, TinyBert], tmp_path: Path) -> None:
    run = tmp_path / "another"
    tiny_run(run)
    tiny_record(run)
    recipe, training = tiny_training(run)
    found = draft(run, form="fp32")
    assert (found.name, found.licence, found.data) == (recipe.name, recipe.licence, training.data)
    assert found.tools["torch"] == "2.9"


class TestRefused:
    def test_a_form_that_nobody_knows(self, made: tuple[Path, TinyBert]) -> None:
        with pytest.raises(ModelError, match="no form 'int3'"):
            draft(made[0], form="int3")

    def test_a_form_that_was_not_made(self, made: tuple[Path, TinyBert]) -> None:
        with pytest.raises(ModelError, match="optimise the run with the form int8-static first"):
            draft(made[0], form="int8-static")

    def test_a_run_that_was_neither_trained_nor_imported(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        tiny_run(run)
        tiny_record(run)
        with pytest.raises(ModelError, match="neither trained to its end nor imported"):
            draft(run, form="fp32")

    def test_a_run_that_was_not_exported(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        tiny_run(run)
        tiny_import(run)
        with pytest.raises(ModelError, match="export or import it first"):
            draft(run, form="fp32")

    def test_a_graph_that_is_not_the_one_that_was_exported(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        tiny_run(run)
        tiny_record(run)
        tiny_import(run)
        (run / "export" / "model.onnx").write_bytes(TinyBert(5).graph())
        with pytest.raises(ModelError, match="not the graph that"):
            draft(run, form="fp32")

    def test_a_form_of_an_older_graph_or_one_that_was_touched(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        tiny_run(run)
        tiny_record(run)
        tiny_import(run)
        optimise(run, ("fused",), data=None)
        form = run / "export" / "model.fused.onnx"
        kept = form.read_bytes()
        graph = onnx.load_model_from_string(kept)
        graph.doc_string = "touched"
        form.write_bytes(graph.SerializeToString())
        with pytest.raises(ModelError, match="not the file that"):
            draft(run, form="fused")
        form.write_bytes(kept)
        (run / "export" / "model.onnx").write_bytes(TinyBert(5).graph())
        tiny_record(run)
        with pytest.raises(ModelError, match="made of another graph"):
            draft(run, form="fused")

    def test_files_that_are_spoilt(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        tiny_run(run)
        tiny_record(run)
        (run / "imported.json").write_text("{")
        with pytest.raises(ModelError, match=r"imported\.json cannot be used"):
            draft(run, form="fp32")
        (run / "imported.json").unlink()
        imported = msgspec.to_builtins(tiny_import(run))
        (run / "imported.json").write_bytes(msgspec.json.encode({**imported, "opset": "many"}))
        with pytest.raises(ModelError, match=r"imported\.json cannot be used"):
            draft(run, form="fp32")
