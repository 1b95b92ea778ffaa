"""A recipe: what a model is made of and how it is trained, as a TOML file; JSON serves as well."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from inference.manifest import Tokens
from inference.names import is_plain

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
    for validation, by a hash of the text (of the premise, for pairs), ``limit`` keeps the first
    so many rows of the file, in its order.
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


def is_task(name: str) -> bool:
    """Whether a task or a branch can be called so: it names modules of the network, and outputs of its graph.

    >>> is_task("sentiment"), is_task("../x"), is_task("a.b")
    (True, False, False)
    """
    return is_plain(name) and "." not in name
