"""The model repository: immutable versions in folders, and aliases that name one of them.

``<root>/<model>/<version>/`` holds the files that its ``MANIFEST.json`` lists, and
``<root>/<model>/aliases.json`` maps an alias such as ``champion`` to a version. What is
read is checked against its sha256 first, and nothing but ONNX, JSON and text is read.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.manifest import CALIBRATION, FORMAT, LABELS, MANIFEST, MODEL, Calibration, Manifest

ALIASES: Final = "aliases.json"
CHAMPION: Final = "champion"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_RESTORE = "restore the folder from where it was published, or point the alias at another version"

T = TypeVar("T")


def default_repository() -> Path:
    """The repository that is shipped with the package."""
    return Path(__file__).resolve().parent / "models"


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
        content = _bytes(self.folder / name)
        if hashlib.sha256(content).hexdigest() != expected:
            raise ModelError(f"{self.folder / name} is not the file that {MANIFEST} lists (sha256 differs): {_RESTORE}")
        return content

    def labels(self) -> dict[str, list[str]]:
        """The labels of each task, in the order of its output's columns."""
        return _decoded(self.folder / LABELS, self.read(LABELS), dict[str, list[str]])

    def calibration(self) -> dict[str, Calibration]:
        """The calibration of each task."""
        return _decoded(self.folder / CALIBRATION, self.read(CALIBRATION), dict[str, Calibration])


def open_version(folder: Path, name: str, version: str) -> ModelVersion:
    """The version in ``folder``, every file of it verified.

    Raises :class:`ModelError`, naming the file and what to do, for anything that is
    missing, truncated, altered, of another model, or in a layout not known here.
    """
    path = folder / MANIFEST
    manifest = _decoded(path, _bytes(path), Manifest)
    if manifest.format != FORMAT:
        raise ModelError(f"{path} has format {manifest.format}, this release reads {FORMAT}: publish the model again")
    if (manifest.name, manifest.version) != (name, version):
        raise ModelError(f"{path} is of {manifest.name}@{manifest.version}, not of {name}@{version}: {_RESTORE}")
    for required in (MODEL, LABELS, CALIBRATION):
        if required not in manifest.files:
            raise ModelError(f"{path} lists no {required}: publish the model again")
    opened = ModelVersion(folder, manifest)
    for file in manifest.files:
        if not _NAME.fullmatch(file):
            raise ModelError(f"{path} lists {file!r}, which is no plain file name: do not use this model")
        opened.read(file)
    return opened


class Repository:
    """A folder of models."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def models(self) -> list[str]:
        """The names of the models, sorted."""
        return _folders(self.root)

    def versions(self, name: str) -> list[str]:
        """The versions of a model, sorted."""
        return _folders(self.folder(name))

    def folder(self, name: str) -> Path:
        """Where a model's versions and aliases lie."""
        return self.root / _plain(name)

    def aliases(self, name: str) -> dict[str, str]:
        """Alias → version; empty for a model without aliases."""
        path = self.folder(name) / ALIASES
        return _decoded(path, _bytes(path), dict[str, str]) if path.exists() else {}

    def resolve(self, reference: str) -> ModelRef:
        """The model and version that ``name@alias``, ``name@version`` or ``name`` (its champion) means now."""
        name, _, wanted = reference.partition("@")
        wanted = wanted or CHAMPION
        folder = self.folder(name)
        if not folder.is_dir():
            known = ", ".join(self.models()) or "none"
            raise ModelError(f"no model {name!r} in {self.root} (there: {known}): set models.repository, or publish it")
        version = self.aliases(name).get(wanted, wanted)
        if not (folder / _plain(version)).is_dir():
            known = ", ".join([*self.aliases(name), *self.versions(name)]) or "none"
            raise ModelError(
                f"{reference!r} means {folder / version}, which is not there (known: {known}): promote one that is"
            )
        return ModelRef(name, version)

    def open(self, reference: str) -> ModelVersion:
        """The verified version that ``reference`` means now; raises as :func:`open_version` does."""
        ref = self.resolve(reference)
        return open_version(self.folder(ref.name) / ref.version, ref.name, ref.version)


def _folders(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name))


def _plain(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ModelError(f"{name!r} is no name of a model, version or alias: letters, digits, '.', '_' and '-' are")
    return name


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): {_RESTORE}") from error


def _decoded(path: Path, content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be used ({error}): {_RESTORE}") from error
