"""The engine: what every operator hands its texts to, and the only owner of the device.

``submit`` blocks the calling worker (the device runs without the interpreter lock) and
answers one value a text, in order. A text that cannot be scored answers with an error
value and takes none of its neighbours with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from groundswell.errors import ModelError
from groundswell.metrics import INFERENCE_ERRORS, INFERENCE_ROWS, MODEL_INFO
from groundswell.records import Analysis, ModelRef
from inference.batches import bisect, plan
from inference.model import Model, NotFinite
from inference.repository import Repository
from inference.rows import DEVICE, NOT_FINITE, RowError
from inference.session import DeviceError

#: Rows and cells (rows × longest row) of one device call at most.
MAX_ROWS: Final = 256
MAX_CELLS: Final = 128 * 1024
#: Texts that are encoded before their rows go to the device: bounds what one submit holds.
MAX_ENCODED: Final = 4096


class Engine:
    """Scores texts with the models of a repository.

    ``models`` maps a task to ``name@alias`` or ``name@version``; tasks of one model share
    its one pass, and all must mean the same version, for a document records one. The
    engine is ready once it is constructed: files and signature verified, golden inputs
    proved. Raises :class:`ModelError` otherwise. Threads may share an engine.
    """

    def __init__(
        self,
        repository: Path,
        models: Mapping[str, str],
        *,
        provider: str = "cpu",
        threads: int = 0,
        max_rows: int = MAX_ROWS,
        max_cells: int = MAX_CELLS,
    ) -> None:
        versions = Repository(repository)
        resolved = {versions.resolve(reference) for reference in models.values()}
        if len(resolved) != 1:
            raise ModelError(f"the tasks must share one model, not {len(resolved)}: {dict(models)}")
        ref = resolved.pop()
        opened = versions.open(f"{ref.name}@{ref.version}")
        self._model: Model | None = Model(opened, tuple(models), provider=provider, threads=threads)
        self._max_rows = max_rows
        self._max_cells = max_cells
        self._info = (ref.name, ref.version, self._model.provider)
        MODEL_INFO.labels(*self._info).set(1)
        self._rows = INFERENCE_ROWS.labels(ref.name)
        self._errors = INFERENCE_ERRORS.labels(ref.name)
        self.ref: Final[ModelRef] = ref

    def submit(self, texts: Sequence[str]) -> list[Analysis | RowError]:
        """One analysis or error a text, in order; blocks until all are there.

        Raises :class:`ModelError` on an engine that is closed.
        """
        model = self._model
        if model is None:
            raise ModelError("the engine is closed")
        results: list[Analysis | RowError] = []
        for start in range(0, len(texts), MAX_ENCODED):
            results += self._score(model, texts[start : start + MAX_ENCODED])
        errors = sum(type(result) is RowError for result in results)
        self._rows.inc(len(results) - errors)
        if errors:
            self._errors.inc(errors)
        return results

    def close(self) -> None:
        """Take no more texts; what is on the device finishes. Closing twice is harmless."""
        if self._model is not None:
            self._model = None
            MODEL_INFO.remove(*self._info)

    def _score(self, model: Model, texts: Sequence[str]) -> list[Analysis | RowError]:
        encoded = [model.encode(text) for text in texts]
        results: dict[int, Analysis | RowError] = {}

        def run(rows: Sequence[int]) -> None:
            results.update(zip(rows, model.analyse([encoded[row] for row in rows]), strict=True))

        def failed(row: int, reason: Exception) -> None:
            results[row] = RowError(NOT_FINITE if isinstance(reason, NotFinite) else DEVICE, str(reason))

        for batch in plan([row.size for row in encoded], self._max_rows, self._max_cells):
            bisect(batch, run, failed, DeviceError)
        return [results[row] for row in range(len(texts))]
