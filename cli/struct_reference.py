"""What the keys of a struct mean, read from the source that declares it: the rows of a reference page."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterable
from datetime import date
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect as shapes

#: The head of the tables that :func:`row` fills.
HEAD = ("| key | type | default | meaning |", "| --- | --- | --- | --- |")
_COMMENT = re.compile(r"^\s*#:\s?(.*)$")


class Meaning(NamedTuple):
    """Of a struct as a whole, and of its fields."""

    whole: str
    fields: dict[str, str]


class Documented(NamedTuple):
    """The structs of modules by name, and the values of each literal in the order in which they are written."""

    classes: dict[str, Meaning]
    literals: dict[frozenset[str], tuple[str, ...]]


def documented(*modules: ModuleType) -> Documented:
    """Class docstrings, and the ``#:`` comments directly above the fields."""
    classes = {}
    for source in map(inspect.getsource, modules):
        lines = source.splitlines()
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                meanings = {
                    item.target.id: _above(lines, item.lineno)
                    for item in node.body
                    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
                }
                classes[node.name] = Meaning(_markdown(ast.get_docstring(node) or ""), meanings)
    return Documented(classes, _literals(modules))


def row(name: str, kind: str, default: Any, meaning: str) -> str:
    """A line of the table; a default of ``None`` is none."""
    said = "" if default is None else f"`{toml(default)}`"
    return f"| `{name}` | {_cell(kind)} | {said} | {_cell(meaning)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def default_of(field: shapes.Field) -> Any:
    """The default as a plain value, ``None`` for a key that must be given."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    if field.default is msgspec.NODEFAULT:
        return None
    return msgspec.to_builtins(field.default, builtin_types=(date,))


def type_of(shape: shapes.Type, words: Documented) -> str:
    """Type and range in a few words."""
    if isinstance(shape, shapes.IntType | shapes.FloatType):
        word = "integer" if isinstance(shape, shapes.IntType) else "number"
        return f"{word}{_range(shape)}"
    if isinstance(shape, shapes.StrType):
        return "text" if shape.max_length != 1 else "at most one character"
    if isinstance(shape, shapes.LiteralType):
        return " or ".join(f'`"{option}"`' for option in words.literals[frozenset(map(str, shape.values))])
    if isinstance(shape, shapes.VarTupleType):
        inner = shape.item_type
        return "list of tables" if isinstance(inner, shapes.StructType) else f"list of {type_of(inner, words)}"
    if isinstance(shape, shapes.UnionType):
        (one,) = (each for each in shape.types if not isinstance(each, shapes.NoneType))
        return type_of(one, words)
    if isinstance(shape, shapes.DictType):
        return "table of text, numbers and booleans"
    return {shapes.BoolType: "boolean", shapes.DateType: "date"}[type(shape)]


def _range(shape: shapes.IntType | shapes.FloatType) -> str:
    if shape.ge is not None and shape.le is not None:
        return f", {shape.ge:.15g} to {shape.le:.15g}"
    if shape.ge is not None and shape.lt is not None:
        return f", at least {shape.ge:g} and below {shape.lt:g}"
    if shape.ge is not None:
        return f", at least {shape.ge:g}"
    return f", above {shape.gt:g}" if shape.gt is not None else ""


def toml(value: Any) -> str:
    """A default as TOML writes it: what JSON writes, but for dates and (empty) tables."""
    return value.isoformat() if isinstance(value, date) else json.dumps(value)


def _above(lines: list[str], line_number: int) -> str:
    comment: list[str] = []
    for line in reversed(lines[: line_number - 1]):
        match = _COMMENT.match(line)
        if match is None:
            break
        comment.insert(0, match[1])
    return _markdown(" ".join(comment))


def _markdown(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def _literals(modules: Iterable[ModuleType]) -> dict[frozenset[str], tuple[str, ...]]:
    """The values of each literal in the order in which they are written: the type itself keeps none."""
    written = [
        tuple(
            constant.value
            for constant in ast.walk(node.slice)
            if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
        )
        for module in modules
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal"
    ]
    return {frozenset(values): values for values in written}
