"""Zero-shot for people: labels that no head was trained for, by what the repository holds.

::

    labels ──┬─ a cross-encoder: does the text entail "This text is about <label>."?
             └─ embeddings ─┬─ labels that compete: the nearest direction
                            └─ each for itself: the evidence of its direction and its words
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, NamedTuple

from dataflows import models
from dataflows.topics import open_evidence
from groundswell.errors import ModelError
from groundswell.records import Scores
from groundswell.settings import Settings
from inference.heads import named
from inference.rows import RowError
from inference.tasks import EMBEDDING
from inference.zero_shot import SENTENCE, by_embedding, directions
from operators.topics.plain_label import PlainLabels

Way = Literal["entailment", "embedding"]
#: Scores of texts, one answer each.
Ask = Callable[[Sequence[str]], Sequence[Scores | RowError]]


class Classifier(NamedTuple):
    """``ask`` scores texts by ``way``, with the versions ``models``."""

    way: Way
    models: tuple[str, ...]
    ask: Ask


@contextmanager
def open_classifier(
    settings: Settings, labels: Sequence[str], *, way: Way | None = None, several: bool = False
) -> Iterator[Classifier]:
    """What scores texts for distinct labels; ``way`` is by entailment where that can be, unless it is given.

    Of labels that compete the probabilities sum to 1. One label alone, and each of ``several``
    that may be right together, has the probability that it is right rather than wrong.
    Raises :class:`~groundswell.errors.ModelError` where the repository lacks what is needed.
    """
    apart = several or len(labels) == 1
    chosen = way or ("entailment" if models.cross_encoder(settings) else "embedding")
    if chosen == "entailment":
        reader = models.open_cross_encoder(settings)
        if reader is None:
            raise ModelError(_no_cross_encoder(settings))
        judge = partial(
            reader.labelled,
            labels={label: label for label in labels},
            sentence=settings.reclassify.template,
            several=apart,
        )
        with reader:
            yield Classifier("entailment", reader.serving(), judge)
        return
    space = models.embedding_space(settings)
    evidence = open_evidence(settings) if apart else None
    if evidence is not None and evidence.space != space:
        raise ModelError(
            f"{evidence.name} weighs vectors of the space {evidence.space}, and models.posts gives {space}: fit it "
            "again (groundswell models evidence), or give several labels that compete"
        )
    model = models.open_model(settings, [EMBEDDING])
    assert model is not None  # noqa: S101 - models that are turned off have no space
    with model:
        if evidence is None:
            described = {label: [label] for label in labels}
            found = directions(lambda texts, _: model.embed([str(text) for text in texts]), described, SENTENCE)
            yield Classifier("embedding", model.serving(), lambda texts: by_embedding(model.embed(texts), found))
            return
        plain = PlainLabels(labels, model.vectors, space, evidence)

        def ask(texts: Sequence[str]) -> list[Scores | RowError]:
            scores, readable = plain.score(texts)
            unread = RowError("unreadable", "the model gives it no embedding")
            return [each if read else unread for each, read in zip(named(labels, scores), readable, strict=True)]

        yield Classifier("embedding", (*model.serving(), evidence.name), ask)


def _no_cross_encoder(settings: Settings) -> str:
    reference = settings.reclassify.cross_encoder
    missing = (
        f"the repository holds no model {reference.partition('@')[0]}" if reference else "there is no model for it"
    )
    return (
        f"labels are judged by entailment with a cross-encoder, and {missing}: publish one, set "
        "reclassify.cross_encoder to one that is there (groundswell models list), or take --by embedding"
    )
