"""A version that is open, loaded, warm and proved: everything the job must know to let it serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from groundswell.errors import ModelError
from groundswell.records import ModelRef
from inference.drift import Coding, sound
from inference.manifest import Manifest, Reference
from inference.rows import Reader
from inference.version import ModelVersion

#: Loads, warms and proves a version; raises :class:`~groundswell.errors.ModelError` where it must not serve.
Load = Callable[[ModelVersion], Reader]


class Loaded:
    """A version with its reader.

    Raises :class:`~groundswell.errors.ModelError` where it does not load, or where its
    manifest has a reference that nothing can be measured against.
    """

    def __init__(self, version: ModelVersion, load: Load) -> None:
        self.ref: Final[ModelRef] = version.ref
        self.manifest: Final[Manifest] = version.manifest
        labels = version.labels()
        #: Task → how its answers are counted; embeddings are not.
        self.codings: Final[Mapping[str, Coding]] = {
            head.task: Coding(head.task, labels.get(head.task, ()))
            for head in version.manifest.heads
            if head.kind == "classes"
        }
        for task, reference in self.references.items():
            if task not in self.codings or not sound(reference, self.codings[task].labels):
                raise ModelError(
                    f"{self.name} must not serve: the reference of its manifest for {task} does not hold shares of its "
                    "labels and of ten bins that sum to 1: publish it again"
                )
        self.reader: Final[Reader] = load(version)

    @property
    def name(self) -> str:
        """``name@version``."""
        return f"{self.ref.name}@{self.ref.version}"

    @property
    def references(self) -> Mapping[str, Reference]:
        """Task → what it said of its validation data, where the manifest tells."""
        return self.manifest.reference

    @property
    def pairs(self) -> bool:
        """Whether it reads pairs of texts."""
        return self.manifest.tokens is not None and self.manifest.tokens.pairs
