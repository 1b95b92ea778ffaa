"""Publishing: a version appears in the repository whole, proved and on the disk, or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.atomic import replace_durably, sync_folder, write_durably
from inference.manifest import FORMAT, MANIFEST, Golden, Head, Manifest, Source, Tensor
from inference.model import Model
from inference.repository import ALIASES, CHAMPION, Repository, open_version

#: The model card; it tells about the version and is no part of its identity.
CARD: Final = "README.md"

_STAGING = ".staging-"


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is ready to be published: ``files`` by name, and the rest of its manifest."""

    name: str
    files: Mapping[str, bytes]
    encoder: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    heads: tuple[Head, ...]
    tools: dict[str, str]
    metrics: dict[str, dict[str, float]]
    data: tuple[Source, ...]
    golden: tuple[Golden, ...]
    tolerance: float
    licence: str

    @property
    def version(self) -> str:
        """Named by content: the same files give the same version on every machine."""
        whole = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            if name != CARD:
                whole.update(f"{name}\x00{hashlib.sha256(content).hexdigest()}\x00".encode())
        return whole.hexdigest()[:12]


def publish(root: Path, draft: Draft, alias: str = CHAMPION) -> ModelRef:
    """Publish ``draft`` below ``root`` and point ``alias`` at it.

    The version is written beside its place, proved there by the very code that serves
    it, and renamed; then the alias flips. A version that is there already is verified
    and kept. Publishers of one model wait for each other.

    Raises :class:`ModelError` when it does not prove itself or cannot be written; the
    repository is then as it was.
    """
    folder = Repository(root).folder(draft.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _sweep(folder)
            place = folder / draft.version
            if place.exists():
                _prove(place, draft)
            else:
                _place(folder, place, draft, Repository(root).aliases(draft.name).get(alias))
            point(root, draft.name, alias, draft.version)
    except OSError as error:
        raise ModelError(f"{draft.name} could not be published in {root}: {error}") from error
    return ModelRef(draft.name, draft.version)


def point(root: Path, name: str, alias: str, version: str) -> None:
    """Let ``alias`` mean ``version`` from now on, in one step; raises :class:`OSError`."""
    repository = Repository(root)
    aliases = repository.aliases(name)
    if aliases.get(alias) != version:
        content = msgspec.json.format(msgspec.json.encode({**aliases, alias: version}, order="sorted"))
        replace_durably(repository.folder(name) / ALIASES, content + b"\n")


def _place(folder: Path, place: Path, draft: Draft, parent: str | None) -> None:
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    try:
        for name, content in draft.files.items():
            write_durably(staging / name, content)
        write_durably(staging / MANIFEST, _manifest(draft, parent))
        sync_folder(staging)
        staging.chmod(0o755)
        _prove(staging, draft)
        staging.rename(place)
        sync_folder(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _manifest(draft: Draft, parent: str | None) -> bytes:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in draft.files.items()}
    manifest = Manifest(
        format=FORMAT,
        version=draft.version,
        created_at=datetime.now(UTC).replace(microsecond=0),
        parent=parent,
        **{**msgspec.structs.asdict(draft), "files": hashes},
    )
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"


def _prove(folder: Path, draft: Draft) -> None:
    Model(open_version(folder, draft.name, draft.version), [head.task for head in draft.heads], threads=1)


def _sweep(folder: Path) -> None:
    """Remove what a publisher that was killed left behind; whoever holds the lock is the only one at work."""
    for left in folder.glob(f"{_STAGING}*"):
        shutil.rmtree(left)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
