"""The model repository: immutable versions in folders, and aliases that name one of them.

``<root>/<model>/<version>/`` holds the files that its ``MANIFEST.json`` lists, and
``<root>/<model>/aliases.json`` maps an alias such as ``champion`` to a version. What has
no ``MANIFEST.json`` is not there. What is read is checked against its sha256 first, and
nothing but ONNX, JSON and text is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference import aliases as moves
from inference.aliases import ALIASES, Look
from inference.atomic import sync_folder, write_durably
from inference.manifest import MANIFEST, Manifest
from inference.names import is_plain, parse, plain
from inference.staging import locked, put_away, staging
from inference.version import ModelVersion, decode_manifest, open_version, read_bytes


def default_repository() -> Path:
    """The repository that is shipped with the package."""
    return Path(__file__).resolve().parent / "models"


class Repository:
    """Models in a local folder.

    Every reading method raises :class:`ModelError`, which names the place and what to do;
    the writing ones (:meth:`locked`, :meth:`place`, :meth:`write_aliases`) raise
    :class:`OSError` as well.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        #: The place as people write it.
        self.where = str(root)

    def models(self) -> list[str]:
        """The names of the models, sorted."""
        with _readable(self.root):
            return _folders(self.root)

    def versions(self, name: str) -> list[str]:
        """The whole versions of a model, sorted."""
        folder = self.folder(name)
        with _readable(folder):
            return [version for version in _folders(folder) if (folder / version / MANIFEST).exists()]

    def look(self, name: str) -> Look:
        """The aliases of a model now; none for a model without."""
        path = self.folder(name) / ALIASES
        with _readable(path):
            return Look(moves.decode(path, read_bytes(path)) if path.exists() else {})

    def aliases(self, name: str) -> dict[str, str]:
        """The aliases of :meth:`look` alone."""
        return self.look(name).aliases

    def has(self, ref: ModelRef) -> bool:
        """Whether the version is there, whole as far as its manifest tells."""
        path = self.folder(ref.name) / plain(ref.version) / MANIFEST
        with _readable(path):
            return path.exists()

    def manifest(self, ref: ModelRef) -> Manifest:
        """What a version says of itself; its files are not looked at."""
        path = self.folder(ref.name) / plain(ref.version) / MANIFEST
        return decode_manifest(path, read_bytes(path), ref.name, ref.version)

    def resolve(self, reference: str) -> ModelRef:
        """The model and version that ``name@alias``, ``name@version`` or ``name`` (its champion) means now."""
        name, wanted = parse(reference)
        aliases = self.aliases(name)
        ref = ModelRef(name, plain(aliases.get(wanted, wanted)))
        if self.has(ref):
            return ref
        versions = self.versions(name)
        if not aliases and not versions:
            known = ", ".join(self.models()) or "none"
            raise ModelError(
                f"no model {name!r} in {self.where} (there: {known}): set models.repository, or publish it"
            )
        raise ModelError(
            f"{reference!r} means {self.where}/{name}/{ref.version}, which is not there, or not whole: it has no "
            f"{MANIFEST} (known: {', '.join([*aliases, *versions])}): promote one that is"
        )

    def open(self, reference: str) -> ModelVersion:
        """The verified version that ``reference`` means now; raises as :func:`~inference.version.open_version` does."""
        return self.fetch(self.resolve(reference))

    def fetch(self, ref: ModelRef) -> ModelVersion:
        """The verified version, with its files in a local folder."""
        return open_version(self.folder(ref.name) / plain(ref.version), ref.name, ref.version)

    def folder(self, name: str) -> Path:
        """Where a model's versions and aliases lie on this machine."""
        return self.root / plain(name)

    def locked(self, name: str) -> AbstractContextManager[None]:
        """Hold the model: who changes its aliases or versions does so alone."""
        return locked(self.folder(name))

    def staging(self, name: str) -> AbstractContextManager[Path]:
        """A folder to make a version in, which goes unless it was placed."""
        return staging(self.folder(name))

    def place(self, ref: ModelRef, made: Path) -> None:
        """Make the folder ``made`` the version ``ref``, in one step; its files must be on the disk.

        Half a version in its place, one without a manifest, goes. A whole one is never
        replaced. Call it while the model is :meth:`locked`.
        """
        folder = self.folder(ref.name)
        there = folder / plain(ref.version)
        if there.exists() and not self.has(ref):
            put_away(there)
        made.rename(there)
        sync_folder(folder)

    def discard(self, ref: ModelRef) -> None:
        """Take a damaged version out of its place, for :meth:`place`. Call it while the model is :meth:`locked`."""
        there = self.folder(ref.name) / plain(ref.version)
        if there.exists():
            put_away(there)

    def write_aliases(self, name: str, aliases: Mapping[str, str]) -> None:
        """Replace a model's aliases in one step. Call it while the model is :meth:`locked`."""
        folder = self.folder(name)
        with staging(folder) as made:
            write_durably(made / ALIASES, moves.encode(aliases))
            (made / ALIASES).replace(folder / ALIASES)
        sync_folder(folder)


@contextmanager
def _readable(place: Path) -> Iterator[None]:
    """Whether there is something can be asked only by who may look: not by every user of the machine."""
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{place} cannot be read ({error.strerror}): let this user read it, or set models.repository"
        ) from error


def _folders(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and is_plain(entry.name))
