"""An object store for tests that fails on demand."""

from __future__ import annotations

from typing import Any, ClassVar

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

#: The protocol of :class:`FaultyStore`.
FAULTY = "faulty"


class FaultyStore(MemoryFileSystem):  # type: ignore[misc]
    """An object store in memory, shared by the whole process, whose ways to fail a test switches on."""

    protocol = FAULTY
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    #: It answers nothing.
    silent: ClassVar[bool] = False
    #: Each path is given half as many times as it is here.
    short: ClassVar[dict[str, int]] = {}
    #: Paths that were read, in order.
    reads: ClassVar[list[str]] = []
    #: Every write beyond this many fails; None means none does.
    writes_left: ClassVar[int | None] = None

    @classmethod
    def reset(cls) -> None:
        """Empty and sound."""
        cls.store.clear()
        cls.pseudo_dirs[:] = [""]
        cls.silent, cls.short, cls.reads, cls.writes_left = False, {}, [], None

    @classmethod
    def put(cls, path: str, content: bytes) -> None:
        """Write behind everybody's back."""
        cls().pipe_file(path, content)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(path.removeprefix(f"{FAULTY}://") if isinstance(path, str) else path)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        self._answer()
        if "r" not in mode:
            left = type(self).writes_left
            if left == 0:
                raise PermissionError("no more writes")
            type(self).writes_left = None if left is None else left - 1
            return super()._open(path, mode, **options)
        type(self).reads.append(path)
        file = super()._open(path, mode, **options)
        if self.short.get(path, 0) > 0:
            self.short[path] -= 1
            return MemoryFile(self, path, file.getvalue()[: file.size // 2])
        return file

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> Any:
        return AbstractFileSystem.cat_file(self, path, start, end, **options)

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        self._answer()
        return super().ls(path, detail, **options)

    def info(self, path: str, **options: Any) -> Any:
        self._answer()
        return super().info(path, **options)

    def _answer(self) -> None:
        if type(self).silent:
            raise ConnectionError("nobody answers")


fsspec.register_implementation(FAULTY, FaultyStore, clobber=True)
