"""How well untagged posts are ranked by what a hashtag is about, by each way of saying what that is.

The posts of the five disasters of CrisisLexT6, which people judged on-topic or off-topic, all
hashtags removed from the texts; the topics are the tags that name the events (at least 100
posts, 88 % of them on-topic, no plain names of places), each described from up to 300 of its
posts. *Ours* is the whole way: described, refined by the documents, scored by a model that was
fitted without the event. The peers are, in the same run on the same vectors: the cosine to the
raw tag, to the tag as words, to the label with its words, to the mean of the sample posts, and to
that and the label together; the summed weights of the distinctive words, which need no model;
and ours before it learns from documents. A cross-encoder reads an even sample of each tag's posts
(400; 150 with `--quick`), with the tag as words in its sentence, and with four distinctive words
more; ours is of the same sample there. Then its vote is added to the evidence of posts that are
uncertain, fitted on the other events, in all settings: an event's posts with and without hashtags
and the archive, of which at most 300 posts each are read (60 with `--quick`). The other rows are
of posts as they are, which is what the job reads, of the calibration, and of an archive in which
the topic is one post in a hundred among those of all other events and of posts at large: means
over the tags.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from statistics import fmean
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from benchmarks.report import Row, options, print_rows
from benchmarks.texts import DATA
from dataflows import models
from dataflows.evidence_fitting import OWN, EvidenceFitting, Subject
from dataflows.evidence_judging import Scored, judge, ranked_precision, scored
from dataflows.evidence_reading import MOST, sampled, tried
from dataflows.topics import label_reader
from groundswell.errors import GroundswellError
from groundswell.settings import Settings
from inference.evidence_model import EvidenceModel
from inference.limits import Lane
from inference.tasks import EMBEDDING
from model_export import topic_data
from operators.topics.description import Embed
from operators.topics.judging import Read
from operators.topics.score import TopicScorer
from operators.topics.segmentation import Segmenter
from operators.words import words

#: All posts of an event.
_ALL: Final = 1_000_000
_CHUNK: Final = 2_048
#: Posts of a topic that a cross-encoder reads, and uncertain ones in each setting; fewer in a quick run.
_READ: Final = 400
_READ_QUICK: Final = 150
_UNCERTAIN_QUICK: Final = 60
_AT: Final = datetime(2000, 1, 1, tzinfo=UTC)

Floats = NDArray[np.float64]


def main() -> None:
    """Print the rows; none where the data or a model is absent, which standard error says."""
    given = options(__doc__)
    try:
        rows = measured(quick=given.quick)
    except GroundswellError as error:
        print(f"not measured: {error}", file=sys.stderr)
        rows = []
    print_rows(rows, given.json)


def measured(*, quick: bool) -> list[Row]:
    """The rows: of all posts of each event, or of some."""
    settings = Settings()
    events, elsewhere = topic_data.read_t6(DATA)[0], topic_data.read_t26(DATA)[0]
    at_large = topic_data.read_posts_at_large(DATA)[0]
    segmenter = Segmenter.open(models.model_repository(settings))
    model = models.open_model(settings, [EMBEDDING])
    assert model is not None
    with model:
        embed = _remembering(model.vectors)
        fitting = EvidenceFitting(
            events, elsewhere, at_large, segmenter, embed, model.embedding_space() or "", OWN if quick else _ALL
        )
        peers: dict[str, list[float]] = {}
        found: list[Scored] = []
        for event in fitting.events:
            fitted = fitting.model(fitting.fitted([event])[0])
            for subject in fitting.subjects:
                if subject.event == event:
                    found += [scored(subject, name, posts, fitted) for name, posts in subject.settings.items()]
                    for name, value in peers_of(subject, fitted, embed):
                        peers.setdefault(name, []).append(value)
    figures = judge(found)
    best = figures["posts without hashtags/average precision"]
    worst = max(judge([each])[f"posts as they are/{_ERROR}"] for each in found if each.setting == "full")
    rows = [
        Row(f"mean AP of {len(fitting.subjects)} tags, against {name}", best, fmean(values), "AP")
        for name, values in peers.items()
    ]
    rows += [Row(name.replace("/", ", "), value, None, "") for name, value in figures.items()]
    rows.append(Row(f"posts as they are, {_ERROR}, the tag with the largest", worst, None, ""))
    return [*rows, *read_rows(found, settings, quick=quick)]


_ERROR: Final = "calibration error"


def peers_of(subject: Subject, model: EvidenceModel, embed: Embed) -> Iterator[tuple[str, float]]:
    """The average precision of each other way."""
    posts, topic = subject.settings["plain"], subject.topic
    vectors = _units(posts.vectors)
    raw, phrase, label = _units(embed([topic.tag, topic.phrase, _with_words(subject)]))
    centre = _units([bytes.fromhex(topic.centre or "")])[0]
    weights = dict(topic.words)
    telling = np.array([sum(weights.get(word, 0.0) for word in words(text)) for text in posts.texts])
    described = TopicScorer([replace(topic, shift=0.0)], model).score(posts.texts, posts.vectors, posts.hashtags)[:, 0]
    for name, scores in (
        ("the raw tag, cosine", vectors @ raw),
        ("the tag as words, cosine", vectors @ phrase),
        ("the tag and 6 distinctive words, cosine", vectors @ label),
        ("the summed weights of the distinctive words", telling),
        ("the mean of the sample posts, cosine", vectors @ centre),
        ("that mean and the label, cosine", vectors @ (centre + label)),
        ("the evidence before it learns from documents", described),
    ):
        yield name, ranked_precision(scores, posts.about)


def read_rows(found: Sequence[Scored], settings: Settings, *, quick: bool) -> Iterator[Row]:
    """What a cross-encoder says of the posts by itself, and what its vote does to the evidence; none without one."""
    model = models.open_cross_encoder(settings)
    if model is None:
        print("no cross-encoder in the repository: its rows are left out", file=sys.stderr)
        return
    with model:
        read = label_reader(model, settings.reclassify.template, Lane.LIVE)
        most = _READ_QUICK if quick else _READ
        alone = [_read_alone(each, read, most) for each in found if each.setting == "plain"]
        samples, seconds = sampled(found, read, _UNCERTAIN_QUICK if quick else MOST)
    ours = fmean(each[0] for each in alone)
    for place, name in ((1, "the tag as words"), (2, "the tag and 4 distinctive words")):
        peer = fmean(each[place] for each in alone)
        yield Row(f"mean AP on {most} posts of each tag, against {name}, cross-encoder", ours, peer, "AP")
    figures = tried(samples, seconds).figures
    for name in ("average precision", "log loss", "calibration error"):
        with_vote = figures[f"all/{name}, read"]
        yield Row(f"all settings, {name}, against the evidence with the vote", figures[f"all/{name}"], with_vote, "")
    yield Row("posts that the cross-encoder would read for a topic", figures["all/posts that are read"], None, "")
    yield Row("a post that it reads", figures["all/milliseconds a pair"], None, "ms")


def _read_alone(each: Scored, read: Read, most: int) -> tuple[float, float, float]:
    """The average precision of an even sample of the posts: ours, and a cross-encoder's by two descriptions."""
    posts, topic = each.subject.settings[each.setting], each.subject.topic
    places = np.unique(np.linspace(0, len(posts.texts) - 1, most).round().astype(int))
    texts, about = [posts.texts[place] for place in places.tolist()], each.about[places]
    said = [
        np.array([0.5 if answer is None else answer for answer in read(label, texts)])
        for label in (topic.phrase, _with_words(each.subject, 4))
    ]
    ours, phrase, words_too = (ranked_precision(scores, about) for scores in (each.scores[places], *said))
    return ours, phrase, words_too


def _with_words(subject: Subject, most: int = 6) -> str:
    topic = subject.topic
    named = [word for word, _ in topic.words if word not in topic.phrase.split()]
    return f"{topic.phrase}: {', '.join(named[:most])}"


def _units(vectors: Sequence[bytes | None]) -> Floats:
    rows = np.stack([np.frombuffer(each or bytes(384), dtype=np.int8) for each in vectors]).astype(np.float64)
    found: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return found


def _remembering(vectors: Embed) -> Embed:
    """The same, each text read once."""
    known: dict[str, bytes | None] = {}

    def embed(texts: Sequence[str]) -> list[bytes | None]:
        missing = list(dict.fromkeys(text for text in texts if text not in known))
        for start in range(0, len(missing), _CHUNK):
            part = missing[start : start + _CHUNK]
            known.update(zip(part, vectors(part), strict=True))
        return [known[text] for text in texts]

    return embed


if __name__ == "__main__":
    main()
