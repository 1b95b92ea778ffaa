"""Labels that no head knows: by hand-worked vectors and probabilities, and through a real tiny model."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import pytest

from groundswell.errors import ModelError
from groundswell.records import Analysis, ModelRef, Scores
from inference.model import Model
from inference.repository import Repository
from inference.rows import DEVICE, RowError, Text
from inference.zero_shot import Ask, Directions, by_embedding, by_entailment, directions
from tests.inference.odd_texts import ODD_TEXTS
from tests.inference.tiny_bert import POISON, published_bert

REF = ModelRef("m", "v")
FAILED = RowError(DEVICE, "as the test wants it")
LABELS = {"sport": ["a game", "a train in the rain"], "mood": ["happy", "sad"]}


def embedded(*values: int, space: str = "s") -> Analysis:
    return Analysis(REF, {}, bytes(value % 256 for value in values), space)


def judged(entailment: float, contradiction: float) -> Analysis:
    found = {"entailment": entailment, "neutral": 1 - entailment - contradiction, "contradiction": contradiction}
    label = max(found, key=found.__getitem__)
    return Analysis(REF, {"nli": Scores(label, found[label], found)})


def asker(model: Model) -> Ask:
    """A model asked without an engine, one text at a time."""

    def ask(texts: Sequence[Text], tasks: Collection[str]) -> list[Analysis | RowError]:
        answers = []
        for encoded in model.encode(texts):
            rows = encoded.rows
            outputs = model.run(rows, max(row.size for row in rows), model.outputs(tasks))
            answers += model.analyse([encoded], outputs, tasks)
        return answers

    return ask


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    root = tmp_path_factory.mktemp("models")
    published_bert(root)
    return asker(Model(Repository(root).open("tiny-bert"), threads=1))


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    root = tmp_path_factory.mktemp("models")
    published_bert(root, pairs=True)
    return asker(Model(Repository(root).open("tiny-bert"), threads=1))


def test_cosines_compete_at_the_temperature() -> None:
    labels = Directions(("x", "y"), np.eye(2), "s")
    (found,) = by_embedding([embedded(100, 0)], labels, temperature=0.5)
    assert isinstance(found, Scores)
    # Cosines 1 and 0: the odds are e².
    assert found.scores == {"x": pytest.approx(1 / (1 + math.exp(-2)), abs=1e-6), "y": pytest.approx(0.119203)}
    assert (found.label, found.score) == ("x", found.scores["x"])
    (same,) = by_embedding([embedded(-50, -50)], labels)
    assert isinstance(same, Scores)
    assert same.scores == {"x": 0.5, "y": 0.5}


def test_a_label_lies_between_its_descriptions() -> None:
    vectors: dict[str, Analysis | RowError] = {
        "This is about a.": embedded(127, 0),
        "This is about b.": embedded(0, 3),
        "This is about c.": FAILED,
    }

    def ask(texts: Sequence[Text], tasks: Collection[str]) -> list[Analysis | RowError]:
        assert tasks == ("embedding",)
        return [vectors[text] for text in texts if isinstance(text, str)]

    found = directions(ask, {"ab": ["a", "b"], "a": ["a"]})
    assert (found.labels, found.space) == (("ab", "a"), "s")
    assert found.vectors == pytest.approx(np.array([[math.sqrt(0.5), math.sqrt(0.5)], [1, 0]]))
    with pytest.raises(ModelError, match=r"description 'This is about c\.' has no embedding .as the test wants it"):
        directions(ask, {"a": ["a"], "c": ["c"]})
    vectors["This is about c."] = embedded(1, 0, space="t")
    with pytest.raises(ModelError, match="embedded in 2 spaces"):
        directions(ask, {"a": ["a"], "c": ["c"]})


@pytest.mark.parametrize("labels", [{}, {"a": ["a"]}, {"a": ["a"], "b": []}])
def test_labels_that_cannot_compete_are_refused(encoder: Ask, labels: dict[str, list[str]]) -> None:
    with pytest.raises(ModelError, match="two labels or more, each with a description"):
        directions(encoder, labels)


def test_embeddings_of_different_spaces_are_never_compared() -> None:
    labels = Directions(("x", "y"), np.eye(2), "s")
    with pytest.raises(ModelError, match=r"in the space 't', the labels are in 's': embed the labels again"):
        by_embedding([embedded(1, 0), embedded(1, 0, space="t")], labels)
    with pytest.raises(ModelError, match="in the space None"):
        by_embedding([Analysis(REF, {})], labels)


def test_a_text_that_is_a_description_belongs_to_its_label(encoder: Ask) -> None:
    labels = directions(encoder, {"train": ["a train in the rain"], "mood": ["happy"]})
    train, mood = by_embedding(
        encoder(["This is about a train in the rain.", "This is about happy."], ["embedding"]), labels
    )
    assert isinstance(train, Scores)
    assert isinstance(mood, Scores)
    assert (train.label, mood.label) == ("train", "mood")


def test_errors_stay_where_they_are() -> None:
    labels = Directions(("x", "y"), np.eye(2), "s")
    first, error, last = by_embedding([embedded(1, 0), FAILED, embedded(0, 1)], labels)
    assert error is FAILED
    assert isinstance(first, Scores)
    assert isinstance(last, Scores)
    assert (first.label, last.label) == ("x", "y")
    assert by_embedding([FAILED], labels) == [FAILED]
    assert by_embedding([], labels) == []


def test_odds_of_entailment_compete_or_stand_alone() -> None:
    pairs: dict[Text, Analysis | RowError] = {
        ("t", "This is about sport."): judged(0.75, 0.05),
        ("t", "This is about trains."): judged(0.5, 0.25),
        ("u", "This is about sport."): judged(0.5, 0.25),
        ("u", "This is about trains."): FAILED,
    }

    def ask(texts: Sequence[Text], tasks: Collection[str]) -> list[Analysis | RowError]:
        assert tasks == ("nli",)
        return [pairs[text] for text in texts]

    labels = {"sport": "sport", "train": "trains"}
    found, error = by_entailment(ask, ["t", "u"], labels)
    # Odds of 3 and 1.
    assert isinstance(found, Scores)
    assert found.scores == {"sport": pytest.approx(0.75, abs=1e-4), "train": pytest.approx(0.25, abs=1e-4)}
    assert error is FAILED
    (found,) = by_entailment(ask, ["t"], labels, several=True)
    assert isinstance(found, Scores)
    assert found.scores == {"sport": pytest.approx(0.9375, abs=1e-4), "train": pytest.approx(2 / 3, abs=1e-4)}
    (found,) = by_entailment(ask, ["t"], {"sport": "sport"}, several=True)
    assert isinstance(found, Scores)
    assert found.label == "sport"
    assert by_entailment(ask, [], labels) == by_entailment(ask, [], labels, several=True) == []
    assert by_entailment(ask, ["u"], labels) == [FAILED]


def test_certainty_does_not_overflow() -> None:
    def ask(texts: Sequence[Text], tasks: Collection[str]) -> list[Analysis | RowError]:
        return [judged(1.0, 0.0) if "yes" in text[1] else judged(0.0, 1.0) for text in texts]

    for several in (False, True):
        (found,) = by_entailment(ask, ["t"], {"a": "yes", "b": "no"}, several=several)
        assert isinstance(found, Scores)
        assert found.scores == {"a": pytest.approx(1, abs=1e-5), "b": pytest.approx(0, abs=1e-5)}


def test_one_label_cannot_compete(nli: Ask) -> None:
    with pytest.raises(ModelError, match="two labels or more that compete"):
        by_entailment(nli, ["t"], {"a": "a"})
    with pytest.raises(ModelError, match="one or more"):
        by_entailment(nli, ["t"], {}, several=True)


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_texts_have_scores_both_ways(encoder: Ask, nli: Ask, text: str) -> None:
    (found,) = by_embedding(encoder([text], ["embedding"]), directions(encoder, LABELS))
    assert isinstance(found, Scores)
    assert sum(found.scores.values()) == pytest.approx(1, abs=1e-5)
    (found,) = by_entailment(nli, [text], {"sport": "a game", "mood": POISON})
    assert isinstance(found, Scores)
    assert sum(found.scores.values()) == pytest.approx(1, abs=1e-5)
