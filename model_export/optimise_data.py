"""The texts that forms of a graph are calibrated on and measured with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from inference.rows import Text
from model_export import corpus, labelled_file, recipe_file
from model_export.datasets import DataError
from model_export.exported_run import ExportedRun
from model_export.goldens import SENTIMENT
from model_export.loss import LabelledTexts
from model_export.run_files import RECIPE

#: Rows of each labelled set that losses are measured on, chosen by a hash of the text.
MOST_ROWS: Final = 4_000


class OptimiseData(NamedTuple):
    """Labelled sets, further texts, and texts to calibrate by; ``notes`` say what is missing."""

    judged: Sequence[LabelledTexts]
    texts: Sequence[Text]
    calibration: Sequence[Text]
    notes: tuple[str, ...] = ()


def gather(run: Path, exported: ExportedRun, data: Path | None, samples: Sequence[Text] | None) -> OptimiseData:
    """The data of a run: its recipe's sets below the folder ``data``, or the labelled file ``data``.

    Raises :class:`DataError` for what is absent or does not fit the model.
    """
    given = list(samples or ())
    for text in given:
        _require_kind(text, exported, "the samples")
    if data is None:
        texts = given or _invented(pairs=exported.tokens.pairs)
        return OptimiseData((), texts, given, ("no labelled data was given: no true figures",))
    if data.is_dir():
        judged, training = _from_recipe(run, exported, data)
    else:
        judged, training = _from_file(exported, data), []
    # Texts that a form is judged on must not be those that calibrated it, where there are others.
    return OptimiseData(judged, given, given or training or [text for each in judged for text in each.texts])


def sample(texts: Sequence[Text], most: int) -> list[Text]:
    """Up to ``most`` distinct texts, in the order of their hashes."""
    return sorted(set(texts), key=lambda text: hashlib.sha256(repr(text).encode("utf-8", "surrogatepass")).digest())[
        :most
    ]


def _from_recipe(run: Path, exported: ExportedRun, data: Path) -> tuple[list[LabelledTexts], list[Text]]:
    path = run / RECIPE
    if not path.exists():
        raise DataError(f"{run} has no {RECIPE} that names data sets: give a file of labelled texts")
    found = corpus.gather(recipe_file.load(path), data)
    judged, training = [], []
    for task, parts in found.tasks.items():
        training += sample([row.text for row in parts.train], MOST_ROWS)
        if task in exported.classes:
            judged += [_limited(task, name, rows) for name, rows in parts.validation.items() if rows]
    return judged, training


def _from_file(exported: ExportedRun, file: Path) -> list[LabelledTexts]:
    rows = labelled_file.read(file)
    labels = {row.label for row in rows}
    _require_kind(rows[0].text, exported, str(file))
    fitting = {task: head.labels for task, head in exported.classes.items() if labels <= set(head.labels)}
    if not fitting:
        raise DataError(f"{file} has the labels {sorted(labels)}, which no head of the model has")
    return [
        _limited(task, file.name, [corpus.Labelled(row.text, known.index(row.label)) for row in rows])
        for task, known in fitting.items()
    ]


def _limited(task: str, name: str, rows: Sequence[corpus.Labelled]) -> LabelledTexts:
    label = {row.text: row.label for row in rows}
    texts = sample(list(label), MOST_ROWS)
    return LabelledTexts(task, name, texts, [label[text] for text in texts])


def _require_kind(text: Text, exported: ExportedRun, where: str) -> None:
    if isinstance(text, str) == exported.tokens.pairs:
        wanted = "pairs of premise and hypothesis" if exported.tokens.pairs else "single texts"
        raise DataError(f"the model reads {wanted}: {where} must be such")


def _invented(*, pairs: bool) -> list[Text]:
    return [*pairwise(SENTIMENT)] if pairs else [*SENTIMENT]
