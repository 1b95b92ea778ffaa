"""Publishing: a version appears in the repository whole, proved and on the disk, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from groundswell.errors import ModelError, Unavailable
from groundswell.records import ModelRef
from inference.aliases import PREVIOUS
from inference.atomic import sync_folder, write_durably
from inference.manifest import (
    FORMAT,
    MANIFEST,
    MODEL,
    Golden,
    Head,
    Manifest,
    Precision,
    Reference,
    Source,
    Tensor,
    Tokens,
)
from inference.names import CHAMPION
from inference.promotion import point, require_space
from inference.remote import open_repository
from inference.repository import Repository
from inference.version import content_version, open_version
from model_export.verify import require_good


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is ready to be published: ``files`` by name, and the rest of its manifest.

    ``forced`` is why it is to be champion although it does not beat the one before.
    """

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
    graphs: dict[Precision, str] = msgspec.field(default_factory=lambda: {"fp32": MODEL})
    tokens: Tokens | None = None
    embedding_space: str | None = None
    parity: dict[str, float] = {}
    reference: dict[str, Reference] = {}
    forced: str | None = None

    @property
    def version(self) -> str:
        """Named by content: the same files, read in the same way, give the same version on every machine."""
        return content_version(_hashes(self.files), self)


def publish(
    root: Path | str,
    draft: Draft,
    alias: str = CHAMPION,
    *,
    new_space: bool = False,
    cache: Path | None = None,
) -> ModelRef:
    """Publish ``draft`` below ``root``, a folder or an ``fsspec`` URL, and point ``alias`` at it.

    The version is written beside its place, proved there by the very code that serves
    it, and then put in its place in one step: by a rename, or on an object store by its
    manifest, which is written last. Then the alias flips. A version that is there already
    is verified and kept, and replaced only where it is damaged. ``cache`` is where copies from a URL are kept (see
    :func:`~inference.remote.open_repository`).

    Raises :class:`ModelError` when it does not prove itself, cannot be written, or would
    make a champion whose embeddings cannot be compared with the stored ones (unless
    ``new_space``); what serves is then what served before.
    """
    ref = ModelRef(draft.name, draft.version)
    try:
        repository = open_repository(root, cache)
        parent = repository.aliases(draft.name).get(alias)
        if alias == CHAMPION and parent is not None and not new_space:
            _require_space(repository, ModelRef(draft.name, parent), draft)
        if not is_good(repository, ref):
            _place(repository, ref, draft, parent)
        point(repository, draft.name, alias, draft.version, new_space=new_space)
    except (OSError, Unavailable) as error:
        raise ModelError(f"{draft.name} could not be published in {root}: {error}") from error
    return ref


def restore(root: Path | str, draft: Draft, *, cache: Path | None = None) -> None:
    """Put a version that is lost or damaged back in its place; no alias moves. Raises as :func:`publish`."""
    try:
        repository = open_repository(root, cache)
        _place(repository, ModelRef(draft.name, draft.version), draft, repository.aliases(draft.name).get(PREVIOUS))
    except (OSError, Unavailable) as error:
        raise ModelError(f"{draft.name} could not be restored in {root}: {error}") from error


def is_good(repository: Repository, ref: ModelRef) -> bool:
    """Whether the version is in its place and proves itself."""
    # Not `has`: that is also content with a copy of what is no longer there.
    if ref.version not in repository.versions(ref.name):
        return False
    try:
        require_good(repository.fetch(ref))
    except ModelError:
        return False
    return True


def _require_space(repository: Repository, champion: ModelRef, draft: Draft) -> None:
    if champion.version != draft.version and repository.has(champion):
        require_space(repository, champion, draft.embedding_space, f"{draft.name}@{draft.version}")


def _place(repository: Repository, ref: ModelRef, draft: Draft, parent: str | None) -> None:
    with repository.staging(draft.name) as made:
        for name, content in draft.files.items():
            write_durably(made / name, content)
        write_durably(made / MANIFEST, _manifest(draft, None if parent == ref.version else parent))
        sync_folder(made)
        require_good(open_version(made, ref.name, ref.version))
        with repository.locked(draft.name):
            # Another publisher of the same content may have been quicker.
            if not is_good(repository, ref):
                repository.discard(ref)
                repository.place(ref, made)


def _manifest(draft: Draft, parent: str | None) -> bytes:
    manifest = Manifest(
        format=FORMAT,
        version=draft.version,
        created_at=datetime.now(UTC).replace(microsecond=0),
        parent=parent,
        **{**msgspec.structs.asdict(draft), "files": _hashes(draft.files)},
    )
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
