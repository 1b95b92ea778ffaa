"""Opening a version to judge it: which one is meant when only a task is named, and the engine around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from groundswell.errors import ModelError
from inference.engine import Engine
from inference.limits import Limits
from inference.manifest import NGRAMS, Manifest
from inference.model import Model
from inference.names import CHAMPION, parse
from inference.repository import Repository
from inference.routing import FixedRouter
from model_export.judgement import Subject


def served_for(repository: Repository, task: str, posts: str) -> str:
    """The reference of the model that answers ``task`` where ``posts`` is the one that reads posts.

    That is ``posts`` itself where it is in the repository and answers the task, otherwise
    :func:`champion_of`. Raises :class:`ModelError` where ``posts`` is there and broken, and as that does.
    """
    there = posts and parse(posts)[0] in repository.models()
    if there and task in _classified(repository.manifest(repository.resolve(posts))):
        return posts
    return champion_of(repository, task)


def champion_of(repository: Repository, task: str) -> str:
    """The reference ``name@champion`` of the model that answers ``task`` with labels.

    Of several, one that reads tokens goes before one that counts n-grams, then one that has
    the name of the task, then the first by name. Raises :class:`ModelError` where no champion does.
    """
    found = []
    tasks: set[str] = set()
    broken = []
    for name in repository.models():
        # A model without a champion, or with a broken one, is not the one that serves.
        try:
            if CHAMPION not in repository.aliases(name):
                continue
            manifest = repository.manifest(repository.resolve(f"{name}@{CHAMPION}"))
        except ModelError as error:
            broken.append(f"; {error}")
            continue
        served = _classified(manifest)
        tasks |= served
        if task in served:
            found.append((manifest.encoder == NGRAMS, name != task, name))
    if not found:
        known = ", ".join(sorted(tasks)) or "none"
        raise ModelError(
            f"no champion in {repository.where} answers the task {task!r} with labels (tasks: {known}){''.join(broken)}"
        )
    return f"{min(found)[-1]}@{CHAMPION}"


@contextmanager
def opened(
    repository: Repository,
    reference: str,
    task: str,
    *,
    provider: str = "cpu",
    precision: str = "auto",
    threads: int = 0,
) -> Iterator[tuple[Subject, Engine]]:
    """A version behind the very engine that the job runs, to answer ``task`` alone.

    Raises :class:`ModelError` where it must not serve, or answers the task without labels.
    """
    version = repository.open(reference)
    served = _classified(version.manifest)
    name = f"{version.ref.name}@{version.ref.version}"
    if task not in served:
        known = ", ".join(sorted(served)) or "no task"
        raise ModelError(f"{name} does not answer the task {task!r} with labels (it answers {known})")
    model = Model(version, tasks=(task,), provider=provider, precision=precision, threads=threads)
    subject = Subject(
        task=task,
        model=name,
        precision=version.graph(precision, provider)[0],
        provider=model.provider,
        labels=tuple(version.labels()[task]),
        pairs=version.manifest.tokens is not None and version.manifest.tokens.pairs,
    )
    # All texts are there at once: there is nobody to wait for.
    with Engine(FixedRouter(model), Limits(linger=0)) as engine:
        yield subject, engine


def _classified(manifest: Manifest) -> set[str]:
    return {head.task for head in manifest.heads if head.kind == "classes"}
