"""What a version is judged on: labelled rows for each task, and the sha256 that tells them from others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from groundswell.errors import ModelError
from model_export.corpus import gather
from model_export.datasets import DataError
from model_export.labelled_file import LabelledRow, read
from model_export.recipe import Recipe
from model_export.recipe_file import load
from model_export.run_files import RECIPE

#: The recipe as it was used, in a run's folder.


class Evidence(NamedTuple):
    """Labelled rows for one task: the file or the data sets, and the sha256 of the file or of the rows themselves."""

    name: str
    sha256: str
    rows: list[LabelledRow]


def of_file(file: Path) -> Evidence:
    """The rows of a labelled file; raises :class:`DataError`, with the line, for one that cannot be used."""
    rows = read(file)
    return Evidence(str(file), hashlib.sha256(file.read_bytes()).hexdigest(), rows)


def of_run(run: Path, data: Path) -> dict[str, Evidence]:
    """By task, the validation data below ``data`` that the run's recipe names, all of its sets together.

    A row's ``source`` is its data set. Raises :class:`DataError` for data that is absent,
    :class:`ModelError` for a run that has no recipe, as one that was imported.
    """
    if not (run / RECIPE).is_file():
        raise ModelError(f"{run} has no {RECIPE}, so it names no validation data: give a labelled file for each task")
    recipe = load(run / RECIPE)
    judging = _validation_alone(recipe)
    labels = {head.task: head.labels for head in judging.heads}
    found = {}
    for task, parts in gather(judging, data).tasks.items():
        rows = [
            LabelledRow(number, row.text, labels[task][row.label], source=name)
            for name, rows in parts.validation.items()
            for number, row in enumerate(rows, 1)
        ]
        if rows:
            found[task] = Evidence("+".join(parts.validation), _sha256(rows), rows)
    return found


def gathered(run: Path, given: Iterable[str], tasks: Iterable[str]) -> dict[str, Evidence]:
    """By task, what ``given`` names: ``TASK=FILE``, a file for a model with one task, or a folder of data sets.

    A file for a task goes before a folder. Raises :class:`DataError` for what cannot be
    used, or answers a question that nobody asks.
    """
    known = sorted(tasks)
    files: dict[str, Evidence] = {}
    validation: dict[str, Evidence] = {}
    for each in given:
        task, named, path = each.partition("=")
        if Path(each).is_dir():
            validation |= of_run(run, Path(each))
            continue
        if not named:
            if len(known) != 1:
                raise DataError(f"{each}: which task is it for? Name it: TASK={each} ({', '.join(known)})")
            task, path = known[0], each
        if task not in known:
            raise DataError(f"{each}: {task!r} is no task with labels of this model ({', '.join(known) or 'none'})")
        if task in files:
            raise DataError(f"{each}: there is a file for {task} already; join them into one")
        files[task] = of_file(Path(path))
    return {task: evidence for task, evidence in (validation | files).items() if task in known}


def overlaps(evidence: Mapping[str, Evidence], trained_on: Mapping[str, str]) -> list[str]:
    """Reasons not to trust it: files that the model itself was trained on; ``trained_on`` is sha256 → path."""
    return [
        f"{task}: it was trained on {trained_on[found.sha256]}, so {found.name} tells nothing"
        for task, found in evidence.items()
        if found.sha256 in trained_on
    ]


def _validation_alone(recipe: Recipe) -> Recipe:
    """The recipe without what only training reads."""
    served = {head.task for head in recipe.heads if not head.auxiliary}
    return msgspec.structs.replace(
        recipe,
        heads=tuple(head for head in recipe.heads if head.task in served),
        data=tuple(use for use in recipe.data if use.task in served and (use.use == "validation" or use.hold_out > 0)),
    )


def _sha256(rows: Iterable[LabelledRow]) -> str:
    whole = hashlib.sha256()
    for row in rows:
        # ASCII, so that lone surrogates go as well.
        whole.update(json.dumps([row.text, row.label]).encode() + b"\n")
    return whole.hexdigest()
