"""A topic learns from the documents: how frequent it is among them, and how those speak that never had the tag.

The posts of a tag say what it means, but not in all the words that others use for it, and
they do not say how many others there are. Both can be told from unlabelled documents:

- the share of documents about the topic is the one at which the calibrated probabilities
  average to itself (Saerens, Latinne and Decaestecker, "Adjusting the Outputs of a
  Classifier to New a Priori Probabilities", Neural Computation 14(1), 2002);
- where it is frequent, the documents that are about it almost for certain stand for its posts
  from then on, and where it is rare, its centre moves away from what is near it and not about
  it: both are relevance feedback without a judge (Rocchio, "Relevance Feedback in Information
  Retrieval", in The SMART Retrieval System, 1971).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from math import log
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from groundswell.topics import Topic
from inference.evidence_model import EvidenceModel, probabilities
from operators.distinctive_words import distinct
from operators.topics.description import as_bytes, mean_direction, vocabulary_of
from operators.topics.evidence import Floats, form_of, tokens, unit_rows, unit_vector
from operators.topics.score import TopicScorer
from operators.topics.verdict import logits

#: The share of all documents about a topic that are so almost for certain: those with the highest probabilities.
CERTAIN: Final = 0.5
#: Most and fewest of them that stand for its posts; with fewer the topic stays as it is.
MOST: Final = 2_000
FEWEST: Final = 30
#: Where a smaller share of the documents is about the topic, too many of those that seem to be are about something like
#: it, and it would drift there.
LEAST_LEARNT: Final = 0.15
#: There the topic is set apart from so many documents that are nearest to it, by this part of its length.
NEAR: Final = 2_000
APART: Final = 0.7
#: Shares of documents are looked for between this and one less it.
LEAST_SHARE: Final = 1e-5
_ROUNDS: Final = 200
_CLOSE: Final = 1e-7


class Documents(NamedTuple):
    """Documents to learn from, in parallel, and how many they were found among: the rest count as not about it."""

    texts: Sequence[str]
    vectors: Sequence[bytes | None]
    hashtags: Sequence[Sequence[str]]
    among: int


def refine(topic: Topic, documents: Documents, model: EvidenceModel, at: datetime) -> Topic:
    """The topic as ``documents`` show it, made at ``at``; it supersedes ``topic``.

    The nearest documents do, or all of them. Raises :class:`~groundswell.errors.ModelError`
    where the model is of another release.
    """
    shift, scores = _fitted(topic, documents, model)
    expected = float(scores.sum())
    most = min(MOST, int(expected * CERTAIN))
    if expected < LEAST_LEARNT * documents.among:
        refined = _set_apart(topic, documents, scores)
    elif most >= FEWEST:
        refined = _learnt(topic, documents, np.argsort(-scores, kind="stable")[:most].tolist(), model)
    else:
        refined = topic
    if refined is not topic:
        shift = _fitted(refined, documents, model)[0]
    return replace(refined, at=at, shift=shift)


def _learnt(topic: Topic, documents: Documents, certain: Sequence[int], model: EvidenceModel) -> Topic:
    """The topic with the documents at some places for its posts."""
    said = distinct([tokens(documents.texts[place], documents.hashtags[place]) for place in certain])
    counts = Counter(token for each in said for token in each)
    vectors = [vector for place in certain if (vector := documents.vectors[place]) is not None]
    centre = mean_direction(vectors) if vectors and topic.centre is not None else None
    return replace(
        topic,
        vocabulary=vocabulary_of(counts, len(said), model),
        centre=topic.centre if centre is None else centre.hex(),
        learnt=len(certain),
    )


def _set_apart(topic: Topic, documents: Documents, scores: Floats) -> Topic:
    """The topic with its centre moved away from what is near it and not about it; itself where there are no vectors."""
    centre = unit_vector(topic.centre)
    places = [place for place, vector in enumerate(documents.vectors) if vector is not None]
    if centre is None or len(places) < FEWEST:
        return topic
    rows = unit_rows([vector for vector in documents.vectors if vector is not None])
    near = np.argsort(-(rows @ centre), kind="stable")[:NEAR]
    beside = (1 - scores[places][near]) @ rows[near]
    length = float(np.linalg.norm(beside))
    moved = centre - APART * beside / length if length > 0 else centre
    return replace(topic, centre=as_bytes(moved).hex(), set_apart=len(near))


def _fitted(topic: Topic, documents: Documents, model: EvidenceModel) -> tuple[float, Floats]:
    """The shift that fits the documents, and their probabilities with it."""
    plain = TopicScorer([replace(topic, shift=0.0)], model)
    scores = plain.score(documents.texts, documents.vectors, documents.hashtags)[:, 0]
    # Posts with the tag were made to be found: what they are about does not follow the share.
    untagged = np.array([topic.tag not in tags for tags in documents.hashtags], dtype=bool)
    among = documents.among - int((~untagged).sum())
    shift = prior_shift(scores[untagged], among, model.forms[form_of(topic)].share)
    return shift, probabilities(logits(scores) + shift * untagged)


def prior_shift(scores: Floats, among: int, prior: float) -> float:
    """By how much the log-odds of calibrated ``scores`` move where the topic is more or less frequent.

    ``scores`` are probabilities where the share ``prior`` is about the topic, of documents
    found among ``among``; the rest are not about it. Finds the share by expectation maximisation.
    """
    odds = logits(scores)
    before = log(prior / (1 - prior))
    share = prior
    for _ in range(_ROUNDS):
        shifted = probabilities(odds + log(share / (1 - share)) - before)
        found = min(max(float(shifted.sum()) / max(among, len(scores), 1), LEAST_SHARE), 1 - LEAST_SHARE)
        if abs(found - share) < _CLOSE:
            break
        share = found
    return log(share / (1 - share)) - before
