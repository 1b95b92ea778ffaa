"""Whether a draft may be published: proved, and judged beside champion and baseline by the real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groundswell.errors import ModelError
from inference.manifest import LABELS, MODEL, Source
from inference.repository import Repository
from model_export.admission import MOST_FREQUENT, Examined, examine
from model_export.evidence import Evidence, of_file
from tests.inference import tiny
from tests.inference.tiny_bert import published_bert, tiny_bert_draft
from tests.model_export.labelled import sentiment_rows, write_lines

#: What the tiny bag says by its own lights, and what it cannot know.
GOOD = (0, 0.5, 0)
ALWAYS_NEUTRAL = (0, 9, 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def evidence(tmp_path: Path) -> dict[str, Evidence]:
    return {"sentiment": of_file(write_lines(tmp_path / "rows.jsonl", sentiment_rows(120)))}


def _examine(root: Path, evidence: dict[str, Evidence], bias: tuple[float, ...] = GOOD, **changes: Any) -> Examined:
    options = {name: changes.pop(name) for name in ("baseline", "alias", "new_space") if name in changes}
    # Sharp enough that its confidence is near how often it is right.
    draft = tiny.tiny_draft(temperature=0.05, bias=bias, **changes)
    return examine(draft, Repository(root), evidence, **options)


def test_a_first_version_has_the_baseline_to_beat(root: Path, evidence: dict[str, Evidence]) -> None:
    found = _examine(root, evidence)
    assert (found.faults, found.reasons) == ((), ())
    compared = found.compared["sentiment"]
    assert (compared.figure, compared.candidate.macro_recall) == ("macro_recall", 1.0)
    assert compared.baseline_model.startswith("sentiment-baseline@")
    assert compared.baseline < 0.995
    assert compared.champion is None
    assert not (root / "tiny").exists()


def test_what_is_no_better_than_the_most_frequent_label_is_refused(root: Path, tmp_path: Path) -> None:
    rows = [
        {**row, "label": {"negative": "anger", "neutral": "joy", "positive": "optimism"}[row["label"]]}
        for row in sentiment_rows(60)
    ]
    draft = tiny_bert_draft(3)
    evidence = {"emotion": of_file(write_lines(tmp_path / "rows.jsonl", rows))}
    found = examine(draft, Repository(root), evidence)
    assert found.compared["emotion"].baseline_model == MOST_FREQUENT
    assert any(reason.startswith("sentiment: there is no labelled data") for reason in found.reasons)
    assert any(reason.startswith("emotion: macro_f1 is") for reason in found.reasons)


def test_a_worse_one_is_refused_for_each_reason(root: Path, evidence: dict[str, Evidence]) -> None:
    tiny.published(root, temperature=0.05)
    found = _examine(root, evidence, ALWAYS_NEUTRAL)
    assert found.faults == ()
    assert any("the champion's 1.0000" in reason for reason in found.reasons)
    assert any("the baseline's" in reason for reason in found.reasons)
    compared = found.compared["sentiment"]
    assert compared.champion == 1.0 and compared.champion_model is not None


def test_one_that_is_as_good_as_the_champion_is_refused(root: Path, evidence: dict[str, Evidence]) -> None:
    tiny.published(root, temperature=0.06)
    assert _examine(root, evidence).reasons == ("it is nowhere better than the champion by more than the margin",)


def test_a_baseline_can_be_named(root: Path, evidence: dict[str, Evidence]) -> None:
    tiny.published(root, name="perfect", temperature=0.05)
    found = _examine(root, evidence, baseline="perfect")
    assert found.compared["sentiment"].baseline_model.startswith("perfect@")
    assert found.reasons and "it must be over 0.005 better" in found.reasons[0]
    with pytest.raises(ModelError, match="no model 'absent'"):
        _examine(root, evidence, baseline="absent")


def test_what_does_not_prove_itself_is_not_even_judged(root: Path, evidence: dict[str, Evidence]) -> None:
    files = tiny.tiny_draft().files
    for spoilt, message in (
        ({**files, MODEL: files[MODEL][:-40]}, ""),
        ({**files, LABELS: b'{"sentiment": ["negative", "neutral"]}'}, "labels"),
        ({**files, LABELS: b'{"sentiment": ["positive", "neutral", "negative"]}'}, "golden"),
    ):
        found = _examine(root, evidence, files=spoilt)
        assert len(found.faults) == 1 and message in found.faults[0]
        assert (found.reasons, found.compared) == ((), {})


def test_another_space_has_to_be_meant_for_a_champion_alone(root: Path, evidence: dict[str, Evidence]) -> None:
    published_bert(root)
    draft, repository = tiny_bert_draft(1), Repository(root)
    assert "--new-space" in examine(draft, repository, evidence).faults[0]
    assert examine(draft, repository, evidence, new_space=True).faults == ()
    assert examine(draft, repository, evidence, alias="candidate").faults == ()


def test_what_it_was_trained_on_tells_nothing(root: Path, evidence: dict[str, Evidence]) -> None:
    for use, reasons in (("training", 1), ("extra", 1), ("validation", 0)):
        source = Source(path="rows.jsonl", sha256=evidence["sentiment"].sha256, rows=120, use=f"{use} of sentiment")
        found = _examine(root, evidence, data=(source,)).reasons
        assert len(found) == reasons
        assert all(reason.startswith("sentiment: it was trained on rows.jsonl") for reason in found)


def test_rows_that_it_cannot_read_speak_against_it(root: Path, tmp_path: Path) -> None:
    rows = [*sentiment_rows(120), {"text": tiny.POISON, "label": "neutral"}]
    found = _examine(root, {"sentiment": of_file(write_lines(tmp_path / "rows.jsonl", rows))})
    assert "sentiment: it could not read 1 rows" in found.reasons


def test_a_champion_that_is_broken_is_no_licence(root: Path, evidence: dict[str, Evidence]) -> None:
    champion = tiny.published(root, temperature=2.0)
    (champion / MODEL).write_bytes(b"")
    reason = _examine(root, evidence).reasons[0]
    assert reason.startswith("sentiment: the champion cannot be judged: ") and "sha256" in reason


def test_a_task_that_the_champion_answers_may_not_be_lost(root: Path, evidence: dict[str, Evidence]) -> None:
    published_bert(root, name="tiny")
    found = _examine(root, evidence, alias="candidate")
    assert "emotion: the champion answers it and the candidate does not" in found.reasons
