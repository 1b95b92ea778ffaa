"""A run that was exported: its graph, and what texts need to go through it and answers to be read."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
import onnx
from onnx import ModelProto

from groundswell.errors import ModelError
from inference.calibration import Calibrator
from inference.manifest import CALIBRATION, LABELS, MODEL, TOKENIZER, Calibration, Tensor, Tokens
from inference.tokens import TokenEncoder
from model_export.recipe import HeadDesign
from model_export.text_batches import signature

EXPORT: Final = "export"
_NETWORK: Final = "network.json"
_CONFIG: Final = "config.json"
#: Kinds of BERT whose attention is not the one that can be fused: it looks at distances between tokens.
_OWN_ATTENTION: Final = ("deberta",)
_NOT_FUSED: Final = "attention was not fused: this kind of model adds distances between tokens to it"

#: What parsing a graph raises; the package has no types.
_DecodeError: Final[type[Exception]] = import_module("google.protobuf.message").DecodeError

T = TypeVar("T")


class _Design(msgspec.Struct, frozen=True):
    """What is read of ``network.json``."""

    tokens: Tokens
    heads: tuple[HeadDesign, ...]


class _Config(msgspec.Struct, frozen=True):
    """What is read of ``config.json``."""

    model_type: str = "bert"


class ClassHead(NamedTuple):
    """A head with labels, in the order of its output's columns, and its calibration."""

    labels: tuple[str, ...]
    calibrate: Calibrator


class ExportedRun:
    """The folder of a run with its unfused graph in ``export/``; ``notes`` say what of it cannot be fused.

    Raises :class:`ModelError`, which names the file and what to do, for whatever is absent
    or does not fit the rest.
    """

    def __init__(self, run: Path) -> None:
        self.folder: Final = run / EXPORT
        design = _decoded(run / _NETWORK, _Design)
        labels = _decoded(run / LABELS, dict[str, list[str]])
        calibration = _decoded(run / CALIBRATION, dict[str, Calibration])
        self.attention_fuses: Final = not _decoded(run / _CONFIG, _Config).model_type.startswith(_OWN_ATTENTION)
        self.notes: Final[tuple[str, ...]] = () if self.attention_fuses else (_NOT_FUSED,)
        self.tokens: Final = design.tokens
        self.source: Final = _read(self.folder / MODEL, "export the run first")
        self._tokenizer: Final = _read(run / TOKENIZER, "train or import the run again")
        self.inputs: tuple[Tensor, ...]
        self.outputs: tuple[Tensor, ...]
        self.inputs, self.outputs = signature(self.graph)
        heads = [head for head in design.heads if not head.auxiliary]
        self.embedding: Final = next((head.task for head in heads if head.kind == "embedding"), None)
        self.classes: Final = {
            head.task: _class_head(run, head.task, labels, calibration) for head in heads if head.kind == "classes"
        }
        if {tensor.name for tensor in self.outputs} != {head.task for head in heads}:
            raise ModelError(
                f"{self.folder / MODEL} gives {', '.join(tensor.name for tensor in self.outputs)}, and {_NETWORK} "
                f"has heads for {', '.join(head.task for head in heads)}: export the run again"
            )

    @cached_property
    def graph(self) -> ModelProto:
        """The unfused graph; not to be changed."""
        try:
            return onnx.load_model_from_string(self.source)
        except _DecodeError as error:
            raise ModelError(f"{self.folder / MODEL} is no ONNX graph ({error}): export the run again") from error

    def encoder(self) -> TokenEncoder:
        """What makes texts into rows of the graph."""
        return TokenEncoder(self._tokenizer, self.tokens, self.inputs)


def _class_head(run: Path, task: str, labels: dict[str, list[str]], calibration: dict[str, Calibration]) -> ClassHead:
    if task not in labels or task not in calibration:
        raise ModelError(f"{run / LABELS} or {run / CALIBRATION} says nothing of {task}: train or import the run again")
    return ClassHead(tuple(labels[task]), Calibrator(calibration[task], labels[task]))


def _decoded(path: Path, kind: type[T]) -> T:
    content = _read(path, "train or import the run first")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be used ({error}): train or import the run again") from error


def _read(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
