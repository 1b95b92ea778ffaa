"""What every setting means, read from the declarations themselves: a page and an example file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec.inspect as shapes

from cli.struct_reference import HEAD, Documented, default_of, documented, row, toml, type_of
from groundswell import analysis_settings, input_settings, output_settings, settings
from groundswell.settings import SECRETS, Settings

#: Where the tables of the settings file are declared.
_DECLARED = (settings, input_settings, output_settings, analysis_settings)


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
    words = documented(*_DECLARED)
    return [part for name, kind in _fields(Settings) for part in _section(name, kind, words)]


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
        lines += HEAD
        for setting in section.settings:
            where = f" Secret: `{setting.variable}` only." if setting.secret else ""
            lines.append(row(setting.name, setting.type, setting.default, f"{setting.meaning}{where}"))
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
                lines.append(f"# {setting.name} = {toml(setting.default)}")
    return "\n".join(lines) + "\n"


def _fields(kind: type[Any]) -> list[tuple[str, type[Any]]]:
    found = shapes.type_info(kind)
    assert isinstance(found, shapes.StructType)  # noqa: S101 - settings are structs
    return [(field.name, field.type.cls) for field in found.fields if isinstance(field.type, shapes.StructType)]


def _section(name: str, kind: type[Any], words: Documented, *, repeated: bool = False) -> Iterator[Section]:
    meaning, meanings = words.classes[kind.__name__]
    shape = shapes.type_info(kind)
    assert isinstance(shape, shapes.StructType)  # noqa: S101 - settings are structs
    settings: list[Setting] = []
    nested: list[Section] = []
    for field in shape.fields:
        inner = field.type.item_type if isinstance(field.type, shapes.VarTupleType) else field.type
        if isinstance(inner, shapes.StructType):
            in_list = inner is not field.type
            nested += _section(f"{name}.{field.name}", inner.cls, words, repeated=in_list)
            if not in_list:
                continue
        settings.append(
            Setting(name, field.name, type_of(field.type, words), default_of(field), meanings.get(field.name, ""))
        )
    yield Section(name, meaning, tuple(settings), repeated)
    yield from nested
