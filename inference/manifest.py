"""What a model version says of itself: ``MANIFEST.json``."""

from __future__ import annotations

from datetime import datetime

import msgspec

#: The layout of a version folder that this code reads and writes.
FORMAT = 1

MANIFEST = "MANIFEST.json"
MODEL = "model.onnx"
LABELS = "labels.json"
CALIBRATION = "calibration.json"
VOCABULARY = "vocabulary.json"


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A part of the manifest."""


class Tensor(_Part, frozen=True):
    """An input or output of the graph: element type as numpy names it, and shape, free axes by name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Head(_Part, frozen=True):
    """A task that the graph answers, and the output that holds its logits ``[rows, labels]``."""

    task: str
    output: str


class Source(_Part, frozen=True):
    """A data file that the model was made or judged with."""

    path: str
    sha256: str
    rows: int
    use: str


class Golden(_Part, frozen=True):
    """An input and what the calibrated probabilities must be, by task and label."""

    text: str
    expected: dict[str, dict[str, float]]


class Manifest(_Part, frozen=True):
    """All of ``MANIFEST.json``.

    ``files`` maps every other file of the version to its sha256. ``encoder`` names how
    a text becomes the graph's inputs. ``metrics`` are figures by data set. Probabilities
    on the ``golden`` inputs may differ from the expected ones by ``tolerance`` at most.
    """

    format: int
    name: str
    version: str
    created_at: datetime
    files: dict[str, str]
    encoder: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    heads: tuple[Head, ...]
    tools: dict[str, str]
    metrics: dict[str, dict[str, float]]
    data: tuple[Source, ...]
    golden: tuple[Golden, ...]
    tolerance: float
    licence: str
    parent: str | None = None


class Calibration(_Part, frozen=True):
    """How a head's logits become probabilities: ``softmax(logits / temperature)``."""

    temperature: float
