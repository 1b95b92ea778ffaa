"""How probably texts are about plain labels, by the evidence model: the label's direction and its words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import log
from typing import Final

from msgspec.structs import replace

from groundswell.topics import Topic
from inference.evidence_model import EvidenceModel
from operators import hashtags
from operators.topics.description import Embed, describe_label
from operators.topics.evidence import Floats, form_of
from operators.topics.score import TopicScorer

_AT: Final = datetime(1970, 1, 1, tzinfo=UTC)


class PlainLabels:
    """Labels, each a topic of its own, and as probable as not before a text is read.

    ``embed`` gives vectors of ``space``. Raises what ``embed`` raises.
    """

    def __init__(self, labels: Sequence[str], embed: Embed, space: str, model: EvidenceModel) -> None:
        self._embed = embed
        self._scorer = TopicScorer([_topic(label, embed, space, model) for label in labels], model)

    def score(self, texts: Sequence[str]) -> tuple[Floats, list[bool]]:
        """Calibrated probabilities ``[texts, labels]``, and whether each text could be read."""
        vectors = self._embed(texts)
        tags = [hashtags.extract(text) for text in texts]
        return self._scorer.score(texts, vectors, tags), [vector is not None for vector in vectors]


def _topic(label: str, embed: Embed, space: str, model: EvidenceModel) -> Topic:
    topic = describe_label(tag_of(label), label, embed, space, _AT, model)
    share = model.forms[form_of(topic)].share
    return replace(topic, shift=-log(share / (1 - share)))


def tag_of(label: str) -> str:
    """The tag that a label would be.

    >>> tag_of("Pray for Oklahoma")
    'prayforoklahoma'
    """
    joined = "".join(label.split()).lstrip("#＃")
    return next(iter(hashtags.normalise([joined])), label)
