"""The figures of an embedding: against plain loops over invented data in the layout of the public one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model_export.datasets import DataError
from model_export.embedding_quality import TOPICS as DESCRIBED
from model_export.embedding_quality import QualityData, embedding_quality, quality_data
from tests.shared_data import shared_data

RELATIONS = ("entailment", "neutral", "contradiction")
TOPICS = ("World", "Sports")


def write_gz(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text.encode(), mtime=0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    rows = [(f"premise {number // 3}", f"said {number}", RELATIONS[number % 3]) for number in range(60)]
    for name, column in zip(("s1", "s2", "labels"), zip(*rows, strict=True), strict=True):
        write_gz(data / f"nli/snli_dev_esnli/{name}.dev.gz", "\n".join(column) + "\n")
    questions = "".join(
        f'"For the statement, ""first {number}"", does the hypothesis ""second {number}"" represent entailment, '
        f'contradiction, or neutrality?",{RELATIONS[number % 3]},x\n'
        for number in range(30)
    )
    write_gz(data / "nli/mnli_train_10k_llmsknow.csv.gz", "Question,Answer,Origin\n" + questions)
    numbered = [{"sentence": "sentence 1: one\nsentence 2: other", "label": "neutral"}]
    write_gz(data / "nli/mnli_train_3k_olora.json.gz", json.dumps(numbered))
    generated = {"Instances": [{"input": "Statement: up\nLabel: entailment.\nGenre: x.", "output": ["high"]}]}
    write_gz(data / "nli/natural_instructions/task203_mnli_sentence_generation.json.gz", json.dumps(generated))
    articles = [{"label": TOPICS[number % 2], "sentence": f"Title: t{number}\nText: x"} for number in range(50)]
    write_gz(data / "topics/ag_news_train_4k_olora.json.gz", json.dumps(articles))
    return data


def at_random(texts: Sequence[str]) -> NDArray[Any]:
    """A vector for each text, always the same one; coarse, so that some cosines are equal."""
    return np.stack([np.random.default_rng([*text.encode()]).integers(-1, 2, 4) + 0.0 for text in texts])


def cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    lengths = max(float(np.linalg.norm(one)), 1e-12) * max(float(np.linalg.norm(other)), 1e-12)
    return round(float(one @ other) / lengths, 12)


def test_reads_each_text_once_and_up_to_so_many_rows(folder: Path) -> None:
    whole = quality_data(folder)
    assert len(set(whole.texts)) == len(whole.texts)
    assert {name: len(pairs) for name, pairs in whole.pairs.items()} == {"snli-dev": 60, "mnli": 32}
    assert "t7\nx" in whole.texts
    few = quality_data(folder, rows=10)
    assert {len(pairs) for pairs in few.pairs.values()} | {len(few.topics), len(few.queries)} == {10}
    assert len(few.premises) == 20
    assert few == quality_data(folder, rows=10)
    assert few.files == whole.files


def test_figures_are_those_of_plain_loops(folder: Path) -> None:
    data = quality_data(folder)
    vectors = dict(zip(data.texts, at_random(data.texts), strict=True))
    ranks = []
    pairs = [(data.texts[first], data.texts[second], label) for first, second, label in data.pairs["snli-dev"]]
    premises = {premise for premise, _, _ in pairs}
    for premise, hypothesis, label in pairs:
        if label == "entailment":
            own = cosine(vectors[premise], vectors[hypothesis])
            ranks.append(sum(cosine(vectors[each], vectors[hypothesis]) >= own for each in premises))
    by_label: dict[bool, list[float]] = {True: [], False: []}
    for premise, hypothesis, label in pairs:
        by_label[label == "entailment"].append(cosine(vectors[premise], vectors[hypothesis]))
    wins = [1.0 if hit > miss else 0.5 * (hit == miss) for hit in by_label[True] for miss in by_label[False]]
    found = embedding_quality(at_random, data).figures
    assert found["snli-dev/recall@1"] == pytest.approx(np.mean([rank == 1 for rank in ranks]), abs=0.051)
    assert found["snli-dev/mrr"] == pytest.approx(np.mean([1 / rank for rank in ranks]), abs=0.05)
    assert found["snli-dev/auc"] == pytest.approx(np.mean(wins), abs=0.01)
    assert -1 <= found["snli-dev/spearman"] <= 1


def marked(data: QualityData) -> dict[str, NDArray[Any]]:
    """Vectors that do everything right: entailed pairs alike, topics apart."""
    found = {text: np.eye(200)[place % 200] * 0.01 for place, text in enumerate(data.texts)}
    for pairs in data.pairs.values():
        for first, second, label in pairs:
            axis = np.eye(200)[first % 190]
            found[data.texts[first]] = axis
            near = {"entailment": 1.0, "neutral": 0.5, "contradiction": 0.1}[label]
            found[data.texts[second]] = near * axis + (1 - near**2) ** 0.5 * np.eye(200)[199]
    for place, topic in data.topics:
        found[data.texts[place]] = np.eye(200)[190 + TOPICS.index(topic)]
    for topic, place in data.described.items():
        found[data.texts[place]] = np.eye(200)[190 + TOPICS.index(topic)]
    return found


def test_a_perfect_embedding_has_perfect_figures(folder: Path) -> None:
    data = quality_data(folder)
    vectors = marked(data)
    found = embedding_quality(lambda texts: 3.0 * np.stack([vectors[text] for text in texts]), data)
    assert {name for name, value in found.figures.items() if value < 0.9999} == set()
    assert found.rows == {"snli-dev": 60, "mnli": 32, "ag-news": 50, "queries": 20, "premises": 20}


def test_points_are_told_against_a_base_on_the_same_rows(folder: Path) -> None:
    data = quality_data(folder)
    vectors = marked(data)
    base = embedding_quality(lambda texts: np.stack([vectors[text] for text in texts]), data)
    worse = embedding_quality(at_random, data)
    lost = worse.points_below(base)
    assert lost["ag-news/precision@10"] > 10
    assert set(base.points_below(base).values()) == {0.0}
    with pytest.raises(ValueError, match="not measured on the same data"):
        worse.points_below(embedding_quality(at_random, quality_data(folder, rows=10)))


def test_absent_and_damaged_data_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="snli_dev_esnli"):
        quality_data(tmp_path)
    for file in sorted(folder.rglob("*.gz")):
        copy = tmp_path / file.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    news = tmp_path / "topics/ag_news_train_4k_olora.json.gz"
    write_gz(news, '[{"label": 1}]')
    with pytest.raises(DataError, match=r"ag_news_train_4k_olora\.json\.gz cannot be used"):
        quality_data(tmp_path)
    news.unlink()
    with pytest.raises(DataError, match="bring 4,000 rows of AG News"):
        quality_data(tmp_path)


def test_the_public_data_is_read_where_it_lies() -> None:
    if (news := shared_data("topics/ag_news_train_4k_olora.json.gz")) is None:
        return
    data = quality_data(news.parents[1], rows=300)
    assert data.described.keys() == DESCRIBED.keys()
    assert {label for _, label in data.topics} == {"World", "Sports", "Business", "Science or Technology"}
    assert {label for _, _, label in data.pairs["snli-dev"]} == set(RELATIONS)
