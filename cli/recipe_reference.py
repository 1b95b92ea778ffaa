"""What every key of a recipe means, read from ``model_export/recipe.py`` itself."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec.inspect as shapes

from cli.struct_reference import HEAD, Documented, default_of, documented, row, type_of
from inference import manifest
from model_export import recipe
from model_export.readers import DATA_SETS
from model_export.recipe import BASES, Recipe


def recipe_page() -> str:
    """``docs/recipe.md``."""
    lines = [
        "# Recipes",
        "",
        "<!-- made by `groundswell docs recipe` from model_export/recipe.py; do not edit -->",
        "",
        "A recipe is a TOML file (or the same as JSON) for `groundswell models train` and `tune`;",
        "[from data to a model](models.md#training) has a whole one. An unknown key is an error that names the nearest",
        "known one. What is learnt depends on the recipe and the data alone. A run's folder keeps a digest of both:",
        "while they are the same it goes on where it was stopped, otherwise train elsewhere, or with `--restart`.",
        "`description`, `licence` and `limits` are no part of the digest.",
    ]
    words = documented(recipe, manifest)
    found = shapes.type_info(Recipe)
    assert isinstance(found, shapes.StructType)  # noqa: S101 - a recipe is a struct
    for title, shape in _tables(found):
        meaning, meanings = words.classes[shape.cls.__name__]
        lines += ["", f"## {title}", "", meaning, "", *HEAD, *_rows(shape, meanings, words)]
    return "\n".join([*lines, *_base(), *_data_sets()]) + "\n"


def _tables(whole: shapes.StructType) -> Iterator[tuple[str, shapes.StructType]]:
    yield "Top of the file", whole
    for field in whole.fields:
        if isinstance(field.type, shapes.StructType):
            yield f"`[{field.name}]`", field.type
        elif isinstance(field.type, shapes.VarTupleType) and isinstance(field.type.item_type, shapes.StructType):
            yield f"`[[{field.name}]]`", field.type.item_type


def _rows(shape: shapes.StructType, meanings: dict[str, str], words: Documented) -> list[str]:
    tables = {title.strip("`[]") for title, _ in _tables(shape)}
    return [
        row(field.name, type_of(field.type, words), default_of(field), meanings.get(field.name, ""))
        for field in shape.fields
        if field.name not in tables
    ]


def _base() -> list[str]:
    return [
        "",
        "## Bases",
        "",
        f"By name: {', '.join(f'`{name}`' for name in BASES)}, whose weights come with `groundswell[train]`. Or a",
        "folder, as Hugging Face's tools write it, of a BERT (other kinds can be imported, not trained), with:",
        "",
        "| file | what |",
        "| --- | --- |",
        "| `config.json` | `model_type` is `bert`; `trunk` and branches share out its layers |",
        "| `model.safetensors` | the weights; pickled ones are never read |",
        "| `tokenizer.json` | the tokenizer in its fast form |",
    ]


def _data_sets() -> list[str]:
    lines = [
        "",
        "## Data sets",
        "",
        "What `name` of `[[data]]` may be, beside `jsonl:PATH` for a file of [labelled",
        "texts](models.md#labelled-texts); DATA is the folder of `--data`. None of them is part of this tree.",
        "",
        "| name | licence | what to bring |",
        "| --- | --- | --- |",
    ]
    return lines + [
        f"| `{name}` | {each.licence} | {each.bring.replace('<data>', 'DATA')} |" for name, each in DATA_SETS.items()
    ]
