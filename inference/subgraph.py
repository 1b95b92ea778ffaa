"""The part of a graph that some of its outputs need.

onnxruntime runs every node of a graph, whichever outputs are fetched (measured with 1.31,
also under its option ``only_execute_path_to_fetches``, and also for nodes that lead to no
output at all). So the nodes are taken out beforehand. That needs few fields of ONNX, read
and left out at the level of protocol buffers: the job does not load the package ``onnx``,
and the weights are never parsed. Numbers of fields: https://github.com/onnx/onnx, onnx.proto.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from groundswell.errors import ModelError

_GRAPH: Final = 7  # of a model
_NODE, _INITIALIZER, _OUTPUT, _VALUE = 1, 5, 12, 13  # of a graph
_NODE_INPUT, _NODE_OUTPUT, _NODE_ATTRIBUTE = 1, 2, 5
_TENSOR_NAME, _VALUE_NAME = 8, 1
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 6, 11


class _Field(NamedTuple):
    number: int
    #: The content where the field is a string or a message, else empty.
    content: memoryview
    #: The field as it lies in the message: key, length and content.
    whole: memoryview


def subgraph(model: bytes, outputs: Collection[str]) -> bytes:
    """A model with only ``outputs`` and the nodes and weights that they need.

    The very bytes of ``model`` where they are all of its outputs, or where it has control
    flow (whose inner graphs may use any name). Raises :class:`ModelError` for what is no
    ONNX model or lacks an output.
    """
    try:
        return _subgraph(model, frozenset(outputs))
    except (IndexError, ValueError) as error:
        raise ModelError(f"this is no ONNX model ({error})") from error


def _subgraph(model: bytes, outputs: frozenset[str]) -> bytes:
    parts = list(_fields(memoryview(model)))
    graph = [field for part in parts if part.number == _GRAPH for field in _fields(part.content)]
    offered = {_text(field, _VALUE_NAME) for field in graph if field.number == _OUTPUT}
    if not outputs <= offered:
        raise ModelError(f"the graph has no output {', '.join(sorted(outputs - offered))}")
    nodes = [_Node(field) for field in graph if field.number == _NODE]
    if outputs == offered or any(node.has_graph for node in nodes):
        return model
    makers = {name: node for node in nodes for name in node.outputs}
    needed, kept = set[str](), set[int]()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        needed.add(name)
        node = makers.get(name)
        if node is not None and id(node) not in kept:
            kept.add(id(node))
            needed.update(node.outputs)
            waiting += node.inputs
    keep = {id(node.field) for node in nodes if id(node) in kept}
    body = b"".join(field.whole for field in graph if _stays(field, keep, needed, outputs))
    head = b"".join(part.whole for part in parts if part.number != _GRAPH)
    return head + _number(_GRAPH << 3 | 2) + _number(len(body)) + body


class _Node:
    """A node's names."""

    def __init__(self, field: _Field) -> None:
        self.field = field
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.has_graph = False
        for part in _fields(field.content):
            if part.number == _NODE_INPUT:
                self.inputs.append(str(part.content, "utf-8"))
            elif part.number == _NODE_OUTPUT:
                self.outputs.append(str(part.content, "utf-8"))
            elif part.number == _NODE_ATTRIBUTE:
                inner = {attribute.number for attribute in _fields(part.content)}
                self.has_graph |= bool(inner & {_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS})


def _stays(field: _Field, nodes: Collection[int], needed: Collection[str], outputs: Collection[str]) -> bool:
    if field.number == _NODE:
        return id(field) in nodes
    if field.number == _OUTPUT:
        return _text(field, _VALUE_NAME) in outputs
    named = {_INITIALIZER: _TENSOR_NAME, _VALUE: _VALUE_NAME}.get(field.number)
    return named is None or _text(field, named) in needed


def _text(field: _Field, number: int) -> str:
    return next((str(part.content, "utf-8") for part in _fields(field.content) if part.number == number), "")


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a message; raises :class:`IndexError` or :class:`ValueError` where it is cut off or none."""
    place = 0
    while place < len(message):
        start = place
        key, place = _varint(message, place)
        content = message[:0]
        match key & 7:
            case 0:
                _, place = _varint(message, place)
            case 1:
                place += 8
            case 2:
                size, place = _varint(message, place)
                content = message[place : place + size]
                place += size
            case 5:
                place += 4
            case kind:
                raise ValueError(f"field of kind {kind}")
        if place > len(message):
            raise IndexError("cut off")
        yield _Field(key >> 3, content, message[start:place])


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
