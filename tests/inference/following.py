"""Routers over what tests publish, and what is seen of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from groundswell.metrics import REGISTRY
from groundswell.records import Analysis
from inference.aliases import ALIASES
from inference.champion_router import ChampionRouter
from inference.loaded import Load
from inference.promotion import point
from inference.repository import Repository
from inference.rows import RowError
from inference.version import ModelVersion
from model_export.publish import publish
from tests.inference.judged import TASK, load, read
from tests.inference.tiny import NAME, tiny_draft

SERVE = {TASK: f"{NAME}@champion"}
BIAS = (0.0, 0.5, 0.0)
OTHER = (1.0, 0.0, 0.0)
THIRD = (0.0, 0.0, 1.0)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class CountedLoads:
    """Loads as the job does, and tells what it loaded."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def __call__(self, version: ModelVersion) -> Any:
        self.loaded.append(version.ref.version)
        return load(version)


@contextmanager
def following(
    root: Path | Repository, serve: dict[str, str] | None = None, load: Load = load, **options: Any
) -> Iterator[ChampionRouter]:
    """A router over a repository, closed at the end."""
    repository = root if isinstance(root, Repository) else Repository(root)
    router = ChampionRouter(repository, serve or SERVE, load, **options)
    try:
        yield router
    finally:
        router.close()


def beside(root: Path, bias: tuple[float, ...] = OTHER, alias: str = "next", **changes: Any) -> Path:
    """Another version, which is not the champion; its folder."""
    ref = publish(root, tiny_draft(bias=bias, **changes), alias)
    return root / ref.name / ref.version


def promote(root: Path, version: str, name: str = NAME) -> None:
    """The version becomes the champion."""
    point(Repository(root), name, "champion", version, new_space=True)


def set_aliases(root: Path, content: bytes, name: str = NAME) -> None:
    """The file as someone's own tool may write it."""
    (root / name / ALIASES).write_bytes(content)


def serves(router: ChampionRouter) -> str:
    """The version of the champion."""
    return router.serving()[TASK].version


def metric(name: str, **labels: str) -> float:
    """A metric of the tiny model, 0 where there is none."""
    return REGISTRY.get_sample_value(f"groundswell_{name}", {"model": NAME, **labels}) or 0


def counted(name: str) -> Callable[[], float]:
    """What a counter gains from now on."""
    before = metric(name)
    return lambda: metric(name) - before


def refusals() -> dict[str, float]:
    """Refusals of the tiny model by cause."""
    return {
        sample.labels["cause"]: sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "groundswell_model_refusals_total" and sample.labels["model"] == NAME
    }


def gained(before: dict[str, float]) -> dict[str, float]:
    """Refusals by cause since ``before``."""
    return {cause: count - before.get(cause, 0) for cause, count in refusals().items() if count != before.get(cause, 0)}


def ask(router: ChampionRouter, texts: Sequence[str], size: int = 50) -> list[Analysis | RowError]:
    """Submit texts as the engine does, without a device thread."""
    answers: dict[int, Analysis | RowError] = {}
    for start in range(0, len(texts), size):
        part = texts[start : start + size]
        for share in router.route(part, [TASK]):
            found = read(share.reader, [part[position] for position in share.positions])
            router.observe(share, [TASK], found)
            if not share.shadow:
                for position, answer in zip(share.positions, found, strict=True):
                    assert answers.setdefault(start + position, answer) is answer, "served twice"
    return [answers[position] for position in range(len(texts))]
