"""Find a Java runtime that is new enough, and readable by the user who will run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.stack import debian
from tests.stack.errors import StackError

_FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/opt/jdk*",
    "/usr/local/opt/openjdk*",
    "/opt/homebrew/opt/openjdk*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "~/.sdkman/candidates/java/*",
    "~/.jdks/*",
)
_DEBIAN_VERSIONS = (17, 21, 25)


def find_java(needs: int, *, variable: str = "JAVA_HOME", for_everyone: bool = False) -> Path:
    """The home of a Java runtime of version ``needs`` or later.

    The environment variables ``variable`` and ``JAVA_HOME`` go first, then the oldest of
    those found on ``PATH`` and in the usual folders. ``for_everyone`` wants one that any
    user can run. Raises :class:`StackError` when there is none and none can be installed.
    """
    for attempt in range(2):
        for home in _named(variable):
            if _suits(home, needs, for_everyone):
                return home
        suitable = [home for home in _installed() if _suits(home, needs, for_everyone)]
        if suitable:
            return min(suitable, key=_version)
        if attempt or not _install(needs):
            break
    raise StackError(f"Java {needs} or later is missing: install a JDK and set {variable} to its folder")


def _install(needs: int) -> bool:
    return any(debian.install(f"openjdk-{version}-jre-headless") for version in _DEBIAN_VERSIONS if version >= needs)


def _named(variable: str) -> Iterator[Path]:
    for name in dict.fromkeys((variable, "JAVA_HOME")):
        if value := os.environ.get(name):
            yield Path(value)


def _installed() -> Iterator[Path]:
    if on_path := shutil.which("java"):
        yield Path(on_path).resolve().parent.parent
    for pattern in _FOLDERS:
        path = Path(pattern).expanduser()
        yield from sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _suits(home: Path, needs: int, for_everyone: bool) -> bool:
    return _version(home) >= needs and (not for_everyone or _runs_for_everyone(home / "bin" / "java"))


def _version(home: Path) -> int:
    """The feature version, for example 21; 0 when there is no working Java."""
    java = home / "bin" / "java"
    if not os.access(java, os.X_OK):
        return 0
    release = home / "release"
    text = release.read_text(errors="replace") if release.is_file() else ""
    found = re.search(r'JAVA_VERSION="(?:1\.)?(\d+)', text)
    if not found:
        shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        found = re.search(r'version "(?:1\.)?(\d+)', shown)
    return int(found[1]) if found else 0


def _runs_for_everyone(executable: Path) -> bool:
    path = executable.resolve()
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))
