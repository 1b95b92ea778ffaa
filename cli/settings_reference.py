"""What every setting means, read from the declarations themselves: a page and an example file."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect as shapes

from groundswell import analysis_settings, input_settings, output_settings, settings
from groundswell.settings import SECRETS, Settings

#: Where the tables of the settings file are declared.
_DECLARED = (settings, input_settings, output_settings, analysis_settings)

_COMMENT = re.compile(r"^\s*#:\s?(.*)$")


class Setting(NamedTuple):
    """One key; ``default`` is a plain value as TOML holds it."""

    section: str
    name: str
    type: str
    default: Any
    meaning: str

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def secret(self) -> bool:
        return self.key in SECRETS

    @property
    def variable(self) -> str:
        """The environment variable; keys of nested tables have none."""
        return f"GROUNDSWELL_{self.key.replace('.', '_').upper()}"


class Section(NamedTuple):
    """A table of the settings file."""

    name: str
    meaning: str
    settings: tuple[Setting, ...]
    repeated: bool = False


def sections() -> list[Section]:
    """Every table in the order of the file, nested ones after the one that holds them."""
    classes = _documented_classes()
    return [part for name, kind in _fields(Settings) for part in _section(name, kind, classes)]


def settings_page() -> str:
    """``docs/settings.md``."""
    lines = [
        "# Settings",
        "",
        "<!-- made by `groundswell docs settings` from groundswell/*settings.py; do not edit -->",
        "",
        "One TOML file (`-c FILE`), the environment, and the command line (`--set section.key=value`); of two, the one",
        "named later here wins. All are checked before anything connects; an unknown key is an error that names the",
        "nearest known one. In the environment `[section] key` is `GROUNDSWELL_SECTION_KEY`. A secret comes from its",
        "variable, or from the file that `<variable>_FILE` names, and from nowhere else. `groundswell docs example`",
        "prints a file to begin with.",
    ]
    for section in sections():
        brackets = f"[[{section.name}]]" if section.repeated else f"[{section.name}]"
        lines += ["", f"## `{brackets}`", "", section.meaning, ""]
        lines += ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        for setting in section.settings:
            default = "" if setting.default is None else f"`{_toml(setting.default)}`"
            where = f" Secret: `{setting.variable}` only." if setting.secret else ""
            meaning = f"{setting.meaning}{where}".replace("|", "\\|")
            lines.append(f"| `{setting.name}` | {setting.type.replace('|', chr(92) + '|')} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def example_file() -> str:
    """``groundswell.example.toml``: every key at its default, commented out."""
    lines = ["# Every setting at its default. Take away a '#' to change one; docs/settings.md says what each means."]
    for section in sections():
        if section.repeated:
            continue
        lines += ["", f"# {section.meaning}", f"[{section.name}]"]
        for setting in section.settings:
            if setting.secret:
                lines.append(f"## {setting.name}: give it by {setting.variable} or {setting.variable}_FILE")
            elif setting.default is not None:
                lines.append(f"# {setting.name} = {_toml(setting.default)}")
    return "\n".join(lines) + "\n"


def _fields(kind: type[Any]) -> list[tuple[str, type[Any]]]:
    found = shapes.type_info(kind)
    assert isinstance(found, shapes.StructType)  # noqa: S101 - settings are structs
    return [(field.name, field.type.cls) for field in found.fields if isinstance(field.type, shapes.StructType)]


def _section(name: str, kind: type[Any], classes: dict[str, _Class], *, repeated: bool = False) -> Iterator[Section]:
    documented = classes[kind.__name__]
    shape = shapes.type_info(kind)
    assert isinstance(shape, shapes.StructType)  # noqa: S101 - settings are structs
    settings: list[Setting] = []
    nested: list[Section] = []
    for field in shape.fields:
        inner = field.type.item_type if isinstance(field.type, shapes.VarTupleType) else field.type
        if isinstance(inner, shapes.StructType):
            in_list = inner is not field.type
            nested += _section(f"{name}.{field.name}", inner.cls, classes, repeated=in_list)
            if not in_list:
                continue
        settings.append(
            Setting(name, field.name, _type(field.type), _default(field), documented.meanings.get(field.name, ""))
        )
    yield Section(name, documented.meaning, tuple(settings), repeated)
    yield from nested


def _default(field: shapes.Field) -> Any:
    """The default as a plain value, ``None`` for a key that must be given."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    if field.default is msgspec.NODEFAULT:
        return None
    return msgspec.to_builtins(field.default, builtin_types=(date,))


def _type(shape: shapes.Type) -> str:
    """Type and range in a few words."""
    if isinstance(shape, shapes.IntType | shapes.FloatType):
        word = "integer" if isinstance(shape, shapes.IntType) else "number"
        return f"{word}{_range(shape)}"
    if isinstance(shape, shapes.StrType):
        return "text" if shape.max_length != 1 else "at most one character"
    if isinstance(shape, shapes.LiteralType):
        return " or ".join(f'`"{option}"`' for option in _literals()[frozenset(map(str, shape.values))])
    if isinstance(shape, shapes.VarTupleType):
        inner = shape.item_type
        return "list of tables" if isinstance(inner, shapes.StructType) else f"list of {_type(inner)}"
    if isinstance(shape, shapes.DictType):
        return "table of text, numbers and booleans"
    return {shapes.BoolType: "boolean", shapes.DateType: "date"}[type(shape)]


def _range(shape: shapes.IntType | shapes.FloatType) -> str:
    if shape.ge is not None and shape.le is not None:
        return f", {shape.ge:.15g} to {shape.le:.15g}"
    if shape.ge is not None:
        return f", at least {shape.ge:g}"
    return f", above {shape.gt:g}" if shape.gt is not None else ""


def _toml(value: Any) -> str:
    """A default as TOML writes it: what JSON writes, but for dates and (empty) tables."""
    return value.isoformat() if isinstance(value, date) else json.dumps(value)


class _Class(NamedTuple):
    meaning: str
    meanings: dict[str, str]


def _documented_classes() -> dict[str, _Class]:
    """Class docstrings, and the ``#:`` comments directly above the fields."""
    found = {}
    for source in map(inspect.getsource, _DECLARED):
        lines = source.splitlines()
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                meanings = {
                    item.target.id: _above(lines, item.lineno)
                    for item in node.body
                    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
                }
                found[node.name] = _Class(_markdown(ast.get_docstring(node) or ""), meanings)
    return found


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


def _literals() -> dict[frozenset[str], tuple[str, ...]]:
    """The values of each literal in the order in which they are written: the type itself keeps none."""
    written = [
        tuple(
            constant.value
            for constant in ast.walk(node.slice)
            if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
        )
        for module in _DECLARED
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal"
    ]
    return {frozenset(values): values for values in written}
