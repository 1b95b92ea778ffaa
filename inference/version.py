"""One version of a model: its files, each verified against the manifest before it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

import msgspec

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.manifest import (
    CALIBRATION,
    FORMAT,
    LABELS,
    MANIFEST,
    MODEL,
    NGRAMS,
    WITHOUT_GRAPH,
    Calibration,
    Head,
    Manifest,
    Precision,
    Tensor,
    Tokens,
)
from inference.names import is_plain

#: The model card; it tells about a version and is no part of its identity.
CARD: Final = "README.md"

#: What to do about files that are not those of the manifest.
RESTORE: Final = "restore the folder (publish its run again), or point the alias at another version"

#: Precisions that ``auto`` takes, best first. int8 graphs are made for processors, and a
#: processor computes fp16 by way of fp32, so neither stands in for the other.
_AUTO: Final[dict[bool, tuple[Precision, ...]]] = {True: ("fp16", "fp32"), False: ("int8", "fp32")}
_CPU: Final = "cpu"

T = TypeVar("T")


class Reading(Protocol):
    """How the files of a version are read: what decides its answers beside them."""

    @property
    def encoder(self) -> str: ...
    @property
    def tokens(self) -> Tokens | None: ...
    @property
    def outputs(self) -> tuple[Tensor, ...]: ...
    @property
    def heads(self) -> tuple[Head, ...]: ...
    @property
    def graphs(self) -> dict[Precision, str]: ...
    @property
    def embedding_space(self) -> str | None: ...


class ModelVersion:
    """One version whose manifest and files have been verified.

    Files are read through :meth:`read`, which verifies the very bytes that it returns.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.ref = ModelRef(manifest.name, manifest.version)

    def read(self, name: str) -> bytes:
        """The bytes of a file that the manifest lists; raises :class:`ModelError` where they are not those."""
        expected = self.manifest.files.get(name)
        if expected is None:
            raise ModelError(f"{self.folder / MANIFEST} lists no {name}: publish the model again")
        content = read_bytes(self.folder / name)
        if hashlib.sha256(content).hexdigest() != expected:
            raise _differs(self.folder / name)
        return content

    def labels(self) -> dict[str, list[str]]:
        """The labels of each task, in the order of its output's columns."""
        return decoded(self.folder / LABELS, self.read(LABELS), dict[str, list[str]])

    def calibration(self) -> dict[str, Calibration]:
        """The calibration of each task."""
        return decoded(self.folder / CALIBRATION, self.read(CALIBRATION), dict[str, Calibration])

    def graph(self, precision: str = "auto", provider: str = _CPU) -> tuple[Precision, str]:
        """The precision to run in on ``provider`` (``cpu``, ``cuda``, ``tensorrt``), and the file of its graph.

        ``auto`` is int8 on a processor and fp16 on a GPU where the version holds it, else
        fp32. Raises :class:`ModelError` where the version holds nothing that was asked for.
        """
        graphs = self.manifest.graphs
        if self.manifest.encoder in WITHOUT_GRAPH:
            raise ModelError(f"{self.ref.name}@{self.ref.version} has no graph and serves no task: name another model")
        wanted = _AUTO[provider != _CPU] if precision == "auto" else (cast("Precision", precision),)
        for each in wanted:
            if each in graphs:
                return each, graphs[each]
        raise ModelError(
            f"{self.ref.name}@{self.ref.version} holds {', '.join(graphs)} and not {' or '.join(wanted)}, which "
            f"precision {precision!r} on {provider} asks for: set models.precision to one that it holds, "
            "or publish the model with that one"
        )


def open_version(folder: Path, name: str, version: str) -> ModelVersion:
    """The version in ``folder``, every file of it verified.

    Raises :class:`ModelError`, naming the file and what to do, for anything that is
    missing, truncated, altered, of another model, or in a layout not known here.
    """
    path = folder / MANIFEST
    manifest = decode_manifest(path, read_bytes(path), name, version)
    for file, expected in manifest.files.items():
        if sha256(folder / file) != expected:
            raise _differs(folder / file)
    return ModelVersion(folder, manifest)


def content_version(files: Mapping[str, str], reading: Reading) -> str:
    """The name of the version that has these files (name → sha256) and reads them so: the same anywhere.

    What is read in the plainest way (:func:`_unusual` has nothing to tell) is named by its files alone.
    """
    whole = hashlib.sha256()
    for name, digest in sorted(files.items()):
        if name != CARD:
            whole.update(f"{name}\x00{digest}\x00".encode())
    unusual = _unusual(reading)
    if unusual:
        # No file is without a name, so nothing that is listed can look like this.
        whole.update(b"\x00" + msgspec.json.encode(unusual, order="deterministic"))
    return whole.hexdigest()[:12]


def _unusual(reading: Reading) -> dict[str, Any]:
    """How a version is read where that is not the plainest way: n-grams, one fp32 graph, a head for each output.

    A manifest's inputs and outputs are left out: they follow from the graph, which is held to them.
    """
    found: dict[str, Any] = {}
    heads = sorted(reading.heads, key=lambda head: (head.task, head.output))
    if reading.encoder != NGRAMS:
        found["encoder"] = reading.encoder
    if reading.tokens is not None:
        found["tokens"] = reading.tokens
    if heads != [Head(task=name, output=name) for name in sorted(tensor.name for tensor in reading.outputs)]:
        found["heads"] = heads
    if reading.graphs != {"fp32": MODEL}:
        found["graphs"] = reading.graphs
    if reading.embedding_space is not None:
        found["embedding_space"] = reading.embedding_space
    return found


def decode_manifest(path: Path | str, content: bytes, name: str, version: str) -> Manifest:
    """The manifest of ``name@version`` in ``content``, which was read from ``path``.

    Raises :class:`ModelError` where it is none, is another version's, or lists what cannot be.
    """
    manifest = decoded(path, content, Manifest)
    if manifest.format != FORMAT:
        raise ModelError(f"{path} has format {manifest.format}, this release reads {FORMAT}: publish the model again")
    if (manifest.name, manifest.version) != (name, version):
        raise ModelError(f"{path} is of {manifest.name}@{manifest.version}, not of {name}@{version}: {RESTORE}")
    without_graph = WITHOUT_GRAPH.get(manifest.encoder)
    if not manifest.graphs and without_graph is None:
        raise ModelError(f"{path} names no graph: publish the model again")
    for required in (without_graph,) if without_graph else (*manifest.graphs.values(), LABELS, CALIBRATION):
        if required not in manifest.files:
            raise ModelError(f"{path} lists no {required}: publish the model again")
    for file in manifest.files:
        if not is_plain(file) or file == MANIFEST:
            raise ModelError(f"{path} lists {file!r}, which is no plain file name: do not use this model")
    return manifest


def read_bytes(path: Path) -> bytes:
    """All of a file; raises :class:`ModelError` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def decoded(path: Path | str, content: bytes, kind: type[T]) -> T:
    """The JSON of a file as ``kind``; raises :class:`ModelError` where it is not that."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be used ({error}): {RESTORE}") from error


def sha256(path: Path) -> str:
    """The sha256 of a file in hexadecimal; raises :class:`ModelError` where it cannot be read."""
    # A piece at a time: graphs may be larger than what a small machine has to spare.
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(f"{path} cannot be read ({error.strerror}): {RESTORE}")


def _differs(path: Path) -> ModelError:
    return ModelError(f"{path} is not the file that {MANIFEST} lists (sha256 differs): {RESTORE}")
