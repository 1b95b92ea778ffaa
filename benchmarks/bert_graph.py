"""A BERT of any size as an ONNX graph with random weights: its speed is that of trained ones.

Two forms of the same network: *plain*, of ONNX's own operators, as TensorRT reads it; and
*fused*, of onnxruntime's operators for transformers (``Attention``, ``SkipLayerNormalization``,
``BiasGelu``), as its CUDA provider likes it, in fp32 or fp16 with fp32 inputs and outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inference.manifest import Tensor

_OPSET: Final = 18
_IR_VERSION: Final = 10
_EPSILON: Final = 1e-12
_AXES: Final = ("rows", "length")

INPUTS: Final = tuple(
    Tensor(name=name, dtype="int64", shape=_AXES) for name in ("input_ids", "attention_mask", "token_type_ids")
)


@dataclass(frozen=True)
class Bert:
    """The sizes of a BERT encoder with a classifier on the mean of its tokens; as given, of BERT-base."""

    layers: int = 12
    hidden: int = 768
    heads: int = 12
    inner: int = 3072
    words: int = 30_522
    positions: int = 512
    labels: int = 3

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What the graph gives: logits of one task."""
        return (Tensor(name="sentiment", dtype="float32", shape=("rows", self.labels)),)

    def operations(self, length: int) -> float:
        """Floating-point operations of one sequence of ``length`` tokens.

        A product of matrices [a, b] and [b, c] counts 2·a·b·c. A layer has four products
        with [hidden, hidden], two with [hidden, inner], and two of attention, [length, hidden]
        by [hidden, length] and back. All else is left out (below 1 % of it).
        """
        weights = 4 * self.hidden**2 + 2 * self.hidden * self.inner
        return self.layers * (2.0 * length * weights + 4.0 * length**2 * self.hidden)

    def graph(self, *, fused: bool, half: bool = False, seed: int = 0) -> bytes:
        """The network, serialised; ``half`` computes in fp16 and is for the fused form."""
        return _Builder(self, fused, half, seed).model()


