"""Judging: a real model behind the real engine on labelled rows, as a whole and by slice; pictures of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pytest

from groundswell.errors import ModelError
from groundswell.records import Analysis, ModelRef, Scores
from inference.repository import Repository
from inference.rows import DEVICE, RowError, Text
from model_export import plots
from model_export.datasets import DataError
from model_export.evaluate import evaluate
from model_export.judgement import Judgement, Slice, Subject, judge
from model_export.labelled_file import LabelledRow
from model_export.opened import champion_of, opened
from tests.inference import tiny
from tests.inference.tiny_bert import NLI_HEADS, published_bert

LABELS = ("negative", "neutral", "positive")
SUBJECT = Subject("sentiment", "said@1", "fp32", "none", LABELS, pairs=False)
GUESSES = {"bad": (0.7, 0.2, 0.1), "day": (0.3, 0.6, 0.1), "good": (0.05, 0.05, 0.9), "long": (0.1, 0.5, 0.4)}


def _say(texts: Sequence[Text], tasks: Collection[str]) -> list[Analysis | RowError]:
    """Says what :data:`GUESSES` has for the first word, and an error where it has nothing."""
    found: list[Analysis | RowError] = []
    for text in texts:
        guess = GUESSES.get(str(text).split()[0])
        scores = dict(zip(LABELS, guess, strict=True)) if guess else {}
        if guess:
            best = max(scores, key=scores.__getitem__)
            found.append(
                Analysis(
                    ModelRef("said", "1"), dict.fromkeys(tasks, Scores(best, scores[best], scores)), truncated=True
                )
            )
        else:
            found.append(RowError(DEVICE, "it broke"))
    return found


def _rows(*rows: tuple[str, str, str | None, str | None]) -> list[LabelledRow]:
    return [LabelledRow(line, *row) for line, row in enumerate(rows, 1)]


ROWS = _rows(
    ("bad one", "negative", "twitter", "en"),
    ("bad two", "Positive", "twitter", "de"),
    ("day three", "NEUTRAL", None, "en"),
    ("good four", " positive ", "twitter", "en"),
    ("broken", "neutral", "twitter", "en"),
    ("long " + "x" * 300, "neutral", "news", "en"),
)


def test_the_figures_are_those_of_the_answers_and_rows_without_one_count_apart() -> None:
    seen: list[int] = []
    found = judge(SUBJECT, _say, ROWS, "a.jsonl", seen.append)
    true = ["negative", "positive", "neutral", "positive", "neutral"]
    guesses = np.array([GUESSES[word] for word in ("bad", "bad", "day", "good", "long")])
    expected = evaluate(true, guesses, LABELS)
    assert (found.n, found.errors, found.truncated) == (5, 1, 5)
    for name in ("accuracy", "macro_f1", "macro_recall", "calibration_error", "intervals"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.confusion == ((1, 0, 0), (0, 2, 0), (1, 0, 1))
    assert (found.labels["positive"].n, found.labels["positive"].recall) == (2, 0.5)
    assert found.labels["negative"].precision == 0.5
    assert sum(each.n for each in found.reliability) == 5
    assert seen == [6]


def test_slices_are_by_source_language_and_length_the_largest_first() -> None:
    slices = judge(SUBJECT, _say, ROWS, "a.jsonl").slices
    assert {kind: {name: part.n for name, part in parts.items()} for kind, parts in slices.items()} == {
        "source": {"twitter": 3, "(not stated)": 1, "news": 1},
        "lang": {"en": 4, "de": 1},
        "length": {"1-40": 4, "281+": 1},
    }
    assert isinstance(slices["source"]["twitter"], Slice)
    assert slices["source"]["twitter"].accuracy == pytest.approx(2 / 3)


def test_rows_that_name_no_source_and_no_language_have_slices_by_length_alone() -> None:
    rows = _rows(("bad", "negative", None, None), ("good", "positive", None, None))
    assert list(judge(SUBJECT, _say, rows, "a.jsonl").slices) == ["length"]


def test_of_many_sources_the_small_ones_share_a_slice() -> None:
    rows = _rows(*(("bad", "negative", f"site-{max(0, number - 5)}", None) for number in range(60)))
    sources = judge(SUBJECT, _say, rows, "a.jsonl").slices["source"]
    assert len(sources) == 21
    assert next(iter(sources)) == "site-0"
    assert sources["(others)"].n == 60 - 6 - 19


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (LabelledRow(7, "bad", "mixed"), "a.jsonl, line 7: 'mixed' is no label of said@1 for sentiment"),
        (LabelledRow(7, ("a", "b"), "neutral"), "a.jsonl, line 7: sentiment reads text"),
    ],
)
def test_a_row_that_does_not_fit_is_named_by_its_line(row: LabelledRow, message: str) -> None:
    with pytest.raises(DataError, match=message):
        judge(SUBJECT, _say, [*ROWS, row], "a.jsonl")


def test_a_model_that_can_read_nothing_is_an_error_with_its_cause() -> None:
    with pytest.raises(DataError, match=r"could read no row .*it broke"):
        judge(SUBJECT, _say, _rows(("broken", "neutral", None, None)), "a.jsonl")


def test_the_engine_that_serves_answers(tmp_path: Path) -> None:
    tiny.published(tmp_path)
    rows = _rows(("good day", "positive", None, None), ("bad", "negative", None, None), ("the", "neutral", None, None))
    with opened(Repository(tmp_path), "tiny", "sentiment", threads=1) as (subject, engine):
        found = judge(subject, engine.submit, rows, "a.jsonl")
    assert (found.n, found.accuracy, found.precision, found.provider) == (3, 1.0, "fp32", "CPUExecutionProvider")
    assert found.model.startswith("tiny@")


def test_pairs_go_to_a_model_that_reads_pairs(tmp_path: Path) -> None:
    published_bert(tmp_path, pairs=True)
    rows = [LabelledRow(line, ("a train", "rain"), label) for line, label in enumerate(NLI_HEADS["nli"], 1)]
    with opened(Repository(tmp_path), "tiny-bert", "nli", threads=1) as (subject, engine):
        assert subject.pairs
        found = judge(subject, engine.submit, rows, "a.jsonl")
        with pytest.raises(DataError, match="nli reads premise and hypothesis"):
            judge(subject, engine.submit, [LabelledRow(1, "alone", "neutral")], "a.jsonl")
    assert found.n == 3
    assert found.accuracy == pytest.approx(1 / 3)


def test_of_several_champions_one_that_reads_tokens_is_asked_then_the_first_by_name(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    with pytest.raises(ModelError, match=r"no champion in .* answers the task 'sentiment'"):
        champion_of(repository, "sentiment")
    tiny.published(tmp_path, name="a-baseline")
    assert champion_of(repository, "sentiment") == "a-baseline@champion"
    published_bert(tmp_path, name="z-encoder")
    published_bert(tmp_path, seed=2, name="y-trial", alias="candidate")
    assert champion_of(repository, "sentiment") == "z-encoder@champion"
    published_bert(tmp_path, name="m-encoder")
    assert champion_of(repository, "sentiment") == "m-encoder@champion"
    (tmp_path / "b-broken").mkdir()
    (tmp_path / "b-broken" / "aliases.json").write_text('{"champion": "gone"}')
    assert champion_of(repository, "sentiment") == "m-encoder@champion"
    with pytest.raises(ModelError, match=r"the task 'embedding' with labels .*; 'b-broken@champion' means .*gone"):
        champion_of(repository, "embedding")


def test_a_task_that_a_model_does_not_answer_with_labels_is_refused(tmp_path: Path) -> None:
    published_bert(tmp_path)
    for task in ("nli", "embedding"):
        with (
            pytest.raises(ModelError, match=f"does not answer the task '{task}' with labels"),
            opened(Repository(tmp_path), "tiny-bert", task),
        ):
            pass


def test_the_pictures_are_drawn_whatever_the_labels_are_called(tmp_path: Path) -> None:
    labels = ("$x^$", "", "positive")
    subject = Subject("sentiment", "said@1", "fp32", "none", labels, pairs=False)

    def say(texts: Sequence[Text], tasks: Collection[str]) -> list[Analysis | RowError]:
        scores = dict(zip(labels, (0.2, 0.3, 0.5), strict=True))
        return [Analysis(ModelRef("said", "1"), {"sentiment": Scores("positive", 0.5, scores)}) for _ in texts]

    found = judge(subject, say, _rows(("a", "$x^$", None, None), ("b", "positive", None, None)), "a.jsonl")
    assert isinstance(found, Judgement)
    drawn = plots.draw(found, tmp_path / "new")
    assert [path.name for path in drawn] == ["confusion-sentiment.png", "reliability-sentiment.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
