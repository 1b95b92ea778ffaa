from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from model_export.datasets import DataError, Example, PairExample
from model_export.readers import DATA_SETS, read, untokenised
from tests.shared_data import shared_data


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text.encode(), mtime=0))


def instances(*pairs: tuple[str, list[str]]) -> str:
    return json.dumps({"Instances": [{"id": "1", "input": given, "output": output} for given, output in pairs]})


def test_snli_gives_both_hypotheses_of_a_rewriting_task(tmp_path: Path) -> None:
    folder = tmp_path / "nli/natural_instructions"
    given = "Sentence 1: Two men saw wood. Sentence 2: The board was black"
    put(
        folder / "task187_snli_neutral_to_contradiction_text_modification.json.gz",
        instances((given, ["A child stands."]), ("not a pair", ["left out"])),
    )
    rows, prints = read("snli", tmp_path)
    assert rows == [
        PairExample("Two men saw wood.", "The board was black", "neutral"),
        PairExample("Two men saw wood.", "A child stands.", "contradiction"),
    ]
    assert [(found.path, found.rows) for found in prints] == [
        ("nli/natural_instructions/task187_snli_neutral_to_contradiction_text_modification.json.gz", 2)
    ]


def test_of_the_task_that_is_misnamed_only_what_was_given_is_read(tmp_path: Path) -> None:
    put(
        tmp_path / "nli/natural_instructions/task189_snli_neutral_to_contradiction_text_modification.json.gz",
        instances(("Sentence 1: A boy hoists another. Sentence 2: They play.", ["A boy lifts."])),
    )
    assert read("snli", tmp_path)[0] == [PairExample("A boy hoists another.", "They play.", "neutral")]


def test_mnli_is_read_from_all_three_collections(tmp_path: Path) -> None:
    folder = tmp_path / "nli"
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["Question", "Answer", "Origin"])
    for premise, hypothesis, answer in [
        ('He said "no"', "He refused", "entailment"),
        ("It rained", "It snowed", "odd"),
    ]:
        question = f'For the statement, "{premise}", does the hypothesis "{hypothesis}" represent entailment, '
        writer.writerow([f"{question}contradiction, or neutrality?", answer, "mnli"])
    put(folder / "mnli_train_10k_llmsknow.csv.gz", table.getvalue())
    put(
        folder / "mnli_train_3k_olora.json.gz",
        json.dumps([{"sentence": "sentence 1: A.\nsentence 2: B.", "label": "neutral"}]),
    )
    put(
        folder / "natural_instructions/task203_mnli_sentence_generation.json.gz",
        instances(("Statement: It was hot.\nLabel: contradiction.\nGenre: fiction.", ["It froze."])),
    )
    assert read("mnli", tmp_path)[0] == [
        PairExample('He said "no"', "He refused", "entailment"),
        PairExample("A.", "B.", "neutral"),
        PairExample("It was hot.", "It froze.", "contradiction"),
    ]


def test_snli_dev_loses_the_spaces_of_its_tokeniser(tmp_path: Path) -> None:
    folder = tmp_path / "nli/snli_dev_esnli"
    put(folder / "s1.dev.gz", "A man is here . \nb . \n")
    put(folder / "s2.dev.gz", "He is n't there . \nc . \n")
    put(folder / "labels.dev.gz", "contradiction\n-\n")
    assert read("snli-dev", tmp_path)[0] == [PairExample("A man is here.", "He isn't there.", "contradiction")]
    assert untokenised("Is n't it the dog 's ?") == "Isn't it the dog's?"


def test_goemotions_keeps_rows_of_one_emotion(tmp_path: Path) -> None:
    folder = tmp_path / "emotion/goemotions"
    put(folder / "train.tsv.gz", "Well done [NAME]\t0\tx1\nodd\t0,1\tx2\n")
    (folder / "labels.txt").write_text("admiration\nanger\n")
    assert read("goemotions", tmp_path)[0] == [Example("Well done @user", "admiration")]


def test_goemotions_belong_to_four(tmp_path: Path) -> None:
    folder = tmp_path / "emotion/goemotions"
    put(folder / "train.tsv.gz", "Ugh\t1\tx1\nWell done\t0\tx2\n")
    (folder / "labels.txt").write_text("admiration\nannoyance\n")
    assert read("goemotions-basic", tmp_path)[0] == [Example("Ugh", "anger")]


def test_tweeteval_emotion_takes_names_from_its_mapping(tmp_path: Path) -> None:
    folder = tmp_path / "tweeteval/emotion"
    put(folder / "train_text.txt.gz", "so angry\\nnow\nfine\n")
    put(folder / "train_labels.txt.gz", "0\n1\n")
    (folder / "mapping.txt").write_text("0\tanger\n1\tjoy\n")
    assert read("tweeteval-emotion", tmp_path)[0] == [Example("so angry now", "anger"), Example("fine", "joy")]


@pytest.mark.parametrize("name", DATA_SETS)
def test_absent_data_says_what_to_bring(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bring"):
        read(name, tmp_path)


def test_a_name_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"semeval.*jsonl:PATH"):
        read("imagined", tmp_path)


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        ([{"text": "a", "label": "x"}], [Example("a", "x")]),
        ([{"premise": "a", "hypothesis": "b", "label": "x"}], [PairExample("a", "b", "x")]),
    ],
)
def test_own_rows_come_as_json_lines(tmp_path: Path, lines: list[dict[str, Any]], rows: list[Any]) -> None:
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(line) + "\n\n" for line in lines))
    assert read("jsonl:own.jsonl", tmp_path)[0] == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "a", "label": "x"}\n{"text": "b"}\n', "line 2"),
        ("not json\n", "line 1"),
        ("", "holds no rows"),
        (
            '{"text": "a", "label": "x"}\n{"premise": "a", "hypothesis": "b", "label": "x"}\n',
            "single texts and pairs in one file",
        ),
    ],
)
def test_own_rows_that_do_not_fit_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "own.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        read("jsonl:own.jsonl", tmp_path)


@pytest.mark.parametrize(
    ("name", "least", "labels"),
    [
        ("snli", 70_000, {"entailment", "neutral", "contradiction"}),
        ("mnli", 19_000, {"entailment", "neutral", "contradiction"}),
        ("snli-dev", 9_800, {"entailment", "neutral", "contradiction"}),
        ("tweeteval-emotion", 3_257, {"anger", "joy", "optimism", "sadness"}),
        ("goemotions", 36_308, None),
    ],
)
def test_the_public_files_are_read_whole(name: str, least: int, labels: set[str] | None) -> None:
    data = shared_data("README.md")
    if data is None:
        return
    rows, _ = read(name, data.parent)
    counts = Counter(row.label for row in rows)
    assert len(rows) >= least
    assert labels is None or counts.keys() == labels
    assert labels is not None or len(counts) == 28
