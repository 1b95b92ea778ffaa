"""Measuring what each form loses in quality and gains in speed, on the same texts."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from groundswell.errors import ModelError
from inference.session import Session
from model_export.datasets import DataError
from model_export.embedding_quality import EmbeddingQuality, QualityData, embedding_quality, quality_data
from model_export.exported_run import ExportedRun
from model_export.forms import Form, Optimised
from model_export.loss import class_loss, embedding_loss, paired
from model_export.optimise_data import OptimiseData, sample
from model_export.text_batches import TextBatches

#: Texts that speed is measured with, and times that each form reads them, in turn.
SPEED_TEXTS: Final = 256
ROUNDS: Final = 5

#: Called with what begins.
Progress = Callable[[str], None]


class FormMeasurer:
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
        self.digest: Final = hashlib.sha256(repr(measured).encode("utf-8", "surrogatepass")).hexdigest()

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
