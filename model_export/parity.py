"""Parity: how far a graph's answers are from the network's that it was made of, and how far is too far.

Golden inputs and odd ones go through both. The network reads each row alone and without
padding; the graph reads it so, and again among others, padded to the longest of them. So
one figure holds the error of the export, and the other that of a mask that leaks as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from inference.rows import Row, Text
from inference.tokens import TokenEncoder
from model_export import goldens

Kind = Literal["classes", "embedding"]
#: From inputs ``[rows, length]`` by name to outputs ``[rows, columns]`` by name.
Answers = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]

#: The largest distance that may be, between logits and between components of embeddings. fp32 on two runtimes
#: differs by about 1e-5; a logit off by 1e-3 moves no probability by more than 0.0003.
LIMITS: Final[Mapping[Kind, float]] = {"classes": 1e-3, "embedding": 1e-4}

ALONE: Final = "alone"
PADDED: Final = "padded"

#: Rows of a padded batch: texts follow each other as they come, so that short ones lie beside long ones.
_BATCH: Final = 8
#: Windows of one text that are compared: the first, and the last, which is shorter.
_WINDOWS: Final = (0, -1)


def texts(*, pairs: bool, samples: Sequence[Text] = ()) -> list[Text]:
    """What is compared: golden inputs, odd ones, and ``samples``, which must be of the kind that the model reads."""
    if not pairs:
        return [*goldens.SENTIMENT, *goldens.ODD, *samples]
    odd: list[Text] = [(text, "It is odd.") for text in goldens.ODD]
    return [*goldens.PAIRS, *odd, ("It is odd.", goldens.ODD[1]), *samples]


def distances(
    network: Answers, graph: Answers, encoder: TokenEncoder, compared: Sequence[Text], outputs: Sequence[str]
) -> dict[str, float]:
    """The largest distance of each output over ``compared``, as ``output/alone`` and ``output/padded``.

    It is infinite where either answers with something that is not finite, or with another shape.
    """
    rows = _rows(encoder, compared)
    right = [network(encoder.collate([row], row.size)) for row in rows]
    alone = [graph(encoder.collate([row], row.size)) for row in rows]
    found = {}
    for name in outputs:
        wanted = [answer[name] for answer in right]
        found[f"{name}/{ALONE}"] = _largest(wanted, [answer[name] for answer in alone])
        found[f"{name}/{PADDED}"] = _largest(wanted, _padded(graph, encoder, rows, name))
    return found


def require(found: Mapping[str, float], kinds: Mapping[str, Kind]) -> None:
    """Raise :class:`ModelError` with every one of :func:`distances` that is beyond its limit."""
    beyond = [
        f"{name} by {value:.2g} (at most {limit:g})"
        for name, value in found.items()
        for limit in [LIMITS[kinds[name.rpartition("/")[0]]]]
        if not value <= limit
    ]
    if beyond:
        raise ModelError(
            f"the graph does not answer as the network does: {', '.join(beyond)}; it is not kept: "
            "try another opset, or other versions of torch and transformers"
        )


def _rows(encoder: TokenEncoder, compared: Sequence[Text]) -> list[Row]:
    found: list[Row] = []
    for encoded in encoder.encode(compared):
        found += [encoded.rows[place] for place in _WINDOWS[: len(encoded.rows)]]
    return found


def _padded(graph: Answers, encoder: TokenEncoder, rows: Sequence[Row], name: str) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = []
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        answer = graph(encoder.collate(part, max(row.size for row in part)))[name]
        found += [answer[place : place + 1] for place in range(len(part))]
    return found


def _largest(wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    pairs = list(zip(wanted, found, strict=True))
    if any(one.shape != other.shape or not np.isfinite([one, other]).all() for one, other in pairs):
        return float("inf")
    return max(float(np.abs(one - other).max()) for one, other in pairs)
