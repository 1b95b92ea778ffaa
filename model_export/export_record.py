"""What an export says of itself: ``export/export.json``, beside the graph and its parity."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from groundswell.errors import ModelError
from inference.manifest import MODEL
from inference.version import sha256

EXPORT: Final = "export"
RECORD: Final = "export.json"
PARITY: Final = "parity.json"

_WEIGHTS: Final = "weights.safetensors"


class ExportRecord(msgspec.Struct, frozen=True):
    """The opset, the sha256 of the graph and of the weights behind it, the tools, and the space of the embeddings."""

    opset: int
    graph: str
    tools: dict[str, str]
    weights: str | None = None
    embedding_space: str | None = None


def exported(run: Path) -> tuple[ExportRecord, dict[str, float]]:
    """The record of a run's export and its parity.

    Raises :class:`ModelError` where there is none, or where the graph or the weights are not those of the record.
    """
    folder = run / EXPORT
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=ExportRecord)
        parity = msgspec.json.decode((folder / PARITY).read_bytes(), type=dict[str, float])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{run} has no export that can be used ({error}): export or import it first") from error
    if sha256(folder / MODEL) != record.graph:
        raise ModelError(f"{folder / MODEL} is not the graph that {RECORD} tells of: export or import the run again")
    if record.weights is not None and sha256(run / _WEIGHTS) != record.weights:
        raise ModelError(f"{run} was trained again since it was exported: export it again, and optimise it")
    return record, parity
