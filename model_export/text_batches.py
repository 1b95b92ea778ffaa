"""Texts as batches of like length, ready for any form of a graph: what is measured is then the graph alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from groundswell.errors import ModelError
from inference.heads import pool
from inference.manifest import Tensor
from inference.model import CPU_TOKENS
from inference.rows import Encoded, Row, Text
from inference.session import Session
from inference.tokens import TokenEncoder

_ELEMENTS: Final = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
}


class Batch(NamedTuple):
    """The rows at ``places``, longest last, as the graph's inputs ``[rows, length]``."""

    places: tuple[int, ...]
    inputs: Mapping[str, NDArray[Any]]


class TextBatches:
    """``texts`` in batches of at most ``tokens`` tokens, padding included, the shortest rows first.

    Raises :class:`ModelError` for pairs where single texts are read, or the reverse.
    """

    def __init__(self, encoder: TokenEncoder, texts: Sequence[Text], *, tokens: int = CPU_TOKENS) -> None:
        self._encoded: Final[list[Encoded]] = encoder.encode(texts)
        rows = [row for text in self._encoded for row in text.rows]
        self.rows: Final = len(rows)
        self.batches: Final = [
            Batch(tuple(places), encoder.collate([rows[place] for place in places], rows[places[-1]].size))
            for places in _cut(rows, tokens)
        ]

    def through(self, session: Session, outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """What a graph says of each text, ``[texts, columns]`` by output; raises :class:`DeviceError`."""
        parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in outputs}
        for batch in self.batches:
            for name, values in session.run(batch.inputs, outputs).items():
                parts[name].append(values)
        order = np.argsort([place for batch in self.batches for place in batch.places])
        return {name: pool(np.concatenate(found)[order], self._encoded) for name, found in parts.items()}


def signature(model: ModelProto) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The inputs and the outputs of a graph; raises :class:`ModelError` for types that no model here has."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constants]
    return tuple(map(_tensor, inputs)), tuple(map(_tensor, model.graph.output))


def _tensor(value: Any) -> Tensor:
    found = value.type.tensor_type
    if found.elem_type not in _ELEMENTS:
        kind = TensorProto.DataType.Name(found.elem_type)
        raise ModelError(f"{value.name} is a tensor of {kind}, not of {', '.join(_ELEMENTS.values())}: export it again")
    shape = tuple(axis.dim_param or axis.dim_value for axis in found.shape.dim)
    return Tensor(name=value.name, dtype=_ELEMENTS[found.elem_type], shape=shape)


def _cut(rows: Sequence[Row], tokens: int) -> list[list[int]]:
    batches: list[list[int]] = []
    for place in sorted(range(len(rows)), key=lambda place: (rows[place].size, place)):
        if batches and (len(batches[-1]) + 1) * rows[place].size <= tokens:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
