"""A topic learns from documents how frequent it is among them, and where it is frequent how they speak of it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from operators.topics.description import describe
from operators.topics.refinement import FEWEST, Documents, prior_shift, refine
from operators.topics.score import TopicScorer
from tests.operators.topics.evidence import ABOUT, AT, NOT_ABOUT, SPACE, Spelled, embed, model, trend

TOPIC = describe(trend(), Spelled(), embed, SPACE, AT, model())
LATER = AT + timedelta(seconds=1)
KINDS = ("mayor", "governor", "hospital", "highway", "stadium", "library", "bakery", "airport")


def documents(about: int, others: int) -> Documents:
    """So many different documents about the topic, who speak of a cellar too, and so many others."""
    texts = [f"cellar {ABOUT} says {KINDS[n % 8]} number{n // 8}" for n in range(about)]
    texts += [f"{NOT_ABOUT} {KINDS[n % 8]} thing{n // 8}" for n in range(others)]
    return Documents(texts, embed(texts), [()] * len(texts), len(texts))


def test_where_it_is_frequent_a_topic_learns_the_words_of_documents_without_its_tag() -> None:
    learnt = refine(TOPIC, documents(100, 100), model(), LATER)
    assert learnt.learnt >= FEWEST
    assert "cellar" in learnt.vocabulary and "cellar" not in TOPIC.vocabulary
    assert learnt.at == LATER and learnt.centre != TOPIC.centre


def test_where_it_is_rare_it_learns_only_that() -> None:
    learnt = refine(replace(TOPIC, shift=-1.0), documents(3, 300), model(), LATER)
    assert learnt.learnt == 0 and learnt.vocabulary == TOPIC.vocabulary
    assert learnt.shift < 0 and learnt.at == LATER


def test_documents_that_were_not_looked_at_make_it_rarer() -> None:
    seen = documents(100, 100)
    assert refine(TOPIC, seen._replace(among=100_000), model(), LATER).shift < refine(TOPIC, seen, model(), LATER).shift


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9])
def test_the_shift_finds_the_share_of_documents_that_the_scores_come_from(share: float) -> None:
    draw = np.random.default_rng(1)
    about = draw.random(40_000) < share
    # Scores that are calibrated where half are about it: log-odds are normal, 4 apart with variance 4.
    odds = draw.normal(np.where(about, 2.0, -2.0), 2.0)
    shift = prior_shift(1 / (1 + np.exp(-odds)), len(odds), 0.5)
    assert shift == pytest.approx(np.log(share / (1 - share)), abs=0.25)


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 100), st.floats(0.01, 0.99))
def test_any_scores_give_a_finite_shift(scores: list[float], more: int, prior: float) -> None:
    assert np.isfinite(prior_shift(np.array(scores), len(scores) + more, prior))


def test_no_documents_make_it_as_rare_as_can_be_and_break_nothing() -> None:
    learnt = refine(TOPIC, Documents([], [], [], 0), model(), LATER)
    assert np.isfinite(TopicScorer([learnt], model()).score([ABOUT], embed([ABOUT]), [()])).all()
