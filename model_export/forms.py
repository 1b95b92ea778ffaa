"""The forms of an exported graph, and what ``optimise.json`` says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from model_export.embedding_quality import EmbeddingQuality
from model_export.loss import ClassLoss, EmbeddingLoss

FUSED: Final = "fused"
FP16: Final = "fp16"
INT8: Final = "int8"
INT8_STATIC: Final = "int8-static"
#: Each form and its file below ``export/``.
FILES: Final[Mapping[str, str]] = {
    FUSED: "model.fused.onnx",
    FP16: "model.fp16.onnx",
    INT8: "model.int8.onnx",
    INT8_STATIC: "model.int8-static.onnx",
}
FORMS: Final = tuple(FILES)
REPORT: Final = "optimise.json"


class Form(msgspec.Struct, frozen=True):
    """One form: its file with its sha256, what it was made of (a digest), and how it compares with unfused fp32.

    ``gain`` is the median over rounds of its texts a second over those of the unfused graph in the same round.
    """

    file: str
    bytes: int
    sha256: str
    made_of: str
    measured_on: str = ""
    classes: dict[str, ClassLoss] = {}
    embedding: EmbeddingLoss | None = None
    texts_per_second: float = 0.0
    gain: float = 0.0


class Optimised(msgspec.Struct, frozen=True):
    """What ``optimise.json`` says: the unfused graph, how it was measured, and its forms by name.

    ``notes`` say what was not fused and what could not be measured, and why.
    """

    source: str
    bytes: int
    word_bits: int
    threads: int
    tools: dict[str, str]
    texts: int = 0
    texts_per_second: float = 0.0
    base_quality: EmbeddingQuality | None = None
    forms: dict[str, Form] = {}
    notes: tuple[str, ...] = ()
