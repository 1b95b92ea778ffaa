"""What the branches of an ``If`` read of the graph around them: their nodes name no inputs, and yet have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from onnx import AttributeProto, NodeProto

from groundswell.errors import ModelError


def branches(node: NodeProto) -> list[Any]:
    """The graphs within a node, such as both branches of an ``If``."""
    return [attribute.g for attribute in node.attribute if attribute.type == AttributeProto.GRAPH]


def read_within(node: NodeProto) -> set[str]:
    """The tensors of the graph around it that a node's branches read, at any depth."""
    found: set[str] = set()
    for graph in branches(node):
        own = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
        own.update(name for inner in graph.node for name in inner.output)
        found |= {name for inner in graph.node for name in reads(inner)} - own
    return found


def reads(node: NodeProto) -> set[str]:
    """All tensors that a node needs, by its inputs and by its branches."""
    return {name for name in node.input if name} | read_within(node)


def all_reads(nodes: Iterable[NodeProto]) -> set[str]:
    """The tensors that any of ``nodes`` needs."""
    return {name for node in nodes for name in reads(node)}


def rename_reads(node: NodeProto, names: Mapping[str, str]) -> None:
    """Let a node and its branches read tensors of the graph around them by other names, in place."""
    for place, name in enumerate(node.input):
        node.input[place] = names.get(name, name)
    for graph in branches(node):
        own = {name for inner in graph.node for name in inner.output}
        outer = {name: other for name, other in names.items() if name not in own}
        for inner in graph.node:
            rename_reads(inner, outer)


def sort_nodes(graph: Any) -> None:
    """Put the nodes of a graph into an order in which each comes after what it reads, in place.

    Nodes that are in such an order stay as they are. Raises :class:`ModelError` for a graph with a circle.
    """
    writers = {name: place for place, node in enumerate(graph.node) for name in node.output}
    nodes = list(graph.node)
    needs = [{writers[name] for name in reads(node) if name in writers} for node in nodes]
    order: list[int] = []
    done: set[int] = set()
    for first in range(len(nodes)):
        left = [first]
        begun: set[int] = set()
        while left:
            place = left[-1]
            if place in done:
                left.pop()
            elif missing := sorted(needs[place] - done, reverse=True):
                if place in begun:
                    raise ModelError("the graph goes in a circle: export it again")
                begun.add(place)
                left += missing
            else:
                done.add(place)
                order.append(place)
                left.pop()
    if order != sorted(order):
        del graph.node[:]
        graph.node.extend(nodes[place] for place in order)
