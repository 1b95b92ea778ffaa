"""Making the forms of an exported graph: each of the unfused one, once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from typing import Any, Final

from onnx import ModelProto

from inference.atomic import replace_durably
from inference.rows import Text
from inference.session import Session
from model_export.activation_ranges import activation_ranges
from model_export.exported_run import ExportedRun
from model_export.forms import FILES, INT8, INT8_STATIC, Form
from model_export.fusion import fused
from model_export.half import half_precision
from model_export.optimise_data import sample
from model_export.quantise import Bits, quantised
from model_export.text_batches import TextBatches

#: Texts that static quantisation is calibrated on.
CALIBRATION_TEXTS: Final = 256
#: Changes with what is made of the same graph by the same options, so that older forms are made anew.
_MAKING: Final = 1
_TOOLS: Final = ("onnx", "onnxruntime")


class FormMaker:
    """From the unfused graph to its forms."""

    def __init__(self, run: ExportedRun, calibration: Sequence[Text], word_bits: Bits, threads: int) -> None:
        self._run = run
        self._texts = sample(calibration, CALIBRATION_TEXTS)
        self._word_bits = word_bits
        self._threads = threads
        self.source: Final = hashlib.sha256(run.source).hexdigest()
        self.tools: Final = {tool: metadata.version(tool) for tool in _TOOLS}

    def is_kept(self, form: str, known: Form | None) -> bool:
        """Whether the form that is there is the one that would be made."""
        file = self._run.folder / FILES[form]
        return (
            known is not None
            and known.made_of == self._made_of(form)
            and file.is_file()
            and _sha256(file.read_bytes()) == known.sha256
        )

    def make(self, form: str) -> Form:
        """Make the form and write it; its measures are still to come."""
        graph = self._made(form)
        content = graph.SerializeToString(deterministic=True)
        # That it loads and offers what the unfused one does is part of having made it.
        Session(content, self._run.inputs, self._run.outputs, threads=self._threads)
        replace_durably(self._run.folder / FILES[form], content)
        return Form(FILES[form], len(content), _sha256(content), self._made_of(form))

    def _made(self, form: str) -> ModelProto:
        match form:
            case "fused":
                return self._fused
            case "fp16":
                return half_precision(fused(self._run.graph, attention=self._run.attention_fuses, packed=True))
            case "int8":
                return quantised(self._fused, word_bits=self._word_bits)
            case _:
                batches = TextBatches(self._run.encoder(), self._texts)
                ranges = activation_ranges(self._fused, batches, threads=self._threads)
                return quantised(self._fused, ranges=ranges, word_bits=self._word_bits)

    @cached_property
    def _fused(self) -> ModelProto:
        return fused(self._run.graph, attention=self._run.attention_fuses)

    def _made_of(self, form: str) -> str:
        options: list[Any] = [_MAKING, form, self.source, sorted(self.tools.items())]
        if form in (INT8, INT8_STATIC):
            options.append(self._word_bits)
        if form == INT8_STATIC:
            options.append(self._texts)
        return _sha256(repr(options).encode("utf-8", "surrogatepass"))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
