"""From rows' outputs to scores and embeddings, by hand-worked examples and for any output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.errors import ModelError
from groundswell.records import Scores
from inference.heads import Classes, Embedding, pool
from inference.manifest import Calibration, Head, Tensor
from inference.rows import NOT_FINITE, Encoded, RowError
from inference.tokens import TokenRow

ROW = TokenRow(b"\0\0\0\0", 1, 1)
PLAIN = Calibration(temperature=1)
FLOATS = st.floats(width=32)


def tensor(width: int | str) -> Tensor:
    return Tensor(name="out", dtype="float32", shape=("rows", width))


def classes(labels: Sequence[str] = ("no", "yes"), task: str = "spam") -> Classes:
    return Classes(Head(task=task, output="out"), tensor(len(labels)), labels, PLAIN)


def embedding(width: int = 3) -> Embedding:
    return Embedding(Head(task="embedding", output="out", kind="embedding"), tensor(width), "space")


def text(*weights: float) -> Encoded:
    return Encoded((ROW,) * len(weights), weights, truncated=False)


def test_rows_are_pooled_by_their_weights() -> None:
    values = np.array([[1, 2], [10, 20], [30, 40], [5, 5]], dtype=np.float32)
    found = pool(values, [text(1.0), text(0.75, 0.25), text(1.0)])
    assert found.tolist() == [[1, 2], [15, 25], [5, 5]]
    assert pool(values[:2], [text(1.0), text(1.0)]).tolist() == [[1, 2], [10, 20]]


def test_scores_go_by_name() -> None:
    (found,) = classes().read(np.log(np.array([[0.2, 0.8]])))
    assert found == Scores("yes", 0.8, {"no": 0.2, "yes": 0.8})


def test_an_embedding_is_quantised_by_its_largest_component() -> None:
    (found,) = embedding().read(np.array([[0.5, -0.25, 0.1]], dtype=np.float32))
    assert isinstance(found, bytes)
    assert np.frombuffer(found, dtype=np.int8).tolist() == [127, -64, 25]


def test_what_is_no_number_is_an_error_of_its_text_alone() -> None:
    bad = RowError(NOT_FINITE, "out is not finite")
    logits = np.array([[0, 0], [np.nan, 0], [np.inf, 0], [0, -np.inf], [0, 0]], dtype=np.float32)
    fine = Scores("no", 0.5, {"no": 0.5, "yes": 0.5})
    assert classes().read(logits) == [fine, bad, bad, bad, fine]
    vectors = np.array([[1, 0, 0], [np.nan, 0, 0], [0, 0, -np.inf], [0, 0, 0]], dtype=np.float32)
    assert embedding().read(vectors) == [bytes([127, 0, 0]), bad, bad, bad]


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1))
def test_any_logits_have_an_answer(rows: list[tuple[float, float]]) -> None:
    for row, found in zip(rows, classes().read(np.array(rows, dtype=np.float32)), strict=True):
        if not np.isfinite(row).all():
            assert isinstance(found, RowError)
        else:
            assert isinstance(found, Scores)
            assert sum(found.scores.values()) == pytest.approx(1, abs=1e-5)
            assert found.score == max(found.scores.values()) == found.scores[found.label]


@given(st.lists(st.lists(FLOATS, min_size=3, max_size=3), min_size=1))
def test_any_vector_has_an_answer(rows: list[list[float]]) -> None:
    for row, found in zip(rows, embedding().read(np.array(rows, dtype=np.float32)), strict=True):
        if not np.isfinite(row).all() or not any(row):
            assert isinstance(found, RowError)
        else:
            assert isinstance(found, bytes)
            values = np.frombuffer(found, dtype=np.int8).astype(float)
            assert np.abs(values).max() == 127
            assert values == pytest.approx(np.array(row) / np.abs(row).max() * 127, abs=0.51)


@pytest.mark.parametrize(
    ("task", "labels", "reason"),
    [
        ("sentiment", ["negative", "positive"], "must be .'negative', 'neutral', 'positive'."),
        ("sentiment", ["negative", "neutral", "positive", "positive"], "must be .'negative'"),
        ("nli", ["entailment", "neutral", "contradicts"], "its labels for nli"),
        ("spam", ["yes"], "two or more, distinct"),
        ("spam", ["yes", "yes"], "two or more, distinct"),
        ("spam", ["yes", ""], "two or more, distinct"),
        ("spam", [], "two or more, distinct"),
    ],
)
def test_labels_that_are_not_the_task_s_are_refused(task: str, labels: list[str], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        classes(labels, task)


def test_labels_in_any_order_and_of_any_other_task_are_taken() -> None:
    assert classes(["positive", "negative", "neutral"], "sentiment").labels == ("positive", "negative", "neutral")
    assert classes(["politics", "sport"], "genre").labels == ("politics", "sport")


@pytest.mark.parametrize(("output", "reason"), [(None, "one column a label"), (tensor(3), "one column a label")])
def test_an_output_that_does_not_fit_its_labels_is_refused(output: Tensor | None, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        Classes(Head(task="spam", output="out"), output, ["no", "yes"], PLAIN)


def test_a_head_without_calibration_is_refused() -> None:
    with pytest.raises(ModelError, match="calibration says nothing of spam"):
        Classes(Head(task="spam", output="out"), tensor(2), ["no", "yes"], None)
    with pytest.raises(ModelError, match=r"calibration of spam cannot be used: .* positive"):
        Classes(Head(task="spam", output="out"), tensor(2), ["no", "yes"], Calibration(temperature=0))


@pytest.mark.parametrize(
    ("task", "output", "space", "reason"),
    [
        ("sentiment", tensor(3), "space", "only embedding can be"),
        ("embedding", tensor("width"), "space", "no fixed number of dimensions"),
        ("embedding", None, "space", "no fixed number of dimensions"),
        ("embedding", tensor(3), None, "names no embedding_space"),
    ],
)
def test_an_embedding_that_cannot_be_stored_is_refused(
    task: str, output: Tensor | None, space: str | None, reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        Embedding(Head(task=task, output="out", kind="embedding"), output, space)
