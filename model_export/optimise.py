"""Making the forms of an exported graph, and measuring what each costs in quality and gains in speed."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from groundswell.errors import ModelError
from inference.atomic import replace_durably
from inference.rows import Text
from inference.session import Session
from model_export.activation_ranges import activation_ranges
from model_export.datasets import DataError
from model_export.embedding_quality import EmbeddingQuality, QualityData, embedding_quality, quality_data
from model_export.exported_run import ExportedRun
from model_export.fusion import fused
from model_export.half import half_precision
from model_export.loss import ClassLoss, EmbeddingLoss, class_loss, embedding_loss, paired
from model_export.optimise_data import OptimiseData, gather, sample
from model_export.quantise import Bits, quantised
from model_export.run_files import written_into
from model_export.text_batches import TextBatches

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

#: Texts that static quantisation is calibrated on, and those that speed is measured with.
CALIBRATION_TEXTS: Final = 256
SPEED_TEXTS: Final = 256
#: Times that each form reads the texts of speed, in turn.
ROUNDS: Final = 5
#: Changes with what is made of the same graph by the same options, so that older forms are made anew.
_MAKING: Final = 1
_TOOLS: Final = ("onnx", "onnxruntime")

#: Called with what begins.
Progress = Callable[[str], None]


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


def optimise(
    run: Path,
    forms: Sequence[str] = FORMS,
    *,
    data: Path | None,
    samples: Sequence[Text] | None = None,
    word_bits: Bits = 8,
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> Optimised:
    """Make ``forms`` of the graph in ``run/export`` beside it, and measure them against it.

    ``data`` is the folder of the run's own data sets, or a file of labelled texts; without
    it losses are measured on ``samples``, or on a few invented texts. ``samples`` also
    calibrate the static form, in place of training texts. ``word_bits`` 4 keeps
    the tables of word embeddings of the int8 forms in four bits.

    A form that is there, made of the same graph by the same options, is kept; so a call
    that was stopped goes on where it was. Raises :class:`ModelError` for a run that was
    not exported, an unknown form, a static form without texts to calibrate it, a form that
    changed its signature, and a folder that cannot be written; :class:`DataError` for data
    that is absent or does not fit.
    """
    if unknown := [form for form in forms if form not in FILES]:
        raise ModelError(f"no form {', '.join(unknown)}: choose of {', '.join(FORMS)}")
    exported = ExportedRun(run)
    progress("reading data")
    found = gather(run, exported, data, samples)
    if INT8_STATIC in forms and not found.calibration:
        raise ModelError(f"{INT8_STATIC} must be calibrated: give data or samples, or leave this form out")
    making = _Making(exported, found.calibration, word_bits, threads)
    report = _begun(exported, making, word_bits, threads)
    with written_into(exported.folder):
        for form in forms:
            if not making.is_kept(form, report.forms.get(form)):
                progress(f"making {form}")
                report = _with(report, form, making.make(form))
                _write(exported, report)
        measuring = _Measuring(exported, found, data, threads, progress)
        if any(report.forms[form].measured_on != measuring.digest for form in forms):
            report = measuring.measured(report, forms)
            _write(exported, report)
        return report


class _Making:
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


class _Measuring:
    """What each form loses and gains, on the same texts."""

    def __init__(
        self, run: ExportedRun, data: OptimiseData, folder: Path | None, threads: int, progress: Progress
    ) -> None:
        self._run = run
        self._data = data
        self._threads = threads
        self._progress = progress
        self._quality, self._notes = self._quality_data(folder)
        self._texts: Final = list(dict.fromkeys([*(text for each in data.judged for text in each.texts), *data.texts]))
        measured = [self._texts, data.judged, self._quality.files if self._quality else None, threads]
        self.digest: Final = _sha256(repr(measured).encode("utf-8", "surrogatepass"))

    def measured(self, report: Optimised, forms: Sequence[str]) -> Optimised:
        """The report with the measures of ``forms``."""
        self._progress(f"reading {len(self._texts)} texts with the unfused graph")
        before = self._read(self._run.source)
        base = self._embedding_quality(self._run.source)
        measured = {}
        for form in forms:
            known = report.forms[form]
            if known.measured_on != self.digest:
                self._progress(f"measuring the loss of {form}")
                content = (self._run.folder / known.file).read_bytes()
                known = self._with_loss(known, content, before, base)
            measured[form] = known
        self._progress(f"measuring speed, {ROUNDS} rounds")
        unfused, speeds = self._speeds([measured[form].file for form in forms])
        for form, rounds in zip(forms, speeds, strict=True):
            measured[form] = msgspec.structs.replace(
                measured[form],
                texts_per_second=round(statistics.median(rounds), 2),
                gain=round(statistics.median(fast / slow for fast, slow in zip(rounds, unfused, strict=True)), 3),
            )
        return msgspec.structs.replace(
            report,
            texts=len(self._texts),
            texts_per_second=round(statistics.median(unfused), 2),
            base_quality=base,
            forms=report.forms | measured,
            notes=(*self._run.notes, *self._data.notes, *self._notes),
        )

    def _quality_data(self, folder: Path | None) -> tuple[QualityData | None, list[str]]:
        if self._run.embedding is None or folder is None or not folder.is_dir():
            return None, []
        try:
            return quality_data(folder), []
        except DataError as error:
            return None, [f"what the embedding is good for was not measured: {error}"]

    def _session(self, content: bytes) -> Session:
        return Session(content, self._run.inputs, self._run.outputs, threads=self._threads)

    @cached_property
    def _batches(self) -> TextBatches:
        return TextBatches(self._run.encoder(), self._texts)

    def _read(self, content: bytes) -> dict[str, NDArray[Any]]:
        session = self._session(content)
        found = self._batches.through(session, session.outputs)
        for name, values in found.items():
            if not np.isfinite(values).all():
                raise ModelError(f"the output {name} of a form is not finite: it cannot be used")
        return found

    def _embedding_quality(self, content: bytes) -> EmbeddingQuality | None:
        task = self._run.embedding
        if self._quality is None or task is None:
            return None
        session = self._session(content)
        session.warm([], [task])
        encoder = self._run.encoder()
        return embedding_quality(
            lambda texts: TextBatches(encoder, texts).through(session, [task])[task], self._quality
        )

    def _with_loss(
        self, form: Form, content: bytes, before: Mapping[str, NDArray[Any]], base: EmbeddingQuality | None
    ) -> Form:
        after = self._read(content)
        place = {text: number for number, text in enumerate(self._texts)}
        classes = {}
        for task, head in self._run.classes.items():
            first, second = head.calibrate(before[task]), head.calibrate(after[task])
            sets = {}
            for judged in self._data.judged:
                if judged.task == task:
                    rows = [place[text] for text in judged.texts]
                    sets[judged.name] = paired(judged.labels, first[rows], second[rows])
            classes[task] = class_loss(first, second, sets)
        embedding = None
        if self._run.embedding is not None:
            embedding = embedding_loss(before[self._run.embedding], after[self._run.embedding])
            quality = self._embedding_quality(content)
            if quality is not None and base is not None:
                lost = quality.points_below(base)
                embedding = msgspec.structs.replace(embedding, quality=quality, points_lost=lost)
        return msgspec.structs.replace(form, measured_on=self.digest, classes=classes, embedding=embedding)

    def _speeds(self, files: Sequence[str]) -> tuple[list[float], list[list[float]]]:
        """Texts a second of the unfused graph and of each file, by round."""
        batches = TextBatches(self._run.encoder(), sample(self._texts, SPEED_TEXTS))
        number = min(SPEED_TEXTS, len(self._texts))
        contents = [self._run.source, *((self._run.folder / file).read_bytes() for file in files)]
        sessions = [self._session(content) for content in contents]
        for session in sessions:
            session.run(batches.batches[-1].inputs)
        found: list[list[float]] = [[] for _ in sessions]
        for _ in range(ROUNDS):
            for session, speeds in zip(sessions, found, strict=True):
                began = time.perf_counter()
                for batch in batches.batches:
                    session.run(batch.inputs)
                speeds.append(number / (time.perf_counter() - began))
        return found[0], found[1:]


def _begun(run: ExportedRun, making: _Making, word_bits: int, threads: int) -> Optimised:
    """The report that is there, of the very same graph, or an empty one."""
    fresh = Optimised(making.source, len(run.source), word_bits, threads, making.tools)
    try:
        known = msgspec.json.decode((run.folder / REPORT).read_bytes(), type=Optimised)
    except FileNotFoundError:
        return fresh
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        # It can be made again from what lies beside it.
        return fresh
    if known.source != making.source:
        return fresh
    return msgspec.structs.replace(known, word_bits=word_bits, threads=threads, tools=making.tools)


def _with(report: Optimised, form: str, made: Form) -> Optimised:
    return msgspec.structs.replace(report, forms=report.forms | {form: made})


def _write(run: ExportedRun, report: Optimised) -> None:
    replace_durably(run.folder / REPORT, msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