class _Builder:
    """Collects nodes and weights; methods answer with the name of a tensor."""

    def __init__(self, bert: Bert, fused: bool, half: bool, seed: int) -> None:
        self._bert = bert
        self._fused = fused
        self._kind = np.float16 if half else np.float32
        self._random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def model(self) -> bytes:
        bert = self._bert
        state = self._embedded()
        mask = self._add("Cast", "attention_mask", to=helper.np_dtype_to_tensor_dtype(np.dtype(self._kind)))
        ints = self._add("Cast", "attention_mask", to=TensorProto.INT32)
        lengths = self._add("ReduceSum", ints, self._constant(np.array([1])), keepdims=0)
        absent = self._add("Mul", self._add("Sub", self._number(1), mask), self._number(-10_000))
        hidden = self._add("Unsqueeze", absent, self._constant(np.array([1, 2])))
        for _ in range(bert.layers):
            state = self._layer(state, lengths if self._fused else hidden)
        columns = self._add("Unsqueeze", mask, self._constant(np.array([2])))
        total = self._add("ReduceSum", self._add("Mul", state, columns), self._constant(np.array([1])), keepdims=0)
        number = self._add("ReduceSum", mask, self._constant(np.array([1])), keepdims=1)
        logits = self._dense(self._add("Div", total, number), bert.hidden, bert.labels)
        self._nodes.append(helper.make_node("Cast", [logits], [bert.outputs[0].name], to=TensorProto.FLOAT))
        return self._serialised()

    def _embedded(self) -> str:
        bert = self._bert
        words = self._add("Gather", self._weight(bert.words, bert.hidden), "input_ids")
        types = self._add("Gather", self._weight(2, bert.hidden), "token_type_ids")
        length = self._add("Shape", "input_ids", start=1, end=2)
        zero = self._constant(np.array([0]))
        positions = self._add("Slice", self._weight(bert.positions, bert.hidden), zero, length, zero)
        return self._norm(self._add("Add", self._add("Add", words, types), positions))

    def _layer(self, state: str, mask: str) -> str:
        bert = self._bert
        attended = self._attention(state, mask)
        state = self._joined(self._product(attended, bert.hidden, bert.hidden), state)
        return self._joined(
            self._product(self._curve(self._product(state, bert.hidden, bert.inner)), bert.inner, bert.hidden), state
        )

    def _attention(self, state: str, mask: str) -> str:
        bert = self._bert
        side = bert.hidden // bert.heads
        weights, bias = self._draw(bert.hidden, 3 * bert.hidden), self._draw(3 * bert.hidden)
        if self._fused:
            joined = self._constant(weights), self._constant(bias)
            return self._add("Attention", state, *joined, mask, domain="com.microsoft", num_heads=bert.heads)
        split = self._constant(np.array([0, 0, bert.heads, side]))

        def part(number: int, *order: int) -> str:
            columns = slice(number * bert.hidden, (number + 1) * bert.hidden)
            product = self._add("MatMul", state, self._constant(weights[:, columns]))
            whole = self._add("Add", product, self._constant(bias[columns]))
            return self._add("Transpose", self._add("Reshape", whole, split), perm=order)

        scores = self._add("MatMul", part(0, 0, 2, 1, 3), part(1, 0, 2, 3, 1))
        scaled = self._add("Add", self._add("Div", scores, self._number(math.sqrt(side))), mask)
        mixed = self._add("MatMul", self._add("Softmax", scaled, axis=-1), part(2, 0, 2, 1, 3))
        whole = self._constant(np.array([0, 0, bert.hidden]))
        return self._add("Reshape", self._add("Transpose", mixed, perm=(0, 2, 1, 3)), whole)

    def _product(self, state: str, rows: int, columns: int) -> tuple[str, str]:
        return self._add("MatMul", state, self._weight(rows, columns)), self._weight(columns)

    def _dense(self, state: str, rows: int, columns: int) -> str:
        return self._add("Add", *self._product(state, rows, columns))

    def _curve(self, product: tuple[str, str]) -> str:
        if self._fused:
            return self._add("BiasGelu", *product, domain="com.microsoft")
        value = self._add("Add", *product)
        risen = self._add("Add", self._add("Erf", self._add("Div", value, self._number(math.sqrt(2)))), self._number(1))
        return self._add("Mul", self._add("Mul", value, risen), self._number(0.5))

    def _joined(self, product: tuple[str, str], before: str) -> str:
        scale, shift = self._ones(), self._weight(self._bert.hidden)
        if self._fused:
            return self._add(
                "SkipLayerNormalization",
                *(product[0], before, scale, shift, product[1]),
                domain="com.microsoft",
                epsilon=_EPSILON,
            )
        whole = self._add("Add", self._add("Add", *product), before)
        return self._add("LayerNormalization", whole, scale, shift, axis=-1, epsilon=_EPSILON)

    def _norm(self, state: str) -> str:
        return self._add(
            "LayerNormalization", state, self._ones(), self._weight(self._bert.hidden), axis=-1, epsilon=_EPSILON
        )

    def _ones(self) -> str:
        return self._constant(np.ones(self._bert.hidden, self._kind))

    def _draw(self, *shape: int) -> NDArray[Any]:
        return (self._random.standard_normal(shape, dtype=np.float32) * np.float32(0.02)).astype(self._kind)

    def _weight(self, *shape: int) -> str:
        return self._constant(self._draw(*shape))

    def _number(self, value: float) -> str:
        return self._constant(np.array(value, self._kind))

    def _constant(self, value: NDArray[Any]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return name

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def _serialised(self) -> bytes:
        graph = helper.make_graph(
            self._nodes,
            "bert",
            [helper.make_tensor_value_info(tensor.name, TensorProto.INT64, tensor.shape) for tensor in INPUTS],
            [
                helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.shape)
                for tensor in self._bert.outputs
            ],
            self._constants,
        )
        domains = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
        model: onnx.ModelProto = helper.make_model(graph, opset_imports=domains, ir_version=_IR_VERSION)
        return bytes(model.SerializeToString())
