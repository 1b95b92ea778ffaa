"""Objects below a URL, read and written through ``fsspec``: a bucket, or whatever else it knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from groundswell.errors import ModelError, Unavailable

T = TypeVar("T")


class Objects:
    """Files below ``url``, named by their path in it, as they are now: nothing is remembered between calls.

    Every method raises :class:`Unavailable` where the place does not answer, or refuses.
    Credentials, endpoints and time limits come from where the library of the protocol
    takes them (environment, its own files). Raises :class:`ModelError` when no library
    for the URL is installed.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # only who has a remote repository pays for it

        self.url: Final = url.rstrip("/")
        try:
            self._files, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise ModelError(f"{url} needs another package: {error}") from error
        except ValueError as error:
            raise ModelError(
                f"{url} is no place for models ({error}): use s3://, gs:// or another fsspec URL"
            ) from error
        self._root: Final = str(root).rstrip("/")

    def read(self, path: str) -> bytes:
        """An object's content; raises :class:`FileNotFoundError`."""
        return bytes(self._ask(lambda: self._files.cat_file(self._at(path))))

    def fetch(self, path: str, to: Path) -> None:
        """Copy an object into a file; raises :class:`FileNotFoundError`."""
        self._ask(lambda: self._files.get_file(self._at(path), str(to)))

    def write(self, path: str, content: bytes) -> None:
        """Write an object, or replace it."""
        self._written(path, lambda: self._files.pipe_file(self._at(path), content))

    def create(self, path: str, content: bytes) -> None:
        """Write an object where there is none; raises :class:`FileExistsError` where there is one.

        It is one step on stores with conditional writes (S3, Google Cloud Storage); on others two
        who create at the same instant may both succeed.
        """
        self._written(path, lambda: self._files.pipe_file(self._at(path), content, mode="create"))

    def upload(self, path: str, file: Path) -> None:
        """Write a file's content as an object, or replace it."""
        self._written(path, lambda: self._files.put_file(str(file), self._at(path)))

    def remove(self, path: str) -> None:
        """Remove an object; raises :class:`FileNotFoundError`."""
        self._ask(lambda: self._files.rm_file(self._at(path)))

    def has(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            return bool(self._ask(lambda: self._files.info(self._at(path)))["type"] == "file")
        except FileNotFoundError:
            return False

    def folders(self, path: str = "") -> list[str]:
        """The names of the folders right below ``path``; none where there is nothing."""
        try:
            found = self._ask(lambda: self._files.ls(self._at(path), detail=True))
        except FileNotFoundError:
            return []
        return sorted({_last(each["name"]) for each in found if each["type"] == "directory"})

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _written(self, path: str, write: Callable[[], Any]) -> None:
        try:
            self._ask(write)
        except FileNotFoundError as error:
            # A bucket needs no folders, and must not be made by the way; another file system does.
            if not self._ask(lambda: self._files.isdir(self._root)):
                raise Unavailable(self.url, "there is no such place: make it first") from error
            self._ask(lambda: self._files.makedirs(self._at(path).rpartition("/")[0], exist_ok=True))
            self._ask(write)

    def _ask(self, call: Callable[[], T]) -> T:
        # Each library raises errors of its own when its service fails: here they become one.
        try:
            return call()
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise Unavailable(self.url, reason[:300]) from error


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
