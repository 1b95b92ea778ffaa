"""The bag of n-grams: its weights against a naive oracle, its graph against scikit-learn."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.manifest import Tensor
from inference.ngrams import pad
from inference.session import Session
from model_export import bag, goldens
from model_export.datasets import DataError, Example, read_semeval
from model_export.graph import INPUT, bag_graph, output
from tests.inference.odd_texts import ODD_TEXTS
from tests.model_export.corpus import write_corpus

TEXTS = st.one_of(
    st.text(st.characters(), max_size=200),
    st.lists(
        st.sampled_from(["not", "good", "bad", "great", "awful", "train", "love", "hate", ":)", ":(", "@a", "http://x"])
    ).map(" ".join),
)


@cache
def fitted() -> tuple[bag.Bag, Session]:
    with TemporaryDirectory() as folder:
        write_corpus(Path(folder), rows=600)
        examples, _ = read_semeval(Path(folder))
    model = bag.fit(examples)
    graph = bag_graph("sentiment", model.table(), model.bias())
    return model, Session(graph, (INPUT,), (output("sentiment", 3),), threads=1)


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_the_graph_says_what_scikit_learn_says(texts: list[str]) -> None:
    model, session = fitted()
    found = session.run({"ids": pad([model.encoder.encode(text) for text in texts])})["sentiment"]
    np.testing.assert_allclose(found, model.logits(texts), atol=1e-4)


@pytest.mark.parametrize("text", [*goldens.SENTIMENT, *ODD_TEXTS.values()])
def test_also_of_odd_texts(text: str) -> None:
    model, session = fitted()
    found = session.run({"ids": pad([model.encoder.encode(text)])})["sentiment"]
    np.testing.assert_allclose(found, model.logits([text]), atol=1e-4)


@settings(deadline=None)
@given(TEXTS)
def test_weights_follow_the_formula(text: str) -> None:
    model, _ = fitted()
    ids = np.frombuffer(model.encoder.encode(text).ids, dtype=np.int32).tolist()
    norm = max(1.0, sum(model.idf[number] ** 2 for number in ids)) ** 0.5
    expected = {number: times * model.idf[number] / norm for number, times in Counter(ids).items()}
    row = bag.weigh(bag.count(model.encoder, [text]), model.idf).tocsr()
    assert dict(zip(row.indices.tolist(), row.data.tolist(), strict=True)) == pytest.approx(expected)


def test_known_ids_weigh_at_least_one_and_padding_nothing() -> None:
    model, _ = fitted()
    assert model.idf[0] == 0
    assert model.idf[1:].min() >= 1
    assert not model.table()[0].any()


def test_a_fit_can_be_repeated_to_the_bit() -> None:
    examples = [Example(f"{word} {number} day", word) for number in range(9) for word in ("bad", "fine", "good")]
    first, second = bag.fit(examples), bag.fit(examples)
    assert first.table().tobytes() == second.table().tobytes()
    assert first.encoder.vocabulary == second.encoder.vocabulary
    assert first.labels == ["bad", "fine", "good"]


def test_two_labels_are_too_few() -> None:
    with pytest.raises(DataError, match="three labels"):
        bag.fit([Example("good", "positive"), Example("bad", "negative")])


def test_the_signature_of_the_graph_is_the_one_that_is_stated() -> None:
    assert Tensor(name="ids", dtype="int32", shape=("rows", "length")) == INPUT
    assert output("sentiment", 3) == Tensor(name="sentiment", dtype="float32", shape=("rows", 3))
