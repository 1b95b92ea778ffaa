"""A cross-encoder's vote is fitted from what it said, and kept only where it helps on events left out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.evidence_fitting import Judged, Subject
from dataflows.evidence_judging import SETTINGS, Scored, ranked_precision
from dataflows.evidence_reading import BANDS, MIDDLE, Sampled, middle, sampled, told, tried, weighted_precision
from groundswell.topics import Topic
from inference.evidence_model import probabilities
from operators.topics.verdict import Verdict, logits

EVENTS = ("flood", "quake", "storm")
POSTS = 600


def samples(seed: int, useful: float) -> list[Sampled]:
    """Calibrated evidence on posts of three events, and a reader that knows ``useful`` log-odds more than it."""
    draw = np.random.default_rng(seed)
    found = []
    for event in EVENTS:
        for setting in SETTINGS:
            odds = draw.uniform(-MIDDLE, MIDDLE, POSTS)
            about = draw.random(POSTS) < probabilities(odds)
            said = probabilities(np.where(about, useful, -useful) + draw.normal(0, 1.5, POSTS))
            asked = np.ones(POSTS, dtype=bool)
            found.append(Sampled(event, "tag", setting, probabilities(odds), said, asked, about, np.ones(POSTS)))
    return found


def test_only_uncertain_posts_without_the_tag_are_read_by_the_label() -> None:
    scores = np.array([0.001, 0.3, 0.5, 0.6, 0.7, 0.999])
    untagged = np.array([True, True, True, True, False, True])
    texts = [f"post {place}" for place in range(len(scores))]
    posts = Judged(texts, [None] * 6, [()] * 6, ["flood"] * 6, scores > 0.5)
    topic = Topic("river-1", "river", datetime(2020, 1, 1, tzinfo=UTC), "river", "river: high, water")
    subject = Subject("flood", "river", topic, topic, {"full": posts})
    asked: list[tuple[str, list[str]]] = []

    def read(label: str, given: Sequence[str]) -> list[float | None]:
        asked.append((label, list(given)))
        return [None if text == "post 2" else 0.9 for text in given]

    [sample], seconds = sampled([Scored(subject, "full", scores, posts.about, untagged)], read)
    assert asked == [("river: high, water", ["post 1", "post 2", "post 3"])] and seconds >= 0
    assert sample.evidence.tolist() == [0.3, 0.5, 0.6, 0.001, 0.999]
    assert sample.asked.tolist() == [True, False, True, False, False]
    assert sample.read.tolist() == [0.9, 0.5, 0.9, 0.5, 0.5]
    assert sample.posts().about.tolist() == [False, True]


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1_000), st.floats(1.5, 3))
def test_a_reader_that_knows_more_gets_a_vote(seed: int, useful: float) -> None:
    trial = tried(samples(seed, useful), 0.004)
    assert trial.kept and trial.reading is not None
    assert trial.reading.reader > 0 and trial.reading.limit > 0 and trial.reading.evidence == pytest.approx(1, abs=0.25)
    assert trial.figures["all/average precision, read"] > trial.figures["all/average precision"]
    assert "`nli` has a vote" in told("nli", trial)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1_000))
def test_one_that_says_anything_gets_none(seed: int) -> None:
    trial = tried(samples(seed, 0), 0.004)
    assert not trial.kept
    assert "`nli` has no vote" in told("nli", trial)


def test_one_that_is_wrong_is_not_believed_the_other_way_round() -> None:
    trial = tried(samples(1, -1), 0.004)
    assert trial.reading is None and not trial.kept


def test_a_vote_that_helps_one_event_alone_is_not_kept() -> None:
    found = [each if each.event == "flood" else each._replace(read=1 - each.read) for each in samples(1, 1)]
    assert not tried(found, 0.004).kept


def test_posts_of_one_kind_fit_nothing() -> None:
    trial = tried([each._replace(about=np.ones(POSTS, dtype=bool)) for each in samples(1, 1)], 0.004)
    assert trial.reading is None and not trial.kept


def test_a_fitted_vote_leaves_some_posts_undecided_and_changes_verdicts_only_there() -> None:
    reading = tried(samples(1, 1), 0.004).reading
    assert reading is not None
    verdict, evidence = Verdict(reading), probabilities(np.linspace(-8, 8, 401))
    undecided = verdict.undecided(evidence, 0.5)
    assert undecided.any() and not undecided[[0, -1]].any()
    alone = verdict.alone(evidence) >= 0.5
    for said in (0.0, 1.0):
        changed = (verdict.combined(evidence, np.full(len(evidence), said)) >= 0.5) != alone
        assert changed.any() and not changed[~undecided].any()


@given(st.integers(0, 1_000), st.integers(0, 400))
def test_the_middle_stands_for_every_uncertain_post(seed: int, most: int) -> None:
    draw = np.random.default_rng(seed)
    scores, among = draw.random(500) ** 3, draw.random(500) < 0.7
    places, weights = middle(scores, among, most)
    uncertain = among & (np.abs(logits(scores)) <= MIDDLE)
    assert len(places) <= most and len(set(places.tolist())) == len(places) and uncertain[places].all()
    if most >= BANDS:
        assert weights.sum() == pytest.approx(uncertain.sum())


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 3)), min_size=1, max_size=30))
def test_a_post_that_weighs_more_counts_as_that_many(posts: list[tuple[int, bool, int]]) -> None:
    # Distinct scores: how ties are ranked is no part of it.
    scores = np.array([score + place / 100 for place, (score, _, _) in enumerate(posts)])
    about = np.array([each for _, each, _ in posts])
    ones = np.ones(len(posts))
    assert weighted_precision(scores, about, ones) == pytest.approx(ranked_precision(scores, about))
    # Weights that are all the same change nothing.
    assert weighted_precision(scores, about, 3 * ones) == pytest.approx(weighted_precision(scores, about, ones))
    weights = np.array([float(weight) for _, _, weight in posts])
    assert 0 <= weighted_precision(scores, about, weights) <= 1 + 1e-9
