"""``groundswell models optimise`` and ``publish`` on a run whose graph is a tiny BERT, made without torch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from cli.main import main
from inference.manifest import Calibration
from tests.inference.tiny_bert import HEADS, TinyBert, tiny_bert_scores
from tests.model_export.labelled import write_lines
from tests.model_export.tiny_origin import SPACE, tiny_import, tiny_record
from tests.model_export.tiny_run import TEXTS, tiny_run


class Made(NamedTuple):
    """A run that is optimised, and a file for each task with the labels that its own network gives."""

    run: Path
    data: list[str]


def make(folder: Path, seed: int = 0, *, space: str = SPACE) -> Made:
    """The run ``folder/moods`` of the network of a seed, sure of what it says."""
    run = folder / "moods"
    bert = tiny_run(run, seed)
    sure = {task: msgspec.to_builtins(Calibration(temperature=0.02)) for task in bert.heads}
    (run / "calibration.json").write_text(json.dumps(sure))
    tiny_record(run, space=space)
    tiny_import(run)
    assert main(["models", "optimise", str(run), "--forms", "fused"]) == 0
    return Made(run, [f"{task}={_labelled(folder, bert, task)}" for task in HEADS])


def _labelled(folder: Path, bert: TinyBert, task: str) -> Path:
    rows = []
    for text in TEXTS:
        if len(text.split()) < 20:
            scores = tiny_bert_scores(bert, text)[task]
            rows.append({"text": text, "label": max(scores, key=lambda label: scores[label])})
    return write_lines(folder / f"{task}.jsonl", rows)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Another network under the same name: of the first one's data it knows nothing."""
    return make(tmp_path_factory.mktemp("other"), 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


def publish(root: Path, run: Path, data: list[str], *words: str) -> int:
    given = [word for each in data for word in ("--data", each)]
    return main(["models", "publish", str(run), "--form", "fused", "--repository", str(root), *given, *words])


def aliases(root: Path) -> dict[str, str]:
    path = root / "moods" / "aliases.json"
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return found


def manifest(root: Path, alias: str = "champion") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "moods" / aliases(root)[alias] / "MANIFEST.json").read_text())
    return found


