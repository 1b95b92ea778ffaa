"""A model repository at a URL, read through verified copies on this machine.

The cache is a repository itself, in a folder of its own for each URL. A version is copied
beside its place, every file of it verified, and then renamed; a copy is verified again
whenever it is opened, and fetched anew when it is damaged. Aliases are read fresh, and
the last known ones stand in while the place does not answer.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from groundswell.errors import ModelError, Unavailable
from groundswell.records import ModelRef
from inference import aliases as moves
from inference.aliases import ALIASES, Look
from inference.lease import PATIENCE, Lease
from inference.manifest import MANIFEST, Manifest
from inference.names import is_plain, plain
from inference.objects import Objects
from inference.repository import Repository, default_repository
from inference.staging import locked, put_away
from inference.version import RESTORE, ModelVersion, decode_manifest, open_version, sha256

#: Versions that no alias names and that the cache keeps all the same: the ones used last.
KEPT: Final = 2
#: The lease on a model; no version can have this name.
_LEASE: Final = ".publishing"

_LOG = logging.getLogger("groundswell.models")


class RemoteRepository(Repository):
    """Models below ``url``, with verified copies below ``cache``; processes may share the cache.

    Without ``cache`` the copies go with this object.

    Reading methods raise :class:`ModelError` where neither the place nor the cache can
    answer; writing ones raise :class:`Unavailable` where the place does not. Only one
    writer per model is at work at a time, by a lease (see :mod:`inference.lease`) for
    which others wait up to ``patience`` seconds.
    """

    def __init__(self, url: str, cache: Path | None = None, *, patience: float = PATIENCE) -> None:
        self._objects = Objects(url)
        if cache is None:
            cache = Path(tempfile.mkdtemp(prefix="groundswell-models-"))
            weakref.finalize(self, shutil.rmtree, cache, ignore_errors=True)
        super().__init__(cache / hashlib.sha256(self._objects.url.encode()).hexdigest()[:16])
        self.where = self._objects.url
        self._patience = patience
        self._leases: dict[str, Lease] = {}
        self._known: dict[str, dict[str, str]] = {}
        self._silent = False

    def models(self) -> list[str]:
        """The names of the models; those of the cache while the place does not answer."""
        try:
            return [name for name in self._objects.folders() if is_plain(name)]
        except Unavailable:
            return super().models()

    def versions(self, name: str) -> list[str]:
        """The whole versions of a model; those in the cache while the place does not answer."""
        try:
            return [
                version
                for version in self._objects.folders(plain(name))
                if is_plain(version) and self._objects.has(f"{name}/{version}/{MANIFEST}")
            ]
        except Unavailable:
            return super().versions(name)

    def look(self, name: str) -> Look:
        """The aliases of a model now, or the last known ones, and why."""
        path = f"{plain(name)}/{ALIASES}"
        try:
            aliases = moves.decode(f"{self.where}/{path}", self._objects.read(path))
        except FileNotFoundError:
            # A model never loses its aliases by publishing: it is the place that is gone, as when a mount is lost.
            gone = ModelError(f"there is no {self.where}/{path} any more")
            return Look(self._last_known(name, gone), str(gone)) if self._remembered(name) else Look({})
        except (Unavailable, ModelError) as error:
            return Look(self._last_known(name, error), str(error))
        self._remember(name, aliases)
        return Look(aliases)

    def has(self, ref: ModelRef) -> bool:
        """Whether the version is there whole, or in the cache."""
        try:
            return super().has(ref) or self._objects.has(f"{ref.name}/{ref.version}/{MANIFEST}")
        except Unavailable as error:
            raise ModelError(f"{ref.name}@{ref.version} is not in the cache, and {error}") from error

    def manifest(self, ref: ModelRef) -> Manifest:
        """What a version says of itself."""
        return super().manifest(ref) if super().has(ref) else self._remote_manifest(ref)[0]

    def fetch(self, ref: ModelRef) -> ModelVersion:
        """The verified version, from the cache or copied there; processes that want the same one wait for the first."""
        there = self.folder(ref.name) / plain(ref.version)
        try:
            with locked(self.folder(ref.name)):
                if there.exists():
                    try:
                        version = open_version(there, ref.name, ref.version)
                    except ModelError as error:
                        _LOG.warning("the copy of %s@%s is damaged, so it is fetched again: %s", *_both(ref), error)
                    else:
                        os.utime(there)
                        return version
                version = self._fetched(ref, there)
                self._prune(ref)
                return version
        except OSError as error:
            raise ModelError(
                f"{ref.name}@{ref.version} cannot be kept in the cache {self.root} ({error}): "
                "make room there, or set models.cache to another folder"
            ) from error

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the model, for all publishers to this place; raises :class:`Unavailable`."""
        lease = Lease(self._objects, f"{plain(name)}/{_LEASE}", patience=self._patience)
        self._leases[name] = lease
        try:
            yield
        finally:
            del self._leases[name]
            try:
                lease.release()
            except Unavailable as error:
                _LOG.warning("the lease on %s runs out by itself, it could not be given back: %s", name, error)

    def place(self, ref: ModelRef, made: Path) -> None:
        """Upload the files of ``made``, read each back, and then make them a version by writing the manifest.

        Where another one has written the manifest meanwhile, its version is verified and kept.
        Call it while the model is :meth:`locked`.
        """
        lease = self._leases[ref.name]
        version = f"{ref.name}/{plain(ref.version)}"
        with self.staging(ref.name) as scratch:
            back = scratch / "back"
            for file in sorted(made.iterdir()):
                if file.name != MANIFEST:
                    lease.keep()
                    self._objects.upload(f"{version}/{file.name}", file)
                    self._objects.fetch(f"{version}/{file.name}", back)
                    if sha256(back) != sha256(file):
                        raise Unavailable(self.where, f"{version}/{file.name} is not what was written to it")
        lease.renew()
        try:
            self._objects.create(f"{version}/{MANIFEST}", (made / MANIFEST).read_bytes())
        except FileExistsError:
            self.fetch(ref)

    def discard(self, ref: ModelRef) -> None:
        """Take a damaged version out of its place, and out of the cache. Call it while the model is :meth:`locked`."""
        self._leases[ref.name].renew()
        with suppress(FileNotFoundError):
            self._objects.remove(f"{ref.name}/{plain(ref.version)}/{MANIFEST}")
        with locked(self.folder(ref.name)):
            super().discard(ref)

    def write_aliases(self, name: str, aliases: Mapping[str, str]) -> None:
        """Replace a model's aliases in one step. Call it while the model is :meth:`locked`."""
        self._leases[name].renew()
        self._objects.write(f"{plain(name)}/{ALIASES}", moves.encode(aliases))
        self._remember(name, dict(aliases))

    def _fetched(self, ref: ModelRef, there: Path) -> ModelVersion:
        try:
            try:
                return self._copied(ref, there)
            except ModelError as error:
                _LOG.warning("%s@%s came damaged and is fetched once more: %s", *_both(ref), error)
            return self._copied(ref, there)
        except (Unavailable, ModelError) as error:
            raise ModelError(f"{ref.name}@{ref.version} cannot be fetched: {error}") from error

    def _copied(self, ref: ModelRef, there: Path) -> ModelVersion:
        with self.staging(ref.name) as made:
            manifest, content = self._remote_manifest(ref)
            for name in manifest.files:
                try:
                    self._objects.fetch(f"{ref.name}/{ref.version}/{name}", made / name)
                except FileNotFoundError as error:
                    raise ModelError(f"{self.where}/{ref.name}/{ref.version} has no {name}: {RESTORE}") from error
            # Nothing is forced to the disk: a copy that a power cut damages is found so, and fetched again.
            (made / MANIFEST).write_bytes(content)
            open_version(made, ref.name, ref.version)
            if there.exists():
                put_away(there)
            made.rename(there)
        return ModelVersion(there, manifest)

    def _remote_manifest(self, ref: ModelRef) -> tuple[Manifest, bytes]:
        path = f"{ref.name}/{plain(ref.version)}/{MANIFEST}"
        try:
            content = self._objects.read(path)
        except FileNotFoundError as error:
            raise ModelError(f"there is no {self.where}/{path}: {RESTORE}") from error
        return decode_manifest(f"{self.where}/{path}", content, ref.name, ref.version), content

    def _last_known(self, name: str, error: Exception) -> dict[str, str]:
        known = self._remembered(name)
        if not known:
            raise ModelError(f"no aliases of {name} are known, not even from before: {error}") from error
        if not self._silent:
            self._silent = True
            _LOG.warning("the last known aliases of %s go on: %s", name, error)
        return known

    def _remembered(self, name: str) -> dict[str, str]:
        return self._known.get(name) or super().look(name).aliases

    def _remember(self, name: str, aliases: dict[str, str]) -> None:
        if self._silent:
            self._silent = False
            _LOG.info("%s answers again", self.where)
        known = self._known.get(name, {})
        self._known[name] = aliases
        if aliases != known:
            try:
                super().write_aliases(name, aliases)
            except OSError as error:
                _LOG.warning("the aliases of %s are not in the cache for the next start: %s", name, error)

    def _prune(self, used: ModelRef) -> None:
        """Remove copies that no alias names, but for the :data:`KEPT` that were used last."""
        folder = self.folder(used.name)
        named = {used.version, *self._known.get(used.name, {}).values()}
        others = [folder / version for version in _copies(folder) if version not in named]
        for old in sorted(others, key=lambda copy: copy.stat().st_mtime, reverse=True)[KEPT:]:
            put_away(old)


def open_repository(root: Path | str, cache: Path | None = None) -> Repository:
    """The repository at a folder, or at an ``fsspec`` URL through verified copies in ``cache``.

    An empty ``root`` is the repository that is shipped, and ``file://`` a folder like any
    other. Without ``cache`` the copies go with the repository. Raises :class:`ModelError`
    for a URL that nothing here can read.
    """
    place = str(root)
    if place.startswith("file://"):
        return Repository(Path(place.removeprefix("file://")))
    if "://" in place:
        return RemoteRepository(place, cache)
    return Repository(Path(place) if place else default_repository())


def _copies(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.is_dir() and is_plain(entry.name)]


def _both(ref: ModelRef) -> tuple[str, str]:
    return ref.name, ref.version
