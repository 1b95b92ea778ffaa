"""Engines over what tests publish."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.engine import Engine
from inference.limits import Limits
from inference.model import Model
from inference.repository import Repository
from inference.routing import FixedRouter


@contextmanager
def open_engine(root: Path, reference: str, limits: Limits | None = None) -> Iterator[Engine]:
    """An engine that serves one version of a local repository, closed at the end."""
    reader = Model(Repository(root).open(reference), threads=1)
    with Engine(FixedRouter(reader), limits) as engine:
        yield engine