def test_a_good_one_becomes_champion_with_its_figures(
    good: Made, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert publish(root, good.run, good.data) == 0
    shown = capsys.readouterr().out
    assert f"published moods@{aliases(root)['champion']} as champion in {root}" in shown
    assert "macro_recall" in shown and "sentiment-baseline@" in shown and "the most frequent label" in shown
    found = manifest(root)
    assert found["metrics"]["sentiment/sentiment.jsonl"]["macro_recall"] > 0.9
    assert "forced" not in found
    assert publish(root, good.run, good.data) == 0
    assert "is the champion already" in capsys.readouterr().out
    assert main(["models", "verify", "moods", "--repository", str(root)]) == 0


@pytest.mark.parametrize("alias", ["champion", "previous"])
@pytest.mark.parametrize("damage", ["lost", "truncated"])
def test_what_an_alias_names_comes_back_by_publishing_it_again(
    good: Made, other: Made, root: Path, capsys: pytest.CaptureFixture[str], alias: str, damage: str
) -> None:
    assert publish(root, other.run, other.data) == 0
    assert publish(root, good.run, good.data, "--force", "it is what these tests need") == 0
    before, run, data = aliases(root), *(good if alias == "champion" else other)
    figures = manifest(root, alias)["metrics"]
    folder = root / "moods" / before[alias]
    if damage == "lost":
        shutil.rmtree(folder)
    else:
        (folder / "model.onnx").write_bytes(b"")
    capsys.readouterr()
    # The previous one is restored, and is then no better than the champion on the champion's data.
    assert publish(root, run, data if alias == "champion" else good.data) == (0 if alias == "champion" else 1)
    assert f"restored moods@{before[alias]}" in capsys.readouterr().err
    assert aliases(root) == before
    assert main(["models", "verify", f"moods@{alias}", "--repository", str(root)]) == 0
    assert manifest(root, alias)["metrics"].keys() == figures.keys()


def test_a_worse_one_is_refused_with_every_reason_unless_forced(
    good: Made, other: Made, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(root, good.run, good.data) == 0
    before = aliases(root)
    capsys.readouterr()
    assert publish(root, other.run, good.data) == 1
    said = capsys.readouterr().err
    assert "is not published, because" in said
    for reason in ("sentiment: macro_recall", "emotion: macro_f1", "the baseline's", "the champion's"):
        assert reason in said
    assert aliases(root) == before
    assert publish(root, other.run, good.data, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["published"], told["forced"], told["alias"]) == (False, None, "champion")
    assert told["judged"]["sentiment"]["champion"] > told["judged"]["sentiment"]["candidate"]["macro_recall"]
    assert len(told["reasons"]) >= 4
    assert publish(root, other.run, good.data, "--force", "the data is of last year") == 0
    assert "forced: the data is of last year" in capsys.readouterr().out
    assert manifest(root)["forced"] == "the data is of last year"
    assert aliases(root)["previous"] == before["champion"]


def test_without_data_nothing_can_be_said_for_it(good: Made, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(root, good.run, []) == 1
    said = capsys.readouterr().err
    assert said.count("there is no labelled data to judge it on") == 2
    assert publish(root, good.run, good.data[:1]) == 1
    assert aliases(root) == {}
    assert publish(root, good.run, [], "--force", " ") == 2


def test_an_alias_or_a_baseline_that_cannot_be_is_told_before_anything_is_judged(
    good: Made, other: Made, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(root, good.run, good.data) == 0
    before = aliases(root)
    for alias in ("../x", "previous"):
        with pytest.raises(SystemExit, match="2"):
            publish(root, other.run, good.data, "--alias", alias)
        assert "cannot be set" in capsys.readouterr().err
    for run in (good.run, other.run):
        assert publish(root, run, good.data, "--baseline", "nope") == 1
        assert "no model 'nope'" in capsys.readouterr().err
    assert aliases(root) == before


def test_a_candidate_is_judged_too_and_can_be_promoted(good: Made, other: Made, root: Path) -> None:
    assert publish(root, other.run, other.data) == 0
    assert publish(root, good.run, other.data, "--alias", "candidate") == 1
    assert publish(root, good.run, good.data, "--alias", "candidate") == 0
    there = aliases(root)
    assert set(there) == {"champion", "candidate"}
    assert main(["models", "promote", "moods@candidate", "--repository", str(root)]) == 0
    assert aliases(root) == {"champion": there["candidate"], "previous": there["champion"]}


def test_another_space_has_to_be_meant(
    good: Made, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = make(tmp_path, 2, space="moved-1")
    assert publish(root, good.run, good.data) == 0
    capsys.readouterr()
    assert publish(root, moved.run, moved.data) == 1
    assert "--new-space" in capsys.readouterr().err
    assert publish(root, moved.run, moved.data, "--force", "it is far better") == 1
    assert publish(root, moved.run, moved.data, "--new-space") == 0
    assert "call groundswell embed" in capsys.readouterr().err
    assert manifest(root)["embedding_space"] == "moved-1"


def test_a_graph_that_was_changed_is_refused(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make(tmp_path)
    graph = made.run / "export" / "model.fused.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])
    assert publish(root, made.run, made.data) == 1
    assert "optimise the run again" in capsys.readouterr().err
    assert not root.exists()


def test_the_forms_are_shown_with_what_they_lose_and_gain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make(tmp_path)
    capsys.readouterr()
    file = made.data[0].partition("=")[2]
    assert main(["models", "optimise", str(made.run), "--data", file]) == 0
    shown = capsys.readouterr().out
    for form in ("fp32", "fused", "fp16", "int8", "int8-static"):
        assert f"\n{form} " in shown
    assert "sentiment.jsonl" in shown and "cosine" in shown
    assert main(["models", "optimise", str(made.run), "--data", file, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["forms"]) == {"fused", "fp16", "int8", "int8-static"}
    assert main(["models", "optimise", str(made.run), "--forms", "int4"]) == 2
    assert "there is no form 'int4'" in capsys.readouterr().err
