"""Verifying a version the way the job will load it, and telling everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from groundswell.errors import ModelError
from inference import evidence_model
from inference.manifest import EVIDENCE, MANIFEST, WITHOUT_GRAPH, WORDS
from inference.model import Model
from inference.repository import Repository
from inference.version import ModelVersion, content_version, open_version
from inference.word_model import prove

#: Endings of files that hold a pickle, or may.
PICKLES: Final = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".npy", ".npz", ".h5")

_PICKLE_START: Final = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_GRAPH: Final = ".onnx"

#: How a version without a graph proves itself, by its encoder; raises :class:`ModelError` where it does not.
_PROOFS: Final[dict[str, Callable[[ModelVersion], object]]] = {WORDS: prove, EVIDENCE: evidence_model.prove}


def verify(repository: Repository, reference: str, *, provider: str = "cpu") -> list[str]:
    """What is wrong with a version, each with its reason; nothing when it may serve on ``provider``.

    It is loaded by the very code that serves it, in the precision that ``auto`` chooses,
    and must repeat its golden answers; so must its other graphs on the processor.
    """
    try:
        version = repository.open(reference)
    except ModelError as error:
        return [str(error)]
    return findings(version, provider=provider)


def verify_folder(folder: Path, *, provider: str = "cpu") -> list[str]:
    """The same for a version's folder ``…/<model>/<version>``, wherever it lies."""
    folder = folder.absolute()
    try:
        version = open_version(folder, folder.parent.name, folder.name)
    except ModelError as error:
        return [str(error)]
    return findings(version, provider=provider)


def findings(version: ModelVersion, *, provider: str = "cpu") -> list[str]:
    """What is wrong with a version whose hashes are right."""
    found = [*_identity(version), *_pickles(version)]
    if version.manifest.encoder in WITHOUT_GRAPH:
        return [*found, *_unproved(version)]
    outside = list(_external(version))
    if outside:
        # Loading such a graph would read files that nobody verified.
        return [*found, *outside]
    try:
        Model(version, provider=provider, threads=1)
    except ModelError as error:
        found.append(str(error))
    else:
        found.extend(_other_graphs(version, provider))
    return found


def require_good(version: ModelVersion, *, provider: str = "cpu") -> None:
    """Raise :class:`ModelError` with everything that :func:`findings` tells."""
    found = findings(version, provider=provider)
    if found:
        raise ModelError("; ".join(found))


def _unproved(version: ModelVersion) -> Iterator[str]:
    """What is wrong with a version that has no graph."""
    try:
        _PROOFS[version.manifest.encoder](version)
    except ModelError as error:
        yield str(error)


def _identity(version: ModelVersion) -> Iterator[str]:
    named = content_version(version.manifest.files, version.manifest)
    if named != version.ref.version:
        yield (
            f"{version.folder / MANIFEST} is of {version.ref.version}, but what is here would be {named}: "
            "the version was changed after it was published; publish it again"
        )


def _pickles(version: ModelVersion) -> Iterator[str]:
    for file in sorted(version.folder.iterdir()):
        if file.suffix.lower() in PICKLES or (file.is_file() and _holds_pickle(file)):
            yield f"{file} holds a pickle, or may: reading one runs what is in it; keep ONNX, JSON and text only"
        elif file.name != MANIFEST and file.name not in version.manifest.files:
            yield f"{file} is not in {MANIFEST}: remove it, or publish the version again"


def _holds_pickle(file: Path) -> bool:
    with file.open("rb") as content:
        # torch's own files are zip archives around a pickle.
        return content.read(4).startswith((*_PICKLE_START, b"PK\x03\x04"))


def _external(version: ModelVersion) -> Iterator[str]:
    for name in version.manifest.files:
        if name.endswith(_GRAPH):
            try:
                graph = onnx.load_from_string(version.read(name))
            except DecodeError:
                continue  # the runtime will say that it is no graph
            if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(graph)):
                yield f"{version.folder / name} keeps weights in other files: export it with its weights inside"


def _tensors(message: Any) -> Iterator[Any]:
    """Every tensor below a message of a graph, however deep: of subgraphs, functions and sparse ones as well."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in value if isinstance(value, Iterable) else (value,):
                yield from _tensors(part)


def _other_graphs(version: ModelVersion, provider: str) -> Iterator[str]:
    """Prove the graphs that were not chosen, on the processor: there every precision runs.

    All are held to the same golden answers, so a version that is published here cannot turn
    out elsewhere to be too far from them.
    """
    manifest = version.manifest
    chosen, _ = version.graph(provider=provider)
    for precision, name in manifest.graphs.items():
        if precision != chosen:
            try:
                Model(version, precision=precision, threads=1)
            except ModelError as error:
                yield f"{version.folder / name}, its graph in {precision}: {error}"
