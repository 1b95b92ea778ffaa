"""What a run's folder says of where its model comes from: training here, or another folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from groundswell.errors import ModelError
from inference.manifest import Source

RECIPE: Final = "recipe.json"
TRAINING: Final = "training.json"
IMPORTED: Final = "imported.json"

T = TypeVar("T")


class Imported(msgspec.Struct, frozen=True):
    """What ``imported.json`` says: the folder by its name, what was in it, and how its graph came out.

    ``licence`` is what the folder's own card states, ``files`` maps what was read to its sha256.
    """

    folder: str
    model_type: str
    architecture: str
    task: str
    labels: tuple[str, ...]
    max_length: int
    licence: str | None
    files: dict[str, str]
    opset: int
    parity: dict[str, float]
    embedding_space: str | None


class Epoch(msgspec.Struct, frozen=True):
    """An epoch, counted from 0: its mean loss and macro-recall by task on the rows that choose the best one."""

    epoch: int
    loss: float
    figures: dict[str, float]
    score: float


class Trained(msgspec.Struct, frozen=True):
    """What ``training.json`` says: all that made the network, its curve, and its figures by ``task/data set``.

    ``fingerprint`` is of the recipe and data that it was trained on.
    """

    name: str
    fingerprint: str
    seed: int
    tools: dict[str, str]
    data: tuple[Source, ...]
    rows: dict[str, dict[str, int]]
    curve: tuple[Epoch, ...]
    best_epoch: int
    metrics: dict[str, dict[str, float]]
    seconds: float


def told(path: Path, kind: type[T]) -> T | None:
    """What a file of a run says, or ``None`` where there is none; raises :class:`ModelError` for one that is spoilt."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be used ({error}): train or import the run again") from error


@contextmanager
def written_into(run: Path, *more: type[Exception]) -> Iterator[None]:
    """Turn what a disk refuses, an :class:`OSError` or one of ``more``, into a :class:`ModelError`."""
    refused: tuple[type[Exception], ...] = (OSError, *more)
    try:
        yield
    except refused as error:
        # Some name the statement that failed as well, below their reason.
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{run} cannot be written ({reason}): mend that and call it again") from error


def plain_name(name: str) -> str:
    """The nearest name that a model may have.

    >>> plain_name("my model (v2)")
    'my-model-v2'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-._")[:64] or "model"
