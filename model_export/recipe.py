"""A recipe: what a model is made of and how it is trained, as a TOML file; JSON serves as well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from inference.manifest import Tokens
from inference.names import is_plain
from inference.tasks import LABELS
from model_export.datasets import DataError

Share = Annotated[float, Meta(ge=0, lt=1)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


class Branch(_Table, frozen=True):
    """The layers above the trunk; a branch that is not ``tuned`` stays as it came with the base."""

    name: str
    tuned: bool = True


class HeadDesign(_Table, frozen=True):
    """A task's head: the branch that it reads, by the mean over the tokens, and its labels.

    An ``embedding`` is that mean brought to unit length. An ``auxiliary`` head helps in
    training and is left out of the exported graph. ``weight`` multiplies its loss; ``balance``
    takes the place of the training's where it is set: 1 suits a task that is judged by
    macro-recall, less one that is judged by macro-F1.
    """

    task: str
    branch: str
    labels: tuple[str, ...] = ()
    kind: Literal["classes", "embedding"] = "classes"
    auxiliary: bool = False
    weight: Annotated[float, Meta(gt=0)] = 1.0
    balance: Annotated[float, Meta(ge=0, le=1)] | None = None


class DataUse(_Table, frozen=True):
    """A data set and what it is for.

    Rows of ``extra`` are trained on, and are never among those that are set aside to choose the
    best epoch by and to calibrate on: they come from elsewhere than what is to be read.
    ``repeat`` is how often an epoch reads each training row; ``hold_out`` sets that share aside
    for validation, by a hash of the text (of the premise, for pairs), ``limit`` keeps the first so many rows of the file.
    """

    task: str
    name: str
    use: Literal["training", "extra", "validation"] = "training"
    repeat: Annotated[int, Meta(ge=1)] = 1
    hold_out: Share = 0.0
    limit: Annotated[int, Meta(ge=0)] = 0


class Training(_Table, frozen=True):
    """How the network is trained: AdamW, a warm-up over ``warmup`` of all steps, then linearly down to 0.

    ``dropout`` is that of the layers of tuned branches; it costs time, and helps where rows are few for many epochs.
    ``balance`` is the power to which a class's rarity raises its loss: 0 counts rows alike,
    1 counts classes alike. ``calibration`` of the training rows are set aside to choose the
    best epoch by and to calibrate on. Training ends early when ``patience`` epochs in a row
    were no better.
    """

    epochs: Annotated[int, Meta(ge=1)] = 3
    batch_rows: Annotated[int, Meta(ge=1)] = 32
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-4
    head_learning_rate: Annotated[float, Meta(gt=0)] = 1e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 0.01
    warmup: Share = 0.06
    clip: Annotated[float, Meta(gt=0)] = 1.0
    label_smoothing: Share = 0.0
    dropout: Share = 0.0
    balance: Annotated[float, Meta(ge=0, le=1)] = 1.0
    calibration: Share = 0.08
    patience: Annotated[int, Meta(ge=1)] = 2


class Recipe(_Table, frozen=True):
    """The whole file.

    ``trunk`` is the number of layers that all branches share and that stay as they came.
    ``limits`` are sentences for the model card: what the model must not be relied on for.
    """

    name: str
    description: str
    base: str
    licence: str
    tokens: Tokens
    heads: tuple[HeadDesign, ...]
    data: tuple[DataUse, ...]
    limits: tuple[str, ...] = ()
    trunk: Annotated[int, Meta(ge=0)] = 0
    branches: tuple[Branch, ...] = (Branch(name="tuned"),)
    seed: int = 1
    training: Training = Training()


def load(path: Path) -> Recipe:
    """The recipe in a file; raises :class:`DataError`, which names what is wrong with it."""
    try:
        decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
        recipe = decode(path.read_bytes(), type=Recipe)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no recipe: {error}") from error
    if not is_plain(recipe.name):
        raise DataError(f"{path}: {recipe.name!r} can be no model's name: letters, digits, '.', '_' and '-' are")
    tasks = {head.task: head for head in recipe.heads}
    if len(tasks) != len(recipe.heads):
        raise DataError(f"{path} has two heads for one task")
    for use in recipe.data:
        if use.task not in tasks or tasks[use.task].kind != "classes":
            raise DataError(f"{path} brings data for {use.task!r}, which is no task with labels")
    for head in recipe.heads:
        if head.kind == "classes" and len(head.labels) < 2:
            raise DataError(f"{path}: the head {head.task!r} needs at least two labels")
        if len(set(head.labels)) != len(head.labels):
            raise DataError(f"{path}: the head {head.task!r} has a label twice")
        known = None if head.auxiliary else LABELS.get(head.task)
        if known is not None and known != set(head.labels):
            raise DataError(
                f"{path}: {head.task!r} has the labels {', '.join(sorted(known))}: rename yours, or the task"
            )
        if head.kind == "classes" and not any(use.task == head.task and use.use == "training" for use in recipe.data):
            raise DataError(f"{path}: nothing trains {head.task!r}; give it a data set")
    return recipe
