"""The servers' files from Maven Central, in a cache outside the tree.

A part of the cache is made aside and renamed into place when it is whole. It carries the
size and sha256 of each of its files, which are checked at every use; what fails the check
is fetched again. A part that passes costs no call of ``mvn`` and no network.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.stack import debian
from tests.stack.errors import StackError

KAFKA_VERSION = "4.1.1"
ELASTICSEARCH_VERSION = "9.2.0"
_ELASTICSEARCH_SHA256 = "bf44938a0490ba2a303d39c9cb64b38963dd08c812ce93e10816e878585bcb6b"
_COPY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_POM = Path(__file__).parent / "settings" / "kafka-pom.xml"
_MANIFEST = "MANIFEST.json"


def cache_dir() -> Path:
    """``$GROUNDSWELL_CACHE``, by default ``~/.cache/groundswell``."""
    return Path(os.environ.get("GROUNDSWELL_CACHE") or "~/.cache/groundswell").expanduser()


def kafka_jars() -> Path:
    """The folder of the broker's jars."""

    def fetch(folder: Path) -> None:
        _mvn("-f", str(_POM), "--strict-checksums", f"{_COPY_PLUGIN}:copy-dependencies", f"-DoutputDirectory={folder}")

    return cached(f"kafka-{KAFKA_VERSION}", fetch)


def elasticsearch_zip() -> Path:
    """Elasticsearch's integration-test distribution, packed; its sha256 is pinned here."""
    name = f"elasticsearch-{ELASTICSEARCH_VERSION}.zip"

    def fetch(folder: Path) -> None:
        artifact = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{ELASTICSEARCH_VERSION}:zip"
        _mvn(f"{_COPY_PLUGIN}:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}")
        if _sha256(folder / name) != _ELASTICSEARCH_SHA256:
            raise StackError(f"{name} is not the file that was pinned; remove it from ~/.m2/repository and try again")

    return cached(f"elasticsearch-{ELASTICSEARCH_VERSION}", fetch) / name


def cached(part: str, fetch: Callable[[Path], None]) -> Path:
    """The folder ``part`` of the cache; ``fetch(folder)`` fills an empty folder when it is missing or damaged."""
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / part
    with (cache / f"{part}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _whole(folder):
            return folder
        print(f"fetching {part} into the cache", file=sys.stderr)
        aside = Path(tempfile.mkdtemp(prefix=f"{part}.", dir=cache))
        try:
            fetch(aside)
            _seal(aside)
            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder


def _seal(folder: Path) -> None:
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    (folder / _MANIFEST).write_text(json.dumps(files, indent=1))


def _whole(folder: Path) -> bool:
    manifest = folder / _MANIFEST
    if not manifest.is_file():
        return False
    files: dict[str, str] = json.loads(manifest.read_text())
    return all((folder / name).is_file() and _sha256(folder / name) == digest for name, digest in files.items())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mvn(*arguments: str) -> None:
    if shutil.which("mvn") is None and not debian.install("maven"):
        raise StackError("mvn is missing: install Apache Maven (Debian: apt-get install maven)")
    with tempfile.TemporaryDirectory() as neutral:
        done = subprocess.run(["mvn", "-B", "-q", *arguments], cwd=neutral, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise StackError(f"mvn could not fetch from Maven Central: {errors[0] if errors else done.stderr.strip()}")
