"""Reading a recipe: one that is shipped or a file, TOML or JSON, checked before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import msgspec

from inference.manifest import Tokens
from inference.names import is_plain
from inference.tasks import LABELS
from model_export.datasets import DataError
from model_export.recipe import Branch, DataUse, HeadDesign, Recipe, Training, is_task

_SHIPPED: Final = Path(__file__).resolve().parent / "recipes"
_TABLES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "": Recipe,
    "tokens": Tokens,
    "branches": Branch,
    "heads": HeadDesign,
    "data": DataUse,
    "training": Training,
}
_UNKNOWN: Final = re.compile(r"unknown field `(?P<key>[^`]*)`(?: - at `\$\.(?P<table>\w+))?")


def shipped() -> dict[str, Path]:
    """The recipes of the starter models, by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"))}


def find(recipe: str) -> Path:
    """The file of a recipe that is shipped, or the file itself; raises :class:`DataError` where there is neither."""
    if recipe in shipped():
        return shipped()[recipe]
    if not Path(recipe).is_file():
        raise DataError(f"{recipe} is no file, and no recipe that is shipped{_nearest(recipe, shipped())}")
    return Path(recipe)


def load(path: Path) -> Recipe:
    """The recipe in a file; raises :class:`DataError`, which names what is wrong with it."""
    try:
        decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
        recipe = decode(path.read_bytes(), type=Recipe)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no recipe: {_explained(str(error))}") from error
    if not is_plain(recipe.name):
        raise DataError(f"{path}: {recipe.name!r} can be no model's name: letters, digits, '.', '_' and '-' are")
    tasks = {head.task: head for head in recipe.heads}
    if len(tasks) != len(recipe.heads):
        raise DataError(f"{path} has two heads for one task")
    for name in (*tasks, *(branch.name for branch in recipe.branches)):
        if not is_task(name):
            raise DataError(f"{path}: {name!r} can be no name of a task or branch: letters, digits, '_' and '-' are")
    for use in recipe.data:
        if use.task not in tasks or tasks[use.task].kind != "classes":
            raise DataError(f"{path} brings data for {use.task!r}, which is no task with labels")
    for head in recipe.heads:
        _require_labels(path, head)
        if head.kind == "classes" and not any(use.task == head.task and use.use == "training" for use in recipe.data):
            raise DataError(f"{path}: nothing trains {head.task!r}; give it a data set")
    return recipe


def _require_labels(path: Path, head: HeadDesign) -> None:
    if head.kind == "classes" and len(head.labels) < 2:
        raise DataError(f"{path}: the head {head.task!r} needs at least two labels")
    if len(set(head.labels)) != len(head.labels):
        raise DataError(f"{path}: the head {head.task!r} has a label twice")
    known = None if head.auxiliary else LABELS.get(head.task)
    if known is not None and known != set(head.labels):
        raise DataError(f"{path}: {head.task!r} has the labels {', '.join(sorted(known))}: rename yours, or the task")


def _explained(reason: str) -> str:
    """What is wrong, and for a key that is not known the nearest that is."""
    found = _UNKNOWN.search(reason)
    if found is None:
        return reason
    table = _TABLES.get(found["table"] or "")
    return f"{reason}{_nearest(found['key'], table.__struct_fields__)}" if table else reason


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
