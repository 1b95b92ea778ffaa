"""From a small corpus to a served champion, and the baseline that is shipped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cli.main import main
from groundswell.records import Analysis
from inference.engine import Engine
from inference.manifest import MODEL
from inference.repository import Repository, default_repository
from model_export import baseline
from model_export.datasets import read_tweeteval, without_leaks
from model_export.evaluate import evaluate
from tests.inference.engines import open_engine
from tests.model_export.corpus import write_corpus
from tests.shared_data import shared_data

REFERENCE = "sentiment-baseline@champion"
LABELS = ["negative", "neutral", "positive"]
#: How far a figure may fall below the published one before the shipped model is broken.
MARGIN = 0.005
EXAMPLES = {
    "positive": ["What a lovely day, I am so happy!", "I love this song :)", "Best concert ever, amazing!!"],
    "negative": ["This is horrible, I hate it", "so sad and angry right now :(", "worst flight ever, not good at all"],
    "neutral": ["The meeting starts on Monday at 10am", "Train 204 leaves from platform 3 at 5pm"],
}


def labels_of(engine: Engine, texts: list[str]) -> list[str]:
    found = []
    for answer in engine.submit(texts, ["sentiment"]):
        assert isinstance(answer, Analysis)
        found.append(answer.scores["sentiment"].label)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baseline")
    (folder / "data").mkdir()
    write_corpus(folder / "data", rows=900)
    words = ["--data", str(folder / "data"), "--repository", str(folder / "models")]
    assert main(["models", "baseline", *words]) == 0
    return folder


def test_a_corpus_becomes_a_champion_that_serves(made: Path) -> None:
    texts = ["the wonderful music love", "awful train terrible", "the bus leaves at nine on monday"]
    with open_engine(made / "models", REFERENCE) as engine:
        assert labels_of(engine, texts) == ["positive", "negative", "neutral"]


def test_it_says_where_it_comes_from(made: Path) -> None:
    version = Repository(made / "models").open(REFERENCE)
    manifest = version.manifest
    assert {source.use for source in manifest.data} == {"training", "validation"}
    assert manifest.metrics["validation"]["macro_recall"] > 0.9
    assert set(manifest.tools) == {"python", "numpy", "scikit-learn", "scipy", "onnx"}
    card = version.read("README.md").decode()
    assert all(word in card for word in ("Licence", "macro-recall", "calibration error", "Limits"))
    assert "twitter-2013train-A.tsv.gz" in card


def test_making_it_again_gives_the_same_weights(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["models", "baseline", "--data", str(made / "data"), "--repository", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["metrics"]["validation"]["macro_recall"] > 0.9) == (baseline.NAME, True)
    first, second = (Repository(root).open(REFERENCE) for root in (made / "models", tmp_path))
    assert first.ref == second.ref
    assert first.manifest.files[MODEL] == second.manifest.files[MODEL]


def test_no_text_of_one_part_is_near_one_of_another(made: Path) -> None:
    parts = baseline.corpus(made / "data")
    assert without_leaks(parts.train, [*parts.calibration, *parts.validation]) == parts.train
    assert without_leaks(parts.calibration, parts.validation) == parts.calibration


def test_without_data_it_says_what_to_bring(tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--repository", str(tmp_path), "--data")
    assert main(["models", "baseline", *given, str(tmp_path / "none")]) == 1
    assert "bring the SemEval-2017 task 4A files" in capsys.readouterr().err
    shutil.copytree(made / "data/tweets_sentiment", tmp_path / "half/tweets_sentiment")
    assert main(["models", "baseline", *given, str(tmp_path / "half")]) == 1
    assert "TweetEval" in capsys.readouterr().err


def test_the_shipped_champion_serves() -> None:
    with open_engine(default_repository(), REFERENCE) as engine:
        for label, texts in EXAMPLES.items():
            assert labels_of(engine, texts) == [label] * len(texts)


def test_the_shipped_model_is_small() -> None:
    folder = default_repository() / baseline.NAME
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 5_000_000


def test_the_shipped_model_is_as_good_as_its_card_says() -> None:
    """On TweetEval's validation set where it is at hand, else on the few texts above."""
    data = shared_data("tweeteval/sentiment")
    if data is None:
        examples = [(text, label) for label, texts in EXAMPLES.items() for text in texts]
    else:
        examples = list(read_tweeteval(data.parents[1])[0])
    with open_engine(default_repository(), REFERENCE) as engine:
        answers = engine.submit([text for text, _ in examples], ["sentiment"])
    scores = [answer.scores["sentiment"].scores for answer in answers if isinstance(answer, Analysis)]
    probabilities = np.array([[row[label] for label in LABELS] for row in scores])
    found = evaluate([label for _, label in examples], probabilities, LABELS)
    published = Repository(default_repository()).open(REFERENCE).manifest.metrics["validation"]
    assert found.macro_recall >= published["macro_recall"] - MARGIN
    assert found.macro_f1 >= published["macro_f1"] - MARGIN
    assert found.accuracy >= published["accuracy"] - MARGIN
    if data is not None:
        assert found.calibration_error <= published["calibration_error"] + MARGIN
