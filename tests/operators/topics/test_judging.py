"""A judge asks a cross-encoder about what the evidence leaves uncertain, and about nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from groundswell.candidates import Found
from groundswell.topics import Topic
from operators.topics.description import describe
from operators.topics.judging import EvidenceJudge, LabelJudge
from tests.operators.topics.evidence import ABOUT, AT, NOT_ABOUT, SPACE, Spelled, embed, model, trend

TOPIC: Topic = describe(trend(), Spelled(), embed, SPACE, AT, model())
#: From what says everything to what says nothing, word for word.
TEXTS = [
    " ".join([*ABOUT.split()[:kept], *NOT_ABOUT.split()[: len(ABOUT.split()) - kept]])
    for kept in range(len(ABOUT.split()) + 1)
]


def documents() -> list[Found]:
    return [
        Found(str(place), "documents", (1, 1), text, AT, AT, vector=vector, space=SPACE)
        for place, (text, vector) in enumerate(zip(TEXTS, embed(TEXTS), strict=True))
    ]


def test_a_vote_changes_verdicts_only_among_the_undecided() -> None:
    asked: list[str] = []
    changed = np.zeros(len(TEXTS), dtype=bool)
    for said in (0.0, 1.0):

        def read(label: str, texts: Sequence[str], said: float = said) -> list[float | None]:
            asked.append(label)
            return [said] * len(texts)

        judge = EvidenceJudge(model(), read, "nli", 0.5)
        assert judge.model == "topic-evidence@test+nli"
        evidence = judge.against([TOPIC])(documents())[:, 0]
        undecided = judge.undecided(TOPIC, evidence)
        voted = judge.verdicts(TOPIC, documents(), evidence)
        changed |= (voted >= 0.5) != (judge.alone(evidence) >= 0.5)
    # The one or the other vote decides each of them.
    assert changed.tolist() == undecided.tolist()
    assert 0 < undecided.sum() < len(TEXTS)
    assert asked == [TOPIC.label] * 2


def test_what_cannot_be_read_keeps_its_evidence() -> None:
    judge = EvidenceJudge(model(), lambda _, texts: [None] * len(texts), "nli", 0.5)
    evidence = judge.against([TOPIC])(documents())[:, 0]
    assert judge.verdicts(TOPIC, documents(), evidence) == pytest.approx(judge.alone(evidence))


def test_a_cross_encoder_that_earned_no_vote_is_never_asked() -> None:
    judge = EvidenceJudge(model(), lambda _, texts: [1.0] * len(texts), "another", 0.5)
    evidence = judge.against([TOPIC])(documents())[:, 0]
    assert not judge.undecided(TOPIC, evidence).any()
    assert judge.alone(evidence).tolist() == evidence.tolist()
    assert judge.model == "topic-evidence@test"


def test_by_the_label_alone_everything_is_read_with_the_tag_as_words() -> None:
    asked: list[str] = []

    def read(label: str, texts: Sequence[str]) -> list[float | None]:
        asked.append(label)
        return [None if text == NOT_ABOUT else 0.25 for text in texts]

    judge = LabelJudge(read, "nli@test")
    evidence = judge.against([TOPIC])(documents())[:, 0]
    assert judge.undecided(TOPIC, evidence).all()
    assert (judge.verdicts(TOPIC, documents(), evidence)[1:] == np.float64(0.25)).all()
    assert asked == [TOPIC.phrase]
