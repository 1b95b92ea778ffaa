"""How good an evidence model is on events that nothing of it was fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.evidence_fitting import EvidenceFitting, Judged, Subject
from groundswell.relevance import average_precision, ndcg
from inference.evidence_model import EvidenceModel
from model_export.evidence_fit import calibration_error
from operators.hashtags import extract
from operators.topics.refinement import refine
from operators.topics.score import TopicScorer

#: Settings in which a topic is judged, in the words of people.
SETTINGS: Final = {"full": "posts as they are", "plain": "posts without hashtags", "rare": "an archive"}
_AT: Final = datetime(2000, 1, 1, tzinfo=UTC)
#: Posts that people look at first.
FIRST: Final = 10


class Scored(NamedTuple):
    """Posts of a subject in a setting: probabilities, which are about it, and which do not carry the tag."""

    subject: Subject
    setting: str
    scores: NDArray[np.float64]
    about: NDArray[np.bool_]
    untagged: NDArray[np.bool_]


def left_out(fitting: EvidenceFitting) -> Iterator[Scored]:
    """Each subject in each setting, by a model that was fitted without its event."""
    for event in fitting.events:
        model = fitting.model(fitting.fitted([event])[0])
        for subject in fitting.subjects:
            if subject.event == event:
                for name in SETTINGS:
                    yield scored(subject, name, subject.settings[name], model)


def scored(subject: Subject, setting: str, posts: Judged, model: EvidenceModel) -> Scored:
    """The posts of a setting, described, refined and scored as in the job."""
    topic = refine(subject.topic, posts.documents(), model, _AT)
    scores = TopicScorer([topic], model).score(posts.texts, posts.vectors, posts.hashtags)[:, 0]
    untagged = np.array([subject.tag not in extract(text) for text in posts.texts], dtype=bool)
    return Scored(subject, setting, scores, posts.about, untagged)


def judge(found: Sequence[Scored] | Iterator[Scored]) -> dict[str, float]:
    """Means over the subjects: average precision and NDCG@10 of posts without the tag, calibration error of all."""
    figures: dict[str, list[float]] = {}
    for each in found:
        name, without = SETTINGS[each.setting], each.untagged
        for figure, value in (
            ("average precision", ranked_precision(each.scores[without], each.about[without])),
            (f"NDCG@{FIRST}", ranked_ndcg(each.scores[without], each.about[without])),
            ("calibration error", calibration_error(each.scores, each.about)),
        ):
            figures.setdefault(f"{name}/{figure}", []).append(value)
    return {name: round(float(np.mean(values)), 5) for name, values in figures.items()}


def ranked_precision(scores: NDArray[np.float64], about: NDArray[np.bool_]) -> float:
    """Average precision of posts ranked by their scores, ties in the order given; 0 where none is about it."""
    ranked = about[np.argsort(-scores, kind="stable")].tolist()
    return average_precision(ranked, sum(ranked)) or 0.0


def ranked_ndcg(scores: NDArray[np.float64], about: NDArray[np.bool_]) -> float:
    """NDCG of the first ten, likewise."""
    grades = about[np.argsort(-scores, kind="stable")].astype(float).tolist()
    return ndcg(grades, grades, FIRST) or 0.0
