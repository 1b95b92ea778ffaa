"""What is in a repository: every version with its aliases, its figures and where it comes from."""

from __future__ import annotations

from datetime import datetime

import msgspec

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.manifest import Manifest
from inference.repository import Repository


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One version; ``trouble`` says why it cannot be read, and then the rest is empty."""

    name: str
    version: str
    aliases: tuple[str, ...]
    created_at: datetime | None = None
    tasks: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    metrics: dict[str, dict[str, float]] = {}
    parent: str | None = None
    embedding_space: str | None = None
    licence: str = ""
    forced: str | None = None
    trouble: str | None = None


def list_versions(repository: Repository, name: str | None = None) -> list[Listed]:
    """The versions of one model, or of all, the newest first; an alias to nowhere is listed with its trouble.

    Only manifests are read. Raises :class:`ModelError` where the repository does not answer.
    """
    return [listed for model in ([name] if name else repository.models()) for listed in _of_model(repository, model)]


def _of_model(repository: Repository, name: str) -> list[Listed]:
    aliases = repository.aliases(name)
    there = repository.versions(name)
    lost = sorted(set(aliases.values()) - set(there))
    listed = [_listed(repository, ModelRef(name, version), _names(aliases, version)) for version in there]
    listed.sort(key=lambda each: (each.created_at is None, -each.created_at.timestamp() if each.created_at else 0.0))
    return listed + [
        Listed(name=name, version=version, aliases=_names(aliases, version), trouble="it is not there, or not whole")
        for version in lost
    ]


def _listed(repository: Repository, ref: ModelRef, aliases: tuple[str, ...]) -> Listed:
    try:
        found: Manifest = repository.manifest(ref)
    except ModelError as error:
        return Listed(name=ref.name, version=ref.version, aliases=aliases, trouble=str(error))
    return Listed(
        name=ref.name,
        version=ref.version,
        aliases=aliases,
        created_at=found.created_at,
        tasks=tuple(head.task for head in found.heads),
        precisions=tuple(found.graphs),
        metrics=found.metrics,
        parent=found.parent,
        embedding_space=found.embedding_space,
        licence=found.licence,
        forced=found.forced,
    )


def _names(aliases: dict[str, str], version: str) -> tuple[str, ...]:
    return tuple(sorted(alias for alias, meant in aliases.items() if meant == version))
