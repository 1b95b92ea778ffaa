from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from groundswell.errors import ModelError
from inference.session import Session
from model_export import goldens
from model_export.parity import LIMITS, Kind, distances, require, texts
from tests.inference.tiny_bert import NLI_HEADS, TinyBert
from tests.model_export.tiny_run import PAIRS, SINGLES, tiny_encoder

Arrays = Mapping[str, NDArray[Any]]
KINDS: dict[str, Kind] = {"sentiment": "classes", "emotion": "classes", "embedding": "embedding"}
#: The first of the golden inputs and of the odd ones: enough to tell two networks apart.
FEW = [*goldens.SENTIMENT[:6], *goldens.ODD[:4], goldens.ODD[-1]]


def network(bert: TinyBert) -> Any:
    """The network in numpy, apart from any graph; it reads one row without padding."""

    def answer(inputs: Arrays) -> dict[str, NDArray[Any]]:
        assert inputs["input_ids"].shape[0] == 1
        assert inputs["attention_mask"].all()
        found = bert.answer(inputs["input_ids"][0].tolist(), inputs["token_type_ids"][0].tolist())
        return {name: value[None] for name, value in found.items()}

    return answer


def graph(bert: TinyBert) -> Any:
    return Session(bert.graph(), bert.inputs, bert.outputs, threads=1).run


def test_a_graph_answers_as_its_network_does_alone_and_padded_among_others() -> None:
    bert = TinyBert(1)
    found = distances(network(bert), graph(bert), tiny_encoder(bert), FEW, tuple(KINDS))
    assert found.keys() == {f"{name}/{how}" for name in KINDS for how in ("alone", "padded")}
    assert 0 < max(found.values()) < 1e-4
    require(found, KINDS)


def test_pairs_are_compared_as_well() -> None:
    bert = TinyBert(1, heads=NLI_HEADS, embedding=0)
    compared = texts(pairs=True)
    assert all(isinstance(text, tuple) for text in compared)
    found = distances(network(bert), graph(bert), tiny_encoder(bert, PAIRS), compared[::4], ("nli",))
    require(found, {"nli": "classes"})


def test_the_graph_of_another_network_is_refused_by_name() -> None:
    bert = TinyBert(1)
    found = distances(network(bert), graph(TinyBert(2)), tiny_encoder(bert), FEW, tuple(KINDS))
    with pytest.raises(ModelError, match=r"sentiment/alone by .*embedding/padded by .*at most 0\.0001"):
        require(found, KINDS)


def test_a_graph_whose_rows_see_each_other_is_right_alone_and_wrong_among_others() -> None:
    bert = TinyBert(1)
    plain = graph(bert)

    def leaking(inputs: Arrays) -> dict[str, NDArray[Any]]:
        return {name: value + value.std(axis=0) for name, value in plain(inputs).items()}

    found = distances(network(bert), leaking, tiny_encoder(bert), FEW, ("sentiment",))
    assert found["sentiment/alone"] < 1e-4
    with pytest.raises(ModelError, match="sentiment/padded") as error:
        require(found, KINDS)
    assert "alone" not in str(error.value)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_what_is_not_finite_is_infinitely_far(spoilt: float) -> None:
    bert = TinyBert(1)

    def broken(inputs: Arrays) -> dict[str, NDArray[Any]]:
        rows = len(inputs["input_ids"])
        return {"sentiment": np.full((rows, 3), spoilt, dtype=np.float32)}

    found = distances(network(bert), broken, tiny_encoder(bert), FEW, ("sentiment",))
    assert set(found.values()) == {np.inf}
    with pytest.raises(ModelError, match="sentiment/alone by inf"):
        require(found, KINDS)


def test_an_answer_of_another_shape_is_infinitely_far() -> None:
    bert = TinyBert(1)

    def narrow(inputs: Arrays) -> dict[str, NDArray[Any]]:
        return {"sentiment": np.zeros((len(inputs["input_ids"]), 2), dtype=np.float32)}

    assert set(distances(network(bert), narrow, tiny_encoder(bert), FEW, ("sentiment",)).values()) == {np.inf}


@pytest.mark.parametrize("kind", LIMITS)
def test_the_limit_itself_is_near_enough_and_no_number_is_not(kind: Kind) -> None:
    require({"x/alone": LIMITS[kind]}, {"x": kind})
    for beyond in (LIMITS[kind] * 1.001, np.nan, np.inf):
        with pytest.raises(ModelError):
            require({"x/alone": beyond}, {"x": kind})


def test_samples_are_compared_beside_our_own() -> None:
    assert texts(pairs=False, samples=["mine"])[-1] == "mine"
    assert SINGLES.max_windows * SINGLES.max_length < len(goldens.ODD[-1].split())
